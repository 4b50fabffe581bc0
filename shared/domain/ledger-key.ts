import { createHash } from 'node:crypto';

/**
 * Where an object stands in the ledger: partition and row key of its table entity.
 *
 * A row key keeps the order of the S3 listing (UTF-8 byte order), so that a page of the listing is one range
 * of each partition. Azure Table storage forbids `/ \ # ?` and control characters in keys and allows 1 KiB
 * (512 UTF-16 units), S3 keys are up to 1,024 bytes of anything.
 */
const FIRST_LOW = '!'; // bytes 00-2C
const AFTER_DIGITS = ':'; // bytes 3A-3C
const AFTER_EQUALS = '@'; // bytes 3E-40
const AFTER_UPPER = '['; // bytes 5B-5E
const BACKTICK = '`'; // byte 60
const HIGH = '{'; // bytes 7B-FF

/** Longest part of an encoded key that is kept as it is; longer keys are cut here and closed with a hash. */
export const ROW_KEY_CUT = 440;

/** One symbol per byte; the symbols sort as the bytes do, and none is the beginning of another. */
const SYMBOLS: readonly string[] = Array.from({ length: 256 }, (_, byte) => symbolOf(byte));

function symbolOf(byte: number): string {
  const hex = byte.toString(16).padStart(2, '0');
  const char = String.fromCharCode(byte);
  if (char === '-') return ',';
  if (char === '.') return '-';
  if (char === '/') return '.';
  if (/[0-9A-Za-z_=]/.test(char)) return char;
  if (byte < 0x2d) return FIRST_LOW + hex;
  if (byte < 0x3d) return AFTER_DIGITS + hex;
  if (byte < 0x41) return AFTER_EQUALS + hex;
  if (byte < 0x5f) return AFTER_UPPER + hex;
  if (byte === 0x60) return BACKTICK;
  return HIGH + hex;
}

/**
 * The row key of an object key. Keys that differ have row keys that differ; row keys sort as the keys do,
 * except among keys that share their first `ROW_KEY_CUT` symbols, whose order is that of a hash.
 */
export function encodeRowKey(key: string): string {
  const { prefix, cut } = encodePrefix(key);
  return cut ? `${prefix}~${createHash('sha256').update(key).digest('hex').slice(0, 40)}` : prefix;
}

function encodePrefix(key: string): { prefix: string; cut: boolean } {
  let prefix = '';
  for (const byte of Buffer.from(key, 'utf8')) {
    const symbol = SYMBOLS[byte]!;
    if (prefix.length + symbol.length > ROW_KEY_CUT) return { prefix, cut: true };
    prefix += symbol;
  }
  // An S3 key is never empty; a row key of `!` would still be valid for one.
  return { prefix: prefix === '' ? FIRST_LOW : prefix, cut: false };
}

/**
 * Number of partitions of every ledger. It decides where an entry is, and no ledger says by which number it was written:
 * with another one nothing of what was loaded before would be found.
 *
 * A plan page of 50,000 keys is read with one range query per partition. 64 partitions hold about 780 of these
 * keys each, which fits the 1,000 entities of one answer: 1.3 requests per 1,000 keys. More partitions would cost
 * more requests. Fewer would save some with small pages only, as an answer holds no more, would make Azurite slow (its
 * cost grows with the entities of a partition) and would come closer to Azure's 2,000 entities a second per partition.
 */
export const LEDGER_PARTITIONS = 64;

/** Which of `partitions` an object key belongs to. FNV-1a over its UTF-8 bytes, with a final mix. */
export function partitionOf(key: string, partitions: number = LEDGER_PARTITIONS): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(key, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0) % partitions;
}
