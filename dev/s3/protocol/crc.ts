/** A checksum that is fed piece by piece. */
export interface RunningChecksum {
  update(data: Uint8Array): void;
  digest(): Buffer;
}

const lanes = 8;
const entries = 256;

/**
 * CRC-64/NVME (reflected polynomial 9a6c9329ac4bc9b5), which S3 computes for uploads that bring no checksum.
 *
 * Eight bytes a step through eight tables, each in two halves of 32 bits: big integers are some fifty times
 * slower, and a 1 GiB upload has to pass through here.
 */
export function createCrc64Nvme(): RunningChecksum {
  const { high, low } = (crc64Tables ??= buildTables(0x9a6c9329, 0xac4bc9b5));
  let high32 = -1;
  let low32 = -1;
  return {
    update(data) {
      let position = 0;
      const { length } = data;
      const blockEnd = length - (length % lanes);
      while (position < blockEnd) {
        const a =
          low32 ^
          ((data[position] as number) |
            ((data[position + 1] as number) << 8) |
            ((data[position + 2] as number) << 16) |
            ((data[position + 3] as number) << 24));
        const b =
          high32 ^
          ((data[position + 4] as number) |
            ((data[position + 5] as number) << 8) |
            ((data[position + 6] as number) << 16) |
            ((data[position + 7] as number) << 24));
        const i0 = 1792 + (a & 255);
        const i1 = 1536 + ((a >>> 8) & 255);
        const i2 = 1280 + ((a >>> 16) & 255);
        const i3 = 1024 + (a >>> 24);
        const i4 = 768 + (b & 255);
        const i5 = 512 + ((b >>> 8) & 255);
        const i6 = 256 + ((b >>> 16) & 255);
        const i7 = b >>> 24;
        low32 =
          at(low, i0) ^
          at(low, i1) ^
          at(low, i2) ^
          at(low, i3) ^
          at(low, i4) ^
          at(low, i5) ^
          at(low, i6) ^
          at(low, i7);
        high32 =
          at(high, i0) ^
          at(high, i1) ^
          at(high, i2) ^
          at(high, i3) ^
          at(high, i4) ^
          at(high, i5) ^
          at(high, i6) ^
          at(high, i7);
        position += lanes;
      }
      for (; position < length; position += 1) {
        const index = (low32 ^ (data[position] as number)) & 255;
        low32 = ((low32 >>> 8) | (high32 << 24)) ^ at(low, index);
        high32 = (high32 >>> 8) ^ at(high, index);
      }
    },
    digest() {
      const result = Buffer.alloc(8);
      result.writeInt32BE(~high32, 0);
      result.writeInt32BE(~low32, 4);
      return result;
    },
  };
}

/** CRC-32C (Castagnoli, reflected polynomial 82f63b78). */
export function createCrc32c(): RunningChecksum {
  const { low } = (crc32cTables ??= buildTables(0, 0x82f63b78));
  let crc = -1;
  return {
    update(data) {
      for (let position = 0; position < data.length; position += 1) {
        crc = (crc >>> 8) ^ at(low, (crc ^ (data[position] as number)) & 255);
      }
    },
    digest() {
      const result = Buffer.alloc(4);
      result.writeInt32BE(~crc, 0);
      return result;
    },
  };
}

interface SplitTables {
  readonly high: Int32Array;
  readonly low: Int32Array;
}

let crc64Tables: SplitTables | undefined;
let crc32cTables: SplitTables | undefined;

function buildTables(polynomialHigh: number, polynomialLow: number): SplitTables {
  const high = new Int32Array(lanes * entries);
  const low = new Int32Array(lanes * entries);
  for (let index = 0; index < entries; index += 1) {
    let h = 0;
    let l = index;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = l & 1;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (carry === 1) {
        l ^= polynomialLow;
        h ^= polynomialHigh;
      }
    }
    high[index] = h;
    low[index] = l;
  }
  for (let index = entries; index < lanes * entries; index += 1) {
    const previousHigh = at(high, index - entries);
    const previousLow = at(low, index - entries);
    const head = previousLow & 255;
    low[index] = ((previousLow >>> 8) | (previousHigh << 24)) ^ at(low, head);
    high[index] = (previousHigh >>> 8) ^ at(high, head);
  }
  return { high, low };
}

function at(table: Int32Array, index: number): number {
  return table[index] as number;
}
