import type { ErrorCode } from '../errors/loader-error.ts';
import { isBehindFence, isUnsettled, type LedgerEntry, mayHaveRows } from './ledger-entry.ts';
import type { S3Object } from './s3-object.ts';
import type { SkipReason } from './selection.ts';

export interface ChangePolicy {
  /** What to do with a key that was ingested in another version. */
  readonly changed: 'skip' | 'reload';
  /** Somebody asks for objects that an earlier run has not loaded: those that failed are tried again. */
  readonly retryFailed: boolean;
  /** Of reruns: whether an object without a report may be posted although that may make a second set of rows. */
  readonly acceptDoubles?: boolean;
  /** What is done with an object without a report behind its fence. Default, and in loads of older versions: `repost`. */
  readonly onUnproven?: 'repost' | 'report';
}

/** Why an object is loaded. `again`: it failed in this very run, and is posted once more. */
export type LoadReason = 'new' | 'changed' | 'retry' | 'recheck' | 'again';

export type PlanDecision =
  | { readonly plan: 'load'; readonly reason: LoadReason }
  | { readonly plan: 'skip'; readonly reason: SkipReason };

/**
 * How objects failed with which nothing is wrong: no queue took them, ADX had no capacity or came too late to read them, or
 * they were not there. The next run that finds them tries them again.
 */
const TRIED_AGAIN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'queueRefused',
  'ingestionThrottled',
  'urlExpired',
  'objectGone',
  'goneUnreported',
  'objectChanged',
  'objectReplaced',
]);

/** Of these a message may have been ingested: in the same version they are posted without proof. */
const GIVEN_UP: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['goneUnreported', 'objectChanged']);

/** After so many attempts a URL that always ends too soon is somebody's to look at. */
const MOST_URLS = 5;

function isTriedAgain({ errorCode, attempts }: KnownObject, { onUnproven }: ChangePolicy): boolean {
  if (errorCode === null || !TRIED_AGAIN.has(errorCode)) return false;
  if (onUnproven === 'report' && GIVEN_UP.has(errorCode)) return false;
  return errorCode !== 'urlExpired' || attempts < MOST_URLS;
}

/**
 * Whether the present version of a key that was ingested as another is loaded beside it. Where the key was not, or may not
 * have been, what was to be loaded (the entry has a code), whoever asks for what was not loaded gets it also without `reload`.
 */
function isReloaded({ errorCode }: Pick<LedgerEntry, 'errorCode'>, policy: ChangePolicy): boolean {
  return policy.changed === 'reload' || (policy.retryFailed && errorCode !== null);
}

/** What planning needs to know of a ledger entry; `urlExpiresAt` only while its fate is open. */
export type KnownObject = Pick<
  LedgerEntry,
  'version' | 'sizeBytes' | 'state' | 'runId' | 'errorCode' | 'attempts' | 'urlExpiresAt'
>;

const load = (reason: LoadReason): PlanDecision => ({ plan: 'load', reason });
const skip = (reason: SkipReason): PlanDecision => ({ plan: 'skip', reason });

/**
 * What a run does with a selected object, given what the ledger knows of its key.
 *
 * An object whose earlier message may still be alive is never planned here: the run's manifest of unsettled objects
 * settles it first.
 */
export function decidePlan(object: S3Object, entry: KnownObject | null, policy: ChangePolicy): PlanDecision {
  if (entry === null) return load('new');
  if (isUnsettled(entry.state)) return skip('unsettled');
  const sameVersion = entry.version === object.version;
  switch (entry.state) {
    case 'ingested':
      if (sameVersion) return skip('unchanged');
      return isReloaded(entry, policy) ? load('changed') : skip('changed');
    case 'failed':
      if (!sameVersion) return load('changed');
      return policy.retryFailed || isTriedAgain(entry, policy) ? load('retry') : skip('failedBefore');
    case 'undone':
      return load('retry');
    default:
      return skip('unsettled');
  }
}

/** What `ingestUnit` does with a planned object, given the ledger's entry at that very moment. */
export type PostDecision =
  | { readonly post: 'first' }
  | { readonly post: 'again'; readonly provenNotIngested: boolean }
  /** The object needs no post from this run: it is settled, or settling, or another run's. */
  | {
      readonly post: 'no';
      /**
       * Only a person may have another message sent, and no message is alive any more. It would keep newer versions of its
       * key out for ever: it is given up as soon as the key holds another one, or nothing.
       */
      readonly givesWay?: true;
    };

export interface PostSituation {
  readonly runId: string;
  readonly reason: LoadReason;
  /** With `again`: the attempt that failed. */
  readonly failedSeq?: number;
  readonly version: string;
  readonly now: Date;
  readonly downloadGraceMs: number;
  readonly policy: ChangePolicy;
}

/**
 * Whether an object may be posted now. This is the guard that keeps the number of live messages per object version
 * at one: activities may run twice and at the same time, and runs may be taken over.
 */
export function decidePost(entry: LedgerEntry | null, situation: PostSituation): PostDecision {
  if (entry === null) return { post: 'first' };
  if (situation.reason === 'again') {
    const isIt = entry.state === 'failed' && entry.attemptSeq === situation.failedSeq;
    return isIt && entry.runId === situation.runId
      ? { post: 'again', provenNotIngested: !mayHaveRows(entry, situation.version) }
      : { post: 'no' };
  }
  // What was open when the run began has been settled since, or is another version now: nothing is left to be done.
  if (situation.reason === 'recheck' && (!isUnsettled(entry.state) || entry.version !== situation.version))
    return { post: 'no' };
  switch (entry.state) {
    case 'undone':
      return { post: 'again', provenNotIngested: true };
    case 'ingested':
      // What this run has loaded may name another version than was planned; its twin has nothing left to do.
      if (entry.runId === situation.runId) return { post: 'no' };
      // The rows of a key that was, or may have been, rewritten while it was loaded may be those of the version that is to
      // be loaded now.
      return entry.version !== situation.version && isReloaded(entry, situation.policy)
        ? { post: 'again', provenNotIngested: entry.errorCode === null }
        : { post: 'no' };
    case 'failed':
      // A failure of this run stays one: trying again within the run is the settler's decision, not a twin's.
      if (entry.runId === situation.runId) return { post: 'no' };
      // The last message has failed for certain, unless it was given up; whether one before it did may never have been
      // reported.
      return entry.version !== situation.version || situation.reason === 'retry'
        ? { post: 'again', provenNotIngested: !mayHaveRows(entry, situation.version) }
        : { post: 'no' };
    case 'intent':
    case 'queued':
    case 'unknown': {
      if (situation.reason !== 'recheck' || entry.runId === situation.runId) return { post: 'no' };
      // ADX may have ingested every message that it never reported: one more is sent by itself, others on request.
      const { retryFailed, acceptDoubles, onUnproven } = situation.policy;
      const isForPerson =
        (onUnproven === 'report' && acceptDoubles !== true) ||
        (entry.repostedUnproven && !(acceptDoubles ?? retryFailed));
      if (isForPerson)
        return isBehindFence(entry, situation) ? { post: 'no', givesWay: true } : { post: 'no' };
      // Without an end of its URL an earlier message may yet be carried out: only a person may decide to send another.
      if (entry.urlExpiresAt === null && acceptDoubles === true)
        return { post: 'again', provenNotIngested: false };
      return isBehindFence(entry, situation) ? { post: 'again', provenNotIngested: false } : { post: 'no' };
    }
  }
}
