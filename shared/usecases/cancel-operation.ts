import { mayHaveChanged, type ShownOperation } from '../domain/operation.ts';
import { LoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Loader } from './loader.ts';
import { findOperation, readOperation, saveOperation } from './operation-documents.ts';

/**
 * Ends an undo or a reset that has changed nothing yet, and frees its load. Asking again changes nothing.
 *
 * Whoever carries it out loses the race for its document, and so comes to no change any more.
 *
 * @throws {LoaderError} `operationNotFound`; `operationEnded`; `operationUnderWay` when it may have changed something.
 */
export async function cancelOperation(loader: Loader, operationId: string): Promise<ShownOperation> {
  for (;;) {
    const stored = await findOperation(loader, operationId);
    if (stored === null) throw new LoaderError('operationNotFound', `There is no operation "${operationId}"`);
    const { kind, load, state, objects } = stored.value;
    if (state !== 'cancelled') {
      const facts = { operationId };
      if (state !== 'running')
        throw new LoaderError('operationEnded', `The operation "${operationId}" has ended: ${state}`, {
          facts: { ...facts, state },
        });
      if (mayHaveChanged(stored.value)) {
        const what = kind === 'undo' ? 'drop rows' : 'mark objects';
        throw new LoaderError('operationUnderWay', `The ${kind} "${operationId}" has begun to ${what}`, {
          facts,
        });
      }
      const cancelled = {
        ...stored.value,
        state: 'cancelled',
        endedAt: loader.now().toISOString(),
      } as const;
      if (!(await saveOperation(loader, cancelled, stored.etag))) continue;
      events.operationEnded(loader.logger, { operationId, kind, state: cancelled.state, objects });
    }
    await loader.loads.releaseLock(load, operationId);
    return readOperation(loader, operationId);
  }
}
