import type { LoadDefinition } from '../contracts/load-definition.ts';
import { compressionByKey } from './selection.ts';

/**
 * How much larger data is than its compressed form, when nothing better is known. ADX's own SDKs assume 11; it only
 * has to be roughly right, since ADX uses the size to fill its batches.
 */
const COMPRESSION_RATIO = 11;

/** Formats that are compressed inside. */
const COMPRESSED_FORMATS: ReadonlySet<LoadDefinition['format']['type']> = new Set([
  'parquet',
  'orc',
  'avro',
  'apacheavro',
]);

/** Size of an object's data as ADX counts it, bytes, at least 1: exact for plain text, else estimated. */
export function rawSizeOf(
  object: { readonly key: string; readonly sizeBytes: number },
  format: LoadDefinition['format']['type'],
): number {
  const compressed = COMPRESSED_FORMATS.has(format) || compressionByKey(object.key) !== 'none';
  return Math.max(1, compressed ? object.sizeBytes * COMPRESSION_RATIO : object.sizeBytes);
}
