import { type RunView, runState } from '../domain/run-record.ts';
import type { RunState } from '../domain/run-summary.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';
import { change, expectNotOver } from './part-commit.ts';

/**
 * Asks a run to pause: nothing new is planned or posted until it is resumed, what is in flight is settled. The run's
 * parts stay alive, and it holds its load. Asking again changes nothing.
 *
 * @returns the state of the run.
 * @throws {LoaderError} `runNotFound`; `runEnded`; `runCancelling`.
 */
export function suspendRun(loader: Loader, runId: string): Promise<RunState> {
  return setSuspended(loader, runId, true);
}

/**
 * Lets a suspended run go on where it was. Asking again changes nothing.
 *
 * @returns the state of the run.
 * @throws {LoaderError} `runNotFound`; `runEnded`; `runCancelling`.
 */
export function resumeRun(loader: Loader, runId: string): Promise<RunState> {
  return setSuspended(loader, runId, false);
}

async function setSuspended(loader: Loader, runId: string, isSuspended: boolean): Promise<RunState> {
  for (;;) {
    const view = await loader.runs.readRun(runId);
    if (view === null) throw new LoaderError('runNotFound', `There is no run "${runId}"`);
    expectUnderWay(view);
    if ((view.control.value.suspendedAt !== null) === isSuspended) return runState(view);
    const suspendedAt = isSuspended ? loader.now().toISOString() : null;
    const control = { value: { ...view.control.value, suspendedAt }, etag: view.control.etag };
    // The run's own row, too: a run that is just ending does not take the order.
    const writes = [change(view.control, { suspendedAt }), change(view.run, {})];
    if (await loader.runs.commit(runId, writes)) return runState({ ...view, control });
  }
}

function expectUnderWay({ run, control }: RunView): void {
  expectNotOver(run.value);
  if (control.value.stop !== null) {
    const { runId } = run.value;
    throw new LoaderError('runCancelling', `The run "${runId}" is ending: it was asked to stop`, {
      facts: { runId },
    });
  }
}
