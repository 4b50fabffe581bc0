import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type SettlerInput,
  type SettleShardInput,
  type SettleShardOutput,
  type TakePostedInput,
  type TakePostedOutput,
} from '../../shared/contracts/durable.ts';
import { callActivity, type Orchestration, sleep, TURNS_PER_EXECUTION } from './steps.ts';

/** Looks at posted shards, the one that is due soonest first, until all lanes have ended and all shards are settled. */
export function* settler(context: OrchestrationContext): Orchestration<void> {
  const { v, runId, epoch, settler, turn: firstTurn } = context.df.getInput<SettlerInput>()!;
  let turn = firstTurn;
  for (let count = 0; count < TURNS_PER_EXECUTION; count += 1) {
    const input: TakePostedInput = { v, runId, epoch, settler, turn };
    const answer = yield* callActivity<TakePostedOutput>(context, ACTIVITIES.takePosted, input);
    turn += 1;
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
    }
  }
  context.df.continueAsNew({ v, runId, epoch, settler, turn } satisfies SettlerInput);
}
