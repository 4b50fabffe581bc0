import type { S3Object } from './s3-object.ts';
import { compileWildcard } from './wildcard.ts';

/** Which objects of a bucket a load is about. */
export interface SelectionRule {
  readonly prefix: string;
  /** A longer prefix, of one run. */
  readonly runPrefix?: string | null;
  /** Only these keys. */
  readonly files?: readonly string[] | null;
  /** Pattern for the part of the key behind the prefix: `*` within a folder, `**` across folders, `?` one character. */
  readonly wildcard: string | null;
  /** The key must end with one of these, case-sensitive; empty for any. */
  readonly suffixes: readonly string[];
  readonly minSizeBytes: number | null;
  readonly maxSizeBytes: number | null;
  /** ISO 8601; included. */
  readonly modifiedAfter: string | null;
  /** ISO 8601; not included. */
  readonly modifiedBefore: string | null;
  /** What the load says of compression; ADX itself goes by the suffix of the key alone. */
  readonly compression: 'auto' | 'none' | 'gzip' | 'zip';
}

/** Why an object that was found is not loaded. Closed; the run summary counts by it, and docs/REFERENCE.md explains it. */
export const SKIP_REASONS = [
  'prefix',
  'files',
  'wildcard',
  'suffix',
  'empty',
  'size',
  'modifiedTime',
  'archived',
  'tooLarge',
  'compressionSuffix',
  'unchanged',
  'changed',
  'failedBefore',
  'unsettled',
  'gone',
  'unreadable',
  'limit',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** ADX takes at most 6 GB of raw data from one object. */
export const MAX_OBJECT_BYTES = 6 * 1024 ** 3;

const ARCHIVED_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/** Makes the test that tells for an object why it is skipped, or `null` when it is selected. */
export function compileSelection(rule: SelectionRule): (object: S3Object) => SkipReason | null {
  const files = rule.files == null ? null : new Set(rule.files);
  const pattern = rule.wildcard === null ? null : compileWildcard(rule.wildcard);
  const after = rule.modifiedAfter === null ? null : Date.parse(rule.modifiedAfter);
  const before = rule.modifiedBefore === null ? null : Date.parse(rule.modifiedBefore);
  return (object) => {
    // The cheap and the most telling reasons first: an object is counted under one reason only.
    if (!object.key.startsWith(rule.runPrefix ?? rule.prefix)) return 'prefix';
    if (files !== null && !files.has(object.key)) return 'files';
    if (pattern !== null && !pattern(object.key.slice(rule.prefix.length))) return 'wildcard';
    if (rule.suffixes.length > 0 && !rule.suffixes.some((suffix) => object.key.endsWith(suffix)))
      return 'suffix';
    if (object.sizeBytes === 0) return 'empty';
    if (rule.minSizeBytes !== null && object.sizeBytes < rule.minSizeBytes) return 'size';
    if (rule.maxSizeBytes !== null && object.sizeBytes > rule.maxSizeBytes) return 'size';
    const modified = Date.parse(object.lastModified);
    if (after !== null && modified < after) return 'modifiedTime';
    if (before !== null && modified >= before) return 'modifiedTime';
    if (ARCHIVED_CLASSES.has(object.storageClass)) return 'archived';
    if (object.sizeBytes > MAX_OBJECT_BYTES) return 'tooLarge';
    if (!suffixSays(object.key, rule.compression)) return 'compressionSuffix';
    return null;
  };
}

/** Compression that ADX will assume for a key. */
export function compressionByKey(key: string): 'none' | 'gzip' | 'zip' {
  const lower = key.toLowerCase();
  if (lower.endsWith('.gz')) return 'gzip';
  if (lower.endsWith('.zip')) return 'zip';
  return 'none';
}

function suffixSays(key: string, compression: SelectionRule['compression']): boolean {
  return compression === 'auto' || compressionByKey(key) === compression;
}
