import { LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';
import { change } from './part-commit.ts';

/**
 * Asks a run to end: no further objects are started, those in flight are settled. Asking again changes nothing.
 *
 * @throws {LoaderError} `runNotFound`; `runEnded`.
 */
export async function cancelRun(loader: Loader, runId: string): Promise<void> {
  for (;;) {
    const view = await loader.runs.readControl(runId);
    if (view === null) throw new LoaderError('runNotFound', `There is no run "${runId}"`);
    const { finalState } = view.run.value;
    if (finalState === 'cancelled') return;
    if (finalState !== null)
      throw new LoaderError('runEnded', `The run "${runId}" has ended: ${finalState}`, {
        facts: { state: finalState },
      });
    if (view.control.value.stop === 'cancel') return;
    const stopAt = loader.now().toISOString();
    if (await loader.runs.commit(runId, [change(view.control, { stop: 'cancel', stopAt })])) return;
  }
}
