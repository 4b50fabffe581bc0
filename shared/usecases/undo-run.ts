import type { UndoRequest } from '../domain/operation.ts';
import { operationId } from '../domain/run-id.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import { beginOperation, loadBusy } from './begin-operation.ts';
import type { Loader } from './loader.ts';
import { findUndoOf } from './operation-documents.ts';
import { type RunSnapshot, readSnapshot } from './run-documents.ts';

/** No extent has it: a drop of it changes nothing and tells whether dropping is permitted. */
const NO_EXTENT = '00000000-0000-0000-0000-000000000000';

export interface StartedUndo {
  readonly operationId: string;
  readonly tag: string;
}

/**
 * Begins to undo the unit of an ended run: all rows under its drop-by tag, also those of other runs that share the tag.
 * Asked again while it goes on, the same operation is named; one that was broken off after it had dropped rows is taken up
 * again; after its end, an undo finds only what was loaded since.
 *
 * @throws {LoaderError} `runNotFound`; `loadBusy`; `undoNotPermitted`.
 */
export async function startUndo(
  loader: Loader,
  orchestrations: Orchestrations,
  ofRun: string,
): Promise<StartedUndo> {
  const view = await loader.runs.readControl(ofRun);
  if (view === null) throw new LoaderError('runNotFound', `There is no run "${ofRun}"`);
  if (view.run.value.finalState === null)
    throw new LoaderError('loadBusy', `The run "${ofRun}" has not ended`, { facts: { runId: ofRun } });
  const snapshot = await readSnapshot(loader, ofRun);
  const { tag } = snapshot;
  const latest = await findUndoOf(loader, tag);
  if (latest?.value.state === 'running') return { operationId: latest.value.operationId, tag };
  await expectPermitted(loader, snapshot);

  const { load } = snapshot.request;
  const now = loader.now();
  const createdAt = now.toISOString();
  const isBrokenOff = latest?.value.state === 'failed' && latest.value.hasDropped;
  const runId = isBrokenOff
    ? latest.value.operationId
    : operationId('undo', load, now, loader.randomSuffix());
  const request: UndoRequest = { operation: 'undo', runId, load, ofRun, createdAt };
  const holder = await beginOperation(loader, orchestrations, request);
  if (holder === null) return { operationId: runId, tag };
  const isTwin =
    'operation' in holder &&
    holder.operation === 'undo' &&
    (await readSnapshot(loader, holder.ofRun)).tag === tag;
  if (!isTwin) throw loadBusy(load, holder);
  return { operationId: holder.runId, tag };
}

async function expectPermitted(loader: Loader, { definition, tag }: RunSnapshot): Promise<void> {
  const { cluster, database, table } = definition.destination;
  try {
    const ingestion = await loader.ingestion(cluster);
    await ingestion.dropExtents({ database, table, tag, extentIds: [NO_EXTENT] });
  } catch (thrown) {
    // Everything else is met again by the operation itself, which can wait.
    if (thrown instanceof LoaderError && thrown.code === 'undoNotPermitted') throw thrown;
  }
}
