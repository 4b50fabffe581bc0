import type { TakePostedInput, TakePostedOutput } from '../contracts/durable.ts';
import { atShare, shareAt } from '../domain/pace.ts';
import { chooseForSettler, type ShardRow } from '../domain/run-record.ts';
import type { RunWrite } from '../ports/run-store.ts';
import { mostInFlight } from './fair-share.ts';
import type { Loader } from './loader.ts';
import { decideAsPart, pauseMs, SUSPENDED_PAUSE_MS } from './part-commit.ts';
import { readSnapshot } from './run-documents.ts';
import { claimedShard, recordTurn } from './shard-turn.ts';

/** Pause of a settler as long as nothing is posted. */
const IDLE_PAUSE_MS = 2000;

/**
 * Gives a settler the shard that is due soonest: a posted one to look at, or one whose objects are posted once more.
 * Asked again for the same turn, it gives the same shard.
 * A settler that only waits asks again within a minute: that is its sign of life.
 */
export async function takePosted(loader: Loader, input: TakePostedInput): Promise<TakePostedOutput> {
  const { runId, epoch, settler, turn, finished = null } = input;
  const part = `settler-${settler}`;
  const { definition } = await readSnapshot(loader, runId);
  const maxInFlight = await mostInFlight(loader, definition);
  const answer = await decideAsPart<TakePostedOutput>(
    loader,
    { runId, epoch, part },
    ({ view, me, etag }) => {
      if (me.endedAt !== null) return { answer: { kind: 'stop' }, me: null };
      const over = { answer: { kind: 'wait', waitMs: pauseMs(loader, IDLE_PAUSE_MS) }, me: null } as const;
      if (etag !== null && me.turn > turn) return over;
      if (etag !== null && me.turn === turn && me.holds !== null) {
        const held = view.shards.find(
          ({ value }) => value.shard === me.holds && value.heldBy === part && value.epoch === epoch,
        );
        // Settled, or put back, or somebody else's by now: the turn is over, and a twin of it takes no other shard.
        return held === undefined ? over : { answer: answerFor(held.value), me: null };
      }
      const { view: after, done } = recordTurn(loader, view, part, finished);
      const writes: RunWrite[] = done === null ? [] : [{ value: done.after.value, etag: done.before.etag }];
      const now = loader.now();
      const pace = shareAt(view.control.value.pace, now, loader.timeScale);
      const choice = chooseForSettler(after, part, { maxInFlight: atShare(maxInFlight, pace) }, now);
      switch (choice.choice) {
        case 'stop':
          return { answer: { kind: 'stop' }, me: { turn, holds: null, endedAt: now.toISOString() }, writes };
        case 'wait': {
          const idleMs = view.control.value.suspendedAt === null ? IDLE_PAUSE_MS : SUSPENDED_PAUSE_MS;
          const untilMs =
            choice.until === null ? pauseMs(loader, idleMs) : choice.until.getTime() - now.getTime();
          const waitMs = Math.max(20, Math.min(untilMs, loader.timing.longestTimerMs));
          return { answer: { kind: 'wait', waitMs }, me: { turn, holds: null }, writes };
        }
        case 'settle':
        case 'load': {
          const { value, etag } = choice.shard;
          const held =
            choice.choice === 'load'
              ? claimedShard(value, { part, epoch, turn })
              : heldForSettling(value, { part, epoch, turn, now });
          return {
            answer: answerFor(held),
            me: { turn, holds: held.shard },
            // The shard of the last turn may be handed out again at once: one write per row.
            writes: [
              ...writes.filter((write) => (write.value as ShardRow).shard !== held.shard),
              { value: held, etag },
            ],
          };
        }
      }
    },
  );
  return answer ?? { kind: 'stop' };
}

/** A retry shard that the settler holds is worked through until it counts as posted. */
function answerFor({ shard, state, units, attempt }: ShardRow): TakePostedOutput {
  return state === 'claimed' ? { kind: 'load', shard, units, attempt } : { kind: 'settle', shard };
}

function heldForSettling(
  shard: ShardRow,
  {
    part,
    epoch,
    turn,
    now,
  }: { readonly part: string; readonly epoch: number; readonly turn: number; readonly now: Date },
): ShardRow {
  const postedAt = shard.postedAt ?? now.toISOString();
  return { ...shard, state: 'posted', heldBy: part, epoch, turn, postedAt, lookAt: shard.lookAt ?? postedAt };
}
