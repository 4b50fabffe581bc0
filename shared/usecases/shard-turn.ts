import type { FinishedShard } from '../contracts/durable.ts';
import {
  CUT_SHORT,
  isCutShort,
  type RunView,
  SHARD_ATTEMPTS,
  type ShardRow,
  type Stored,
} from '../domain/run-record.ts';
import { ERROR_KINDS, type ErrorCode } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';
import { retryPauseMs } from './part-commit.ts';

/** Before the second attempt at a shard; it doubles. */
const RETRY_PAUSE_MS = 5000;

/** The shard as a part holds it that works through it in this turn. */
export function claimedShard(
  shard: ShardRow,
  { part, epoch, turn }: { readonly part: string; readonly epoch: number; readonly turn: number },
): ShardRow {
  const isAgain = shard.epoch === epoch && (shard.state === 'claimed' || isCutShort(shard));
  return {
    ...shard,
    state: 'claimed',
    heldBy: part,
    epoch,
    turn,
    attempt: isAgain ? shard.attempt + 1 : 1,
    // No settler, not even a late one, may close a shard that is worked through.
    postedAt: null,
    lookAt: null,
    code: null,
  };
}

/** The view after the part's last turn, with what is to be written for it. */
export interface RecordedTurn {
  readonly view: RunView;
  /** The shard that was finished, as it was and as it is to be; `null` when there is nothing to record. */
  readonly done: { readonly before: Stored<ShardRow>; readonly after: Stored<ShardRow> } | null;
}

/** Writes down how the shard of a part's last turn fared. */
export function recordTurn(
  loader: Loader,
  view: RunView,
  part: string,
  finished: FinishedShard | null,
): RecordedTurn {
  const done = finishTurn(loader, view, part, finished);
  if (done === null) return { view, done };
  return {
    done,
    view: { ...view, shards: view.shards.map((shard) => (shard === done.before ? done.after : shard)) },
  };
}

/**
 * Writes down how a shard fared. One that was worked through, or can't be, goes to the settlers, who account for what was
 * not posted; otherwise its lane tries it again after a pause. One that was cut short by a suspension goes to the settlers
 * for what it has posted, and waits for a lane with the rest.
 */
function finishTurn(
  loader: Loader,
  view: RunView,
  part: string,
  finished: FinishedShard | null,
): RecordedTurn['done'] {
  if (finished === null) return null;
  const shard = view.shards.find(({ value }) => value.shard === finished.shard);
  if (shard === undefined || shard.value.state !== 'claimed' || shard.value.heldBy !== part) return null;
  if (shard.value.epoch !== view.run.value.epoch) return null;
  const now = loader.now();
  const { attempt } = shard.value;
  const isTriedAgain =
    !finished.ok &&
    finished.code !== CUT_SHORT &&
    !isPermanent(finished.code) &&
    attempt < SHARD_ATTEMPTS &&
    view.control.value.stop === null;
  const lookMs = isTriedAgain
    ? retryPauseMs(loader, RETRY_PAUSE_MS * 2 ** (attempt - 1))
    : loader.timing.firstLookMs;
  const lookAt = new Date(now.getTime() + lookMs).toISOString();
  const after: ShardRow = isTriedAgain
    ? { ...shard.value, lookAt }
    : {
        ...shard.value,
        state: 'posted',
        heldBy: null,
        code: finished.code,
        postedAt: now.toISOString(),
        lookAt,
      };
  return { before: shard, after: { value: after, etag: shard.etag } };
}

/** An error of the loader itself may be the host's, which could not carry an activity out. */
function isPermanent(code: string | null): boolean {
  return code !== null && code !== 'internal' && ERROR_KINDS[code as ErrorCode].permanent;
}
