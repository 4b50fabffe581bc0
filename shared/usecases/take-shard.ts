import type { TakeShardInput, TakeShardOutput } from '../contracts/durable.ts';
import { atShare, shareAt } from '../domain/pace.ts';
import { chooseForLane, type RunView, type ShardRow } from '../domain/run-record.ts';
import type { RunWrite } from '../ports/run-store.ts';
import { mostInFlight } from './fair-share.ts';
import type { Loader } from './loader.ts';
import { decideAsPart, pauseMs, SUSPENDED_PAUSE_MS } from './part-commit.ts';
import { readSnapshot } from './run-documents.ts';
import { claimedShard, recordTurn } from './shard-turn.ts';

/** Pause of a lane that has nothing to do, before the first plan page and later. */
const FIRST_PAUSE_MS = 1000;
const PAUSE_MS = 5000;

/**
 * Marks the shard of a lane's last turn as posted and gives the lane the next one, in one transaction.
 *
 * Asked again for the same turn, it gives what that turn already holds.
 */
export async function takeShard(loader: Loader, input: TakeShardInput): Promise<TakeShardOutput> {
  const { runId, epoch, lane, turn, finished } = input;
  const part = `lane-${lane}`;
  const { definition } = await readSnapshot(loader, runId);
  const maxInFlight = await mostInFlight(loader, definition);
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
    const { view: after, done } = recordTurn(loader, view, part, finished);
    const writes: RunWrite[] = done === null ? [] : [{ value: done.after.value, etag: done.before.etag }];
    const pace = shareAt(view.control.value.pace, loader.now(), loader.timeScale);
    const bounds = {
      maxInFlight: atShare(maxInFlight, pace),
      lanes: atShare(definition.concurrency.lanes, pace),
    };
    const choice = chooseForLane(after, part, bounds, loader.now());
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
        const claim = claimedShard(shard.value, { part, epoch, turn });
        return {
          answer: shardAnswer(claim),
          me: { turn, holds: shard.value.shard },
          // The shard of the last turn may be handed out again at once: one write per row.
          writes: [
            ...writes.filter(({ value }) => (value as ShardRow).shard !== shard.value.shard),
            { value: claim, etag: shard.etag },
          ],
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
