import { PAYLOAD_VERSION } from '../contracts/durable.ts';
import { undoInstanceId, undoOperationId } from '../domain/run-id.ts';
import type { UndoOperation, UndoRequest } from '../domain/undo-operation.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Lock } from '../ports/load-state.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import type { Loader } from './loader.ts';
import { type RunSnapshot, readSnapshot } from './run-documents.ts';
import {
  findOperation,
  findUndoOf,
  nameUndoOf,
  type StoredOperation,
  saveOperation,
} from './undo-documents.ts';

/** No extent has it: a drop of it changes nothing and tells whether dropping is permitted. */
const NO_EXTENT = '00000000-0000-0000-0000-000000000000';

/** A start that is under way right now is not completed by the tick. */
const START_GRACE_MS = 30_000;

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
  const runId = isBrokenOff ? latest.value.operationId : undoOperationId(load, now, loader.randomSuffix());
  const request: UndoRequest = { operation: 'undo', runId, load, ofRun, createdAt };
  const lock = await loader.loads.acquireLock({ load, request, acquiredAt: createdAt });
  if (!lock.acquired) {
    const { request: holder } = lock.heldBy;
    if (!('operation' in holder))
      throw new LoaderError('loadBusy', `The load "${load}" is being run by ${holder.runId}`, {
        facts: { runId: holder.runId },
      });
    if ((await readSnapshot(loader, holder.ofRun)).tag === tag) return { operationId: holder.runId, tag };
    throw new LoaderError('loadBusy', `The load "${load}" is being undone by ${holder.runId}`, {
      facts: { operationId: holder.runId },
    });
  }
  await beginUndo(loader, orchestrations, request);
  return { operationId: runId, tag };
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

/** Everything behind the lock. Any step may have been done before; each is done once. */
async function beginUndo(
  loader: Loader,
  orchestrations: Orchestrations,
  request: UndoRequest,
): Promise<void> {
  const stored = await findOperation(loader, request.runId);
  const { tag, tagWindow } = await readSnapshot(loader, request.ofRun);
  const fresh: UndoOperation = {
    v: 1,
    operationId: request.runId,
    kind: 'undo',
    load: request.load,
    runId: request.ofRun,
    tag,
    tagWindow,
    runs: null,
    state: 'running',
    step: 'check',
    createdAt: stored?.value.createdAt ?? request.createdAt,
    endedAt: null,
    problem: null,
    objects: 0,
    rows: 0,
    since: request.createdAt,
    hasDropped: stored?.value.hasDropped ?? false,
    extentIds: null,
    partition: 0,
    attempt: (stored?.value.attempt ?? 0) + 1,
    heartbeatAt: loader.now().toISOString(),
  };
  if (stored === null || isOfEarlierLock(stored, request)) {
    // The name first: a name of nothing does no harm, an undo without one could not be taken up again.
    await nameUndoOf(loader, fresh);
    if (await saveOperation(loader, fresh, stored?.etag ?? null)) await startInstance(orchestrations, fresh);
    return;
  }
  if (stored.value.state === 'running') await startInstance(orchestrations, stored.value);
}

/** It ended before the lock was taken: the lock is there to take it up again. */
function isOfEarlierLock({ value }: StoredOperation, { createdAt }: UndoRequest): boolean {
  return value.state !== 'running' && value.since < createdAt;
}

function startInstance(
  orchestrations: Orchestrations,
  { operationId, attempt }: UndoOperation,
): Promise<boolean> {
  const input = { v: PAYLOAD_VERSION, operationId, attempt } as const;
  return orchestrations.startUndo(undoInstanceId(input), input);
}

/** The tick's care for a load that is being undone: completes, frees, and gives a broken instance a successor. */
export async function lookAfterUndo(
  loader: Loader,
  orchestrations: Orchestrations,
  { load, request, acquiredAt }: Omit<Lock, 'request'> & { readonly request: UndoRequest },
): Promise<void> {
  const now = loader.now().getTime();
  const isYoung = now - Date.parse(acquiredAt) < START_GRACE_MS / loader.timeScale;
  const stored = await findOperation(loader, request.runId);
  if (stored === null || isOfEarlierLock(stored, request)) {
    if (!isYoung) await beginUndo(loader, orchestrations, request);
    return;
  }
  const { value } = stored;
  if (value.state !== 'running') {
    await loader.loads.releaseLock(load, request.runId);
    return;
  }
  const instance = undoInstanceId(value);
  const status = await orchestrations.status(instance);
  if (status === 'absent') {
    if (!isYoung) await startInstance(orchestrations, value);
    return;
  }
  const isSilent = now - Date.parse(value.heartbeatAt) > loader.timing.staleAfterMs;
  if (!isSilent) return;
  const next = { ...value, attempt: value.attempt + 1, heartbeatAt: loader.now().toISOString() };
  if (!(await saveOperation(loader, next, stored.etag))) return;
  await orchestrations.terminate(instance, 'taken over');
  await startInstance(orchestrations, next);
}
