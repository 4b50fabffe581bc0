import * as df from 'durable-functions';

import {
  type FinishedShard,
  type LoadShardInput,
  ORCHESTRATORS,
  type RunRef,
} from '../../shared/contracts/durable.ts';
import { shardInstanceId } from '../../shared/domain/run-id.ts';

/** What an orchestrator is: it yields tasks of the Durable runtime and nothing else. */
export type Orchestration<Output = unknown> = Generator<df.Task, Output, unknown>;

/**
 * Attempts at an activity that the host itself could not carry out, such as at a restart, or whose storage is away: eight
 * in four minutes, 5 s apart and then twice as far each time. A part that gives up costs its run ten silent minutes.
 *
 * Not by chance, for an orchestrator must decide the same when it is replayed. What wakes at once waits in the queue of
 * activities, of which a host carries ten out at a time.
 */
function hostRetries(): df.RetryOptions {
  const options = new df.RetryOptions(5000, 8);
  options.backoffCoefficient = 2;
  options.maxRetryIntervalInMilliseconds = 60_000;
  return options;
}

/**
 * Turns of an orchestration before it continues as new. The history is replayed at every turn, so it is kept short;
 * each turn is one activity and one timer or sub-orchestration.
 */
export const TURNS_PER_EXECUTION = 25;

/** Calls an activity that answers with data; only the host's own failures are thrown, and these are tried again. */
export function* callActivity<Output>(
  context: df.OrchestrationContext,
  name: string,
  input: unknown,
): Orchestration<Output> {
  return (yield context.df.callActivityWithRetry(name, hostRetries(), input)) as Output;
}

/** Has a shard worked through by an orchestration of its own, whose history stays short. */
export function* loadHeldShard(
  context: df.OrchestrationContext,
  { v, runId, epoch }: RunRef,
  { shard, units, attempt }: { readonly shard: string; readonly units: number; readonly attempt: number },
): Orchestration<FinishedShard> {
  const input: LoadShardInput = { v, runId, epoch, shard, units };
  const instance = shardInstanceId({ runId, epoch, shard, attempt });
  return (yield context.df.callSubOrchestrator(ORCHESTRATORS.loadShard, input, instance)) as FinishedShard;
}

/** Sleeps by a durable timer. */
export function* sleep(context: df.OrchestrationContext, ms: number): Orchestration<void> {
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + ms));
}

/**
 * Makes an orchestrator that ends quietly when the host can't carry its activities out. The part's row is then left
 * without an end: it counts as silent, and the tick takes the run over, also when all parts have ended so and the run has
 * come to its finish. A throw would end the parent while its other parts are still at work.
 */
export function endingQuietly(orchestrator: (context: df.OrchestrationContext) => Orchestration<void>) {
  return function* (context: df.OrchestrationContext): Orchestration<{ readonly ok: boolean }> {
    try {
      yield* orchestrator(context);
      return { ok: true };
    } catch {
      return { ok: false };
    }
  };
}
