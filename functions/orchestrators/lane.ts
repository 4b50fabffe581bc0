import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type LaneInput,
  type TakeShardInput,
  type TakeShardOutput,
} from '../../shared/contracts/durable.ts';
import { callActivity, loadHeldShard, type Orchestration, sleep, TURNS_PER_EXECUTION } from './steps.ts';

/** Works through shards one after the other; what a lane is doing is told to `takeShard` with its next turn. */
export function* lane(context: OrchestrationContext): Orchestration<void> {
  const input = context.df.getInput<LaneInput>()!;
  const { v, runId, epoch, lane } = input;
  let { turn, finished } = input;
  for (let count = 0; count < TURNS_PER_EXECUTION; count += 1) {
    const answer: TakeShardOutput = yield* callActivity<TakeShardOutput>(context, ACTIVITIES.takeShard, {
      v,
      runId,
      epoch,
      lane,
      turn,
      finished,
    } satisfies TakeShardInput);
    turn += 1;
    finished = null;
    switch (answer.kind) {
      case 'stop':
        return;
      case 'wait':
        yield* sleep(context, answer.waitMs);
        break;
      case 'shard':
        finished = yield* loadHeldShard(context, { v, runId, epoch }, answer);
        break;
    }
  }
  context.df.continueAsNew({ v, runId, epoch, lane, turn, finished } satisfies LaneInput);
}
