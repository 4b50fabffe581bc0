import type { RunState } from '../domain/run-summary.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';
import { change, expectNotOver } from './part-commit.ts';

/**
 * Asks a run to end: no further objects are started, those in flight are settled. Asking again changes nothing.
 *
 * @returns the state of the run: `cancelling`, or `cancelled` where it has ended so.
 * @throws {LoaderError} `runNotFound`; `runEnded`.
 */
export async function cancelRun(loader: Loader, runId: string): Promise<RunState> {
  for (;;) {
    const view = await loader.runs.readControl(runId);
    if (view === null) throw new LoaderError('runNotFound', `There is no run "${runId}"`);
    const { finalState } = view.run.value;
    if (finalState === 'cancelled') return finalState;
    if (finalState === null && view.control.value.stop === 'cancel') return 'cancelling';
    expectNotOver(view.run.value);
    const stopAt = loader.now().toISOString();
    // The run's own row, too: a run that is just ending does not take the order.
    const writes = [change(view.control, { stop: 'cancel', stopAt }), change(view.run, {})];
    if (await loader.runs.commit(runId, writes)) return 'cancelling';
  }
}
