import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type SettlerInput,
  type SettleShardInput,
  type SettleShardOutput,
  type TakePostedInput,
  type TakePostedOutput,
} from '../../shared/contracts/durable.ts';
import { callActivity, loadHeldShard, type Orchestration, sleep, TURNS_PER_EXECUTION } from './steps.ts';

/** Looks at posted shards, the one that is due soonest first, until all lanes have ended and all shards are settled. */
export function* settler(context: OrchestrationContext): Orchestration<void> {
  const input = context.df.getInput<SettlerInput>()!;
  const { v, runId, epoch, settler } = input;
  let { turn, finished = null } = input;
  for (let count = 0; count < TURNS_PER_EXECUTION; count += 1) {
    const answer: TakePostedOutput = yield* callActivity<TakePostedOutput>(context, ACTIVITIES.takePosted, {
      v,
      runId,
      epoch,
      settler,
      turn,
      finished,
    } satisfies TakePostedInput);
    turn += 1;
    finished = null;
    switch (answer.kind) {
      case 'stop':
        return;
      case 'wait':
        yield* sleep(context, answer.waitMs);
        break;
      case 'settle': {
        const shardInput: SettleShardInput = { v, runId, epoch, settler, shard: answer.shard };
        yield* callActivity<SettleShardOutput>(context, ACTIVITIES.settleShard, shardInput);
        break;
      }
      case 'load':
        finished = yield* loadHeldShard(context, { v, runId, epoch }, answer);
        break;
    }
  }
  context.df.continueAsNew({ v, runId, epoch, settler, turn, finished } satisfies SettlerInput);
}
