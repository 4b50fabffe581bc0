import { CLOCK_DIFFERENCE_MS } from './clock-difference.ts';
import type { LedgerEntry } from './ledger-entry.ts';
import type { S3Object } from './s3-object.ts';

/** S3 gives times in whole seconds. */
const S3_RESOLUTION_MS = 1000;

/**
 * Which version's rows ADX has of an object that it reported as ingested, given what stands under the key now. A
 * presigned URL of an unversioned bucket gives whatever the key holds when ADX reads it, between post and report.
 *
 * - `loaded`: those of the version that the loader meant; not certain where the key was changed more than once, for only the
 *   last change is seen.
 * - `present`: those of the version that is there now; it was written before the message was posted.
 * - `either`: nobody can tell.
 */
export function rowsOf(
  { version, intentAt, settledAt }: Pick<LedgerEntry, 'version' | 'intentAt' | 'settledAt'>,
  present: S3Object | null,
): 'loaded' | 'present' | 'either' {
  // Deleted by now: what stood there before, nobody can tell any more.
  if (present === null) return 'loaded';
  const written = Date.parse(present.lastModified);
  // Written once more with the same content, and perhaps with another in between.
  if (present.version === version)
    return written > Date.parse(intentAt) + CLOCK_DIFFERENCE_MS &&
      (settledAt === null || written <= Date.parse(settledAt) + CLOCK_DIFFERENCE_MS)
      ? 'either'
      : 'loaded';
  if (written + S3_RESOLUTION_MS + CLOCK_DIFFERENCE_MS <= Date.parse(intentAt)) return 'present';
  if (settledAt !== null && written > Date.parse(settledAt) + CLOCK_DIFFERENCE_MS) return 'loaded';
  return 'either';
}
