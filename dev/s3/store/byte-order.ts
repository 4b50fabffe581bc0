/** The least byte string that is greater than every one that begins with `prefix`. */
export function endOfPrefix(prefix: Buffer): Buffer {
  // Keys are UTF-8, which has no byte ff: this is beyond them all.
  const end = Buffer.from(prefix);
  for (let index = end.length - 1; index >= 0; index -= 1) {
    const byte = end[index] as number;
    if (byte < 0xff) {
      end[index] = byte + 1;
      return end.subarray(0, index + 1);
    }
  }
  return Buffer.from([0xff]);
}

/** The least byte string that is greater than `key`. */
export function successor(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.from([0])]);
}

export function greatest(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) >= 0 ? a : b;
}

/** The bytes of a BLOB column without a copy. */
export function viewBytes(value: unknown): Buffer {
  const bytes = value as Uint8Array;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
