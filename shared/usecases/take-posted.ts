import type { TakePostedInput, TakePostedOutput } from '../contracts/durable.ts';
import { chooseForSettler } from '../domain/run-record.ts';
import type { Loader } from './loader.ts';
import { change, decideAsPart, pauseMs, SUSPENDED_PAUSE_MS } from './part-commit.ts';

/** Pause of a settler as long as nothing is posted. */
const IDLE_PAUSE_MS = 2000;

/**
 * Gives a settler the posted shard that is due soonest. Asked again for the same turn, it gives the same shard.
 * A settler that only waits asks again within a minute: that is its sign of life.
 */
export async function takePosted(loader: Loader, input: TakePostedInput): Promise<TakePostedOutput> {
  const { runId, epoch, settler, turn } = input;
  const part = `settler-${settler}`;
  const answer = await decideAsPart<TakePostedOutput>(
    loader,
    { runId, epoch, part },
    ({ view, me, etag }) => {
      if (me.endedAt !== null) return { answer: { kind: 'stop' }, me: null };
      if (etag !== null && me.turn > turn)
        return { answer: { kind: 'wait', waitMs: IDLE_PAUSE_MS }, me: null };
      if (etag !== null && me.turn === turn && me.holds !== null) {
        const held = view.shards.find(
          ({ value }) => value.shard === me.holds && value.heldBy === part && value.epoch === epoch,
        );
        if (held !== undefined) return { answer: { kind: 'settle', shard: held.value.shard }, me: null };
      }
      const now = loader.now();
      const choice = chooseForSettler(view, part, now);
      switch (choice.choice) {
        case 'stop':
          return { answer: { kind: 'stop' }, me: { turn, holds: null, endedAt: now.toISOString() } };
        case 'wait': {
          const idleMs = view.control.value.suspendedAt === null ? IDLE_PAUSE_MS : SUSPENDED_PAUSE_MS;
          const untilMs =
            choice.until === null ? pauseMs(loader, idleMs) : choice.until.getTime() - now.getTime();
          const waitMs = Math.max(20, Math.min(untilMs, loader.timing.longestTimerMs));
          return { answer: { kind: 'wait', waitMs }, me: { turn, holds: null } };
        }
        case 'settle': {
          const { shard } = choice;
          const postedAt = shard.value.postedAt ?? now.toISOString();
          return {
            answer: { kind: 'settle', shard: shard.value.shard },
            me: { turn, holds: shard.value.shard },
            writes: [
              change(shard, {
                state: 'posted',
                heldBy: part,
                epoch,
                turn,
                postedAt,
                lookAt: shard.value.lookAt ?? postedAt,
              }),
            ],
          };
        }
      }
    },
  );
  return answer ?? { kind: 'stop' };
}
