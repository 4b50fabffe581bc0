import type { RunRef } from '../contracts/durable.ts';
import { lowered } from '../domain/pace.ts';
import { type ErrorCode, LoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Loader } from './loader.ts';
import { change } from './part-commit.ts';

/** Errors that say that requests come too fast. */
const THROTTLED: ReadonlySet<string> = new Set<ErrorCode>(['sourceThrottled', 'clusterThrottled']);

/** Slows the run down when one of these is an error that says that requests come too fast. */
export async function slowDownBy(
  loader: Loader,
  ref: Pick<RunRef, 'runId' | 'epoch'>,
  answers: readonly unknown[],
): Promise<void> {
  if (answers.some((answer) => answer instanceof LoaderError && THROTTLED.has(answer.code)))
    await slowDown(loader, ref);
}

/**
 * Halves what the run has under way at the same time, unless that was done just before. Losing the race for these rows is
 * as good: somebody else did it, or the run is asked for something else or taken over, and the next answer says it again.
 */
export async function slowDown(
  loader: Loader,
  { runId, epoch }: Pick<RunRef, 'runId' | 'epoch'>,
): Promise<void> {
  try {
    const now = await loader.runs.readControl(runId);
    if (now === null || now.run.value.epoch !== epoch || now.run.value.finalState !== null) return;
    const pace = lowered(now.control.value.pace, loader.now(), loader.timeScale);
    if (pace === null) return;
    // The run's own row, too: what an epoch that is over has seen is not for the newer one.
    if (!(await loader.runs.commit(runId, [change(now.control, { pace }), change(now.run, {})]))) return;
    events.runSlowedDown(loader.logger, { runId, epoch, share: pace.share, slowdowns: pace.slowdowns });
  } catch {
    // The state storage is away: it has its own backpressure.
  }
}
