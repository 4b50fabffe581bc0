import type { ErrorCode } from '../errors/loader-error.ts';
import { versionIdOf } from './s3-object.ts';

/**
 * What the ledger knows of an object.
 *
 * - `intent`: about to be posted, written before the post; the message may be in ADX's queue or not.
 * - `queued`: ADX's queue has accepted the message.
 * - `ingested`: ADX reported success.
 * - `failed`: permanent, or attempts exhausted.
 * - `unknown`: the deadline passed without a report.
 * - `undone`: its rows were dropped, or somebody had the ledger forget it.
 */
export type LedgerState = 'intent' | 'queued' | 'ingested' | 'failed' | 'unknown' | 'undone';

/** The allowed transitions; a new entry begins as `intent`. */
export const LEDGER_TRANSITIONS: Readonly<Record<LedgerState, readonly LedgerState[]>> = {
  intent: ['queued', 'ingested', 'failed', 'unknown', 'intent'],
  queued: ['ingested', 'failed', 'unknown', 'intent'],
  ingested: ['undone', 'intent', 'ingested'],
  failed: ['undone', 'intent', 'ingested', 'failed'],
  unknown: ['ingested', 'failed', 'intent'],
  undone: ['intent'],
};

/** `true` while a message for the object may be alive in ADX. */
export function isUnsettled(state: LedgerState): boolean {
  return state === 'intent' || state === 'queued' || state === 'unknown';
}

/** `true` once an unsettled object may be posted again. */
export function isBehindFence(
  entry: Pick<LedgerEntry, 'urlExpiresAt'>,
  { now, downloadGraceMs }: { readonly now: Date; readonly downloadGraceMs: number },
): boolean {
  const fence = fenceOf(entry, downloadGraceMs);
  return fence !== null && now >= fence;
}

/** Whether a run that looked at the object did so behind its fence, whenever that was. */
export function wasBehindFence(
  entry: Pick<LedgerEntry, 'urlExpiresAt'>,
  { createdAt }: { readonly createdAt: string },
  downloadGraceMs: number,
): boolean {
  return isBehindFence(entry, { now: new Date(createdAt), downloadGraceMs });
}

/** The ledger's entry for one object of a load generation. Times are ISO 8601, UTC; `null` is "not yet". */
export interface LedgerEntry {
  readonly key: string;
  /** The version that the state is about. */
  readonly version: string;
  readonly sizeBytes: number;
  readonly state: LedgerState;
  /** The run that wrote the state last. */
  readonly runId: string;
  readonly epoch: number;
  readonly sourceId: string;
  /** Number of the latest attempt; never decreases, also across versions and undo. */
  readonly attemptSeq: number;
  /** Attempts for this version, from 1. */
  readonly attempts: number;
  readonly intentAt: string;
  readonly queuedAt: string | null;
  readonly settledAt: string | null;
  /** End of the presigned URL's life: part of the fence. `null`: it works for ever, and so there is no fence. */
  readonly urlExpiresAt: string | null;
  readonly errorCode: ErrorCode | null;
  /** What ADX or S3 said, without secrets, cut at 500 characters. */
  readonly errorMessage: string | null;
  /** The drop-by tag that the latest message carries; `null`, and absent in rows of older versions: not known. */
  readonly tag: string | null;
  /** `true` when a message was posted again without proof that the earlier one was not ingested. */
  readonly repostedUnproven: boolean;
  /**
   * `true` of a failed object of which rows may be there all the same: it was given up behind its fence, without a report, or
   * ADX has ingested a part of it. `false`, and absent in rows of older versions, otherwise.
   */
  readonly fateUnknown: boolean;
  /** Source ids of those earlier messages of this version, newest first, at most `EARLIER_MESSAGES`; `null`: none. */
  readonly earlierSourceIds: readonly string[] | null;
  /**
   * Drop-by tags under which rows of other messages of this version may be: those of the messages of `earlierSourceIds`, in
   * their order, `null` where a row of an older version did not know it. `null`: none; in such rows also not known.
   */
  readonly otherTags: readonly (string | null)[] | null;
}

/**
 * Whether an earlier message of a failed object may have been ingested, so that one for `version` may make rows a second
 * time. Unless a version id pins what its URL gives, a message may have loaded whatever the key held by then.
 */
export function mayHaveRows(entry: LedgerEntry, version: string): boolean {
  const isPinned = versionIdOf(entry.version) !== null && entry.version !== version;
  return !isPinned && (entry.repostedUnproven || entry.fateUnknown);
}

/** How many earlier messages of an object the ledger names: a late success of one of them settles it. */
export const EARLIER_MESSAGES = 5;

/**
 * From when on an unsettled object may be posted again: nobody can download its URL any more, and a download that
 * began in time has ended. Before that a second message could make a second set of rows. `null`: never.
 */
export function fenceOf(entry: Pick<LedgerEntry, 'urlExpiresAt'>, downloadGraceMs: number): Date | null {
  return entry.urlExpiresAt === null ? null : new Date(Date.parse(entry.urlExpiresAt) + downloadGraceMs);
}
