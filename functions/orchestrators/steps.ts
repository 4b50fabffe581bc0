import * as df from 'durable-functions';

/** Attempts at an activity that the host itself could not carry out, such as at a restart. */
const HOST_ATTEMPTS = 5;
const HOST_PAUSE_MS = 5000;

/**
 * Turns of an orchestration before it continues as new. The history is replayed at every turn, so it is kept short;
 * each turn is one activity and one timer or sub-orchestration.
 */
export const TURNS_PER_EXECUTION = 25;

/** Calls an activity that answers with data; only the host's own failures are thrown, and these are tried again. */
export function* callActivity<Output>(context: df.OrchestrationContext, name: string, input: unknown): Generator<df.Task, Output, unknown> {
  return (yield context.df.callActivityWithRetry(name, new df.RetryOptions(HOST_PAUSE_MS, HOST_ATTEMPTS), input)) as Output;
}

/** Sleeps by a durable timer. */
export function* sleep(context: df.OrchestrationContext, ms: number): Generator<df.Task, void, unknown> {
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + ms));
}
