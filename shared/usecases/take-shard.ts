import type { TakeShardInput, TakeShardOutput } from '../contracts/durable.ts';
import {
  CUT_SHORT,
  chooseForLane,
  isCutShort,
  type RunView,
  SHARD_ATTEMPTS,
  type ShardRow,
  type Stored,
} from '../domain/run-record.ts';
import { ERROR_KINDS, type ErrorCode } from '../errors/loader-error.ts';
import type { RunWrite } from '../ports/run-store.ts';
import type { Loader } from './loader.ts';
import { change, decideAsPart, pauseMs, SUSPENDED_PAUSE_MS } from './part-commit.ts';
import { readSnapshot } from './run-documents.ts';

/** Pause of a lane that has nothing to do, before the first plan page and later. */
const FIRST_PAUSE_MS = 1000;
const PAUSE_MS = 5000;
/** Before the second attempt at a shard; it doubles. */
const RETRY_PAUSE_MS = 5000;

/**
 * Marks the shard of a lane's last turn as posted and gives the lane the next one, in one transaction.
 *
 * Asked again for the same turn, it gives what that turn already holds.
 */
export async function takeShard(loader: Loader, input: TakeShardInput): Promise<TakeShardOutput> {
  const { runId, epoch, lane, turn, finished } = input;
  const part = `lane-${lane}`;
  const { definition } = await readSnapshot(loader, runId);
  const answer = await decideAsPart<TakeShardOutput>(loader, { runId, epoch, part }, ({ view, me, etag }) => {
    if (me.endedAt !== null) return { answer: { kind: 'stop' }, me: null };
    if (etag !== null && me.turn > turn)
      return { answer: { kind: 'wait', waitMs: FIRST_PAUSE_MS }, me: null };
    if (etag !== null && me.turn === turn && me.holds !== null) {
      const held = view.shards.find(({ value }) => value.shard === me.holds);
      if (
        held !== undefined &&
        held.value.heldBy === part &&
        held.value.epoch === epoch &&
        held.value.state === 'claimed'
      ) {
        return { answer: shardAnswer(held.value), me: null };
      }
    }
    const done = recordTurn(loader, view, part, finished);
    const after: RunView =
      done === null
        ? view
        : { ...view, shards: view.shards.map((shard) => (shard === done.shard ? done.after : shard)) };
    const writes: RunWrite[] = done === null ? [] : [{ value: done.after.value, etag: done.shard.etag }];
    const choice = chooseForLane(after, part, definition.concurrency.maxInFlight, loader.now());
    switch (choice.choice) {
      case 'stop':
        return {
          answer: { kind: 'stop' },
          me: { turn, holds: null, endedAt: loader.now().toISOString() },
          writes,
        };
      case 'wait': {
        const idleMs = pauseMs(loader, idlePauseMs(view));
        const untilMs = choice.until === null ? idleMs : choice.until.getTime() - loader.now().getTime();
        const waitMs = Math.max(20, Math.min(untilMs, loader.timing.longestTimerMs));
        return { answer: { kind: 'wait', waitMs }, me: { turn, holds: null }, writes };
      }
      case 'shard': {
        const { shard } = choice;
        const again =
          shard.value.epoch === epoch && (shard.value.state === 'claimed' || isCutShort(shard.value));
        const claim = change(shard, {
          state: 'claimed',
          heldBy: part,
          epoch,
          turn,
          attempt: again ? shard.value.attempt + 1 : 1,
          // No settler, not even a late one, may close a shard that a lane works through.
          postedAt: null,
          lookAt: null,
          code: null,
        });
        return {
          answer: shardAnswer(claim.value as ShardRow),
          me: { turn, holds: shard.value.shard },
          // The shard of the last turn may be handed out again at once: one write per row.
          writes: [...writes.filter(({ value }) => (value as ShardRow).shard !== shard.value.shard), claim],
        };
      }
    }
  });
  return answer ?? { kind: 'stop' };
}

function shardAnswer({ shard, units, attempt }: ShardRow): TakeShardOutput {
  return { kind: 'shard', shard, units, attempt };
}

function idlePauseMs({ control, parts }: RunView): number {
  if (control.value.suspendedAt !== null) return SUSPENDED_PAUSE_MS;
  return parts.some(({ value }) => value.part === 'planner' && value.turn > 0) ? PAUSE_MS : FIRST_PAUSE_MS;
}

/**
 * Writes down how a shard fared. One that was worked through, or can't be, goes to the settlers, who account for what was
 * not posted; otherwise its lane tries it again after a pause. One that was cut short by a suspension goes to the settlers
 * for what it has posted, and waits for a lane with the rest.
 */
function recordTurn(
  loader: Loader,
  view: RunView,
  part: string,
  finished: TakeShardInput['finished'],
): { readonly shard: Stored<ShardRow>; readonly after: Stored<ShardRow> } | null {
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
    ? pauseMs(loader, RETRY_PAUSE_MS * 2 ** (attempt - 1))
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
  return { shard, after: { value: after, etag: shard.etag } };
}

/** An error of the loader itself may be the host's, which could not carry an activity out. */
function isPermanent(code: string | null): boolean {
  return code !== null && code !== 'internal' && ERROR_KINDS[code as ErrorCode].permanent;
}
