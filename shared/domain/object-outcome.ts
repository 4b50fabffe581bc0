import { ERROR_KINDS, type ErrorCode } from '../errors/loader-error.ts';
import { isBehindFence, type LedgerEntry, type LedgerState } from './ledger-entry.ts';
import type { ControlRow, Stored } from './run-record.ts';
import type { ObjectOutcome, ObjectState } from './run-summary.ts';
import type { PlannedObject } from './shard-layout.ts';

/** One object of a shard with what the ledger says of it now. */
export interface ShardItem {
  readonly object: PlannedObject;
  readonly stored: Stored<LedgerEntry> | null;
  /** Rows that the object holds, where somebody has counted them. */
  readonly rows?: number | null;
}

export interface OutcomeSituation {
  readonly runId: string;
  /** The run's drop-by tag. */
  readonly tag: string;
  /** Why objects of the shard could not be posted. */
  readonly code: string | null;
  readonly stop: ControlRow['stop'];
  readonly now: Date;
  readonly downloadGraceMs: number;
}

/** How an object of a shard ended, by what the ledger says of it. */
export function outcomeOf(
  { object, stored, rows = null }: ShardItem,
  situation: OutcomeSituation,
): ObjectOutcome {
  const { runId, tag } = situation;
  const base = { key: object.key, version: object.version, sizeBytes: object.sizeBytes };
  const entry = stored?.value ?? null;
  // Settled after all, between the document of unsettled objects and now.
  const settledElsewhere =
    entry !== null && object.reason === 'recheck' && (entry.state === 'ingested' || entry.state === 'failed');
  if (entry === null || (entry.runId !== runId && !settledElsewhere))
    return { ...base, ...withoutPost(object, entry, situation) };
  return {
    ...base,
    version: entry.version,
    state: endOf(entry),
    code: entry.errorCode,
    message: entry.errorMessage,
    sourceId: entry.sourceId,
    attempts: entry.attempts,
    postedAt: entry.queuedAt ?? entry.intentAt,
    settledAt: entry.settledAt,
    repostedUnproven: entry.repostedUnproven,
    rows,
    // Not known in entries of older versions: then it is taken for the run's own.
    ...(entry.tag === null || entry.tag === tag ? {} : { earlierTag: entry.tag }),
  };
}

const STATES = {
  ingested: 'ingested',
  failed: 'failed',
  unknown: 'unknown',
  intent: 'unknown',
  queued: 'unknown',
  undone: 'notStarted',
} as const satisfies Record<LedgerState, ObjectState>;

/** An object of a retry shard that still has the fate of its last post. */
export function isYetToBePosted({ object, stored }: ShardItem): boolean {
  return object.failedSeq !== undefined && object.failedSeq === stored?.value.attemptSeq;
}

/** How an object ended of which the ledger says this. */
export function endOf({ state, errorCode }: Pick<LedgerEntry, 'state' | 'errorCode'>): ObjectState {
  if (state !== 'ingested' && state !== 'failed') return STATES[state];
  if (errorCode === 'objectChanged' || errorCode === 'objectReplaced') return 'changed';
  return errorCode === 'objectGone' || errorCode === 'goneUnreported' ? 'gone' : STATES[state];
}

/** The run has not posted the object: it was stopped, could not, or an earlier run's message is still open. */
function withoutPost(object: PlannedObject, entry: LedgerEntry | null, situation: OutcomeSituation) {
  const { code, stop } = situation;
  const none = { sourceId: null, attempts: 0, postedAt: null, settledAt: null, repostedUnproven: false };
  const why = code as ErrorCode | null;
  if (entry !== null && object.reason === 'recheck') {
    // Without a fence ahead, nothing that comes by itself would tell more.
    const hasFence = entry.urlExpiresAt !== null && !isBehindFence(entry, situation);
    const isPutOff = stop !== null || (why === null && hasFence);
    return {
      ...none,
      state: isPutOff ? ('deferred' as const) : ('unknown' as const),
      code: why ?? ('noReport' as const),
      message: ERROR_KINDS[why ?? 'noReport'].title,
      sourceId: entry.sourceId,
    };
  }
  if (stop !== null) return { ...none, state: 'notStarted' as const, code: null, message: null };
  return {
    ...none,
    state: 'failed' as const,
    code: 'notPosted' as const,
    message: why === null ? ERROR_KINDS.notPosted.title : ERROR_KINDS[why].title,
  };
}
