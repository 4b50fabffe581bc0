import { PAYLOAD_VERSION } from '../contracts/durable.ts';
import type { Operation, OperationRequest } from '../domain/operation.ts';
import { operationInstanceId } from '../domain/run-id.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Lock } from '../ports/load-state.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import type { Loader } from './loader.ts';
import {
  findOperation,
  nameUndoOf,
  type StoredOperation,
  saveOperation,
  undoneUntilOf,
} from './operation-documents.ts';
import { readSnapshot } from './run-documents.ts';

/** A start that is under way right now is not completed by the tick. */
const START_GRACE_MS = 30_000;

/**
 * Begins an operation behind the lock of its load.
 *
 * @returns who holds the lock, `null` when the operation has begun.
 */
export async function beginOperation(
  loader: Loader,
  orchestrations: Orchestrations,
  request: OperationRequest,
): Promise<Lock['request'] | null> {
  const { load, createdAt } = request;
  const lock = await loader.loads.acquireLock({ load, request, acquiredAt: createdAt });
  if (!lock.acquired) return lock.heldBy.request;
  await carryOut(loader, orchestrations, request);
  return null;
}

/** What the holder of a load's lock keeps anybody else from. */
export function loadBusy(load: string, holder: Lock['request']): LoaderError {
  const doing =
    'operation' in holder ? ({ undo: 'undone', reset: 'reset' } as const)[holder.operation] : 'run';
  return new LoaderError('loadBusy', `The load "${load}" is being ${doing} by ${holder.runId}`, {
    facts: 'operation' in holder ? { operationId: holder.runId } : { runId: holder.runId },
  });
}

/** Everything behind the lock. Any step may have been done before; each is done once. */
async function carryOut(
  loader: Loader,
  orchestrations: Orchestrations,
  request: OperationRequest,
): Promise<void> {
  const stored = await findOperation(loader, request.runId);
  if (stored === null || isOfEarlierLock(stored, request)) {
    const fresh = await freshOperation(loader, request, stored);
    // The name first: a name of nothing does no harm, an undo without one could not be taken up again.
    if (fresh.kind === 'undo') await nameUndoOf(loader, fresh);
    if (await saveOperation(loader, fresh, stored?.etag ?? null)) await startInstance(orchestrations, fresh);
    return;
  }
  if (stored.value.state === 'running') await startInstance(orchestrations, stored.value);
}

async function freshOperation(
  loader: Loader,
  request: OperationRequest,
  stored: StoredOperation | null,
): Promise<Operation> {
  const base = {
    v: 1,
    operationId: request.runId,
    load: request.load,
    state: 'running',
    createdAt: stored?.value.createdAt ?? request.createdAt,
    endedAt: null,
    problem: null,
    objects: 0,
    since: request.createdAt,
    partition: 0,
    attempt: (stored?.value.attempt ?? 0) + 1,
    heartbeatAt: loader.now().toISOString(),
  } as const;
  if (request.operation === 'reset') {
    const { prefix, generation } = request;
    return { ...base, kind: 'reset', step: 'check', prefix, generation };
  }
  const { tag, tagWindow } = await readSnapshot(loader, request.ofRun);
  const before = stored?.value.kind === 'undo' ? stored.value : null;
  return {
    ...base,
    kind: 'undo',
    step: 'check',
    runId: request.ofRun,
    tag,
    tagWindow,
    runs: null,
    rows: 0,
    hasDropped: before?.hasDropped ?? false,
    undoneUntil: await undoneUntilOf(loader, tag),
    extentIds: null,
  };
}

/** It ended before the lock was taken: the lock is there to take it up again. */
function isOfEarlierLock({ value }: StoredOperation, { createdAt }: OperationRequest): boolean {
  return value.state !== 'running' && value.since < createdAt;
}

function startInstance(
  orchestrations: Orchestrations,
  { operationId, attempt }: Operation,
): Promise<boolean> {
  const input = { v: PAYLOAD_VERSION, operationId, attempt } as const;
  return orchestrations.startOperation(operationInstanceId(input), input);
}

/** The tick's care for a load that is being undone or reset: completes, frees, and gives a broken instance a successor. */
export async function lookAfterOperation(
  loader: Loader,
  orchestrations: Orchestrations,
  { load, request, acquiredAt }: Omit<Lock, 'request'> & { readonly request: OperationRequest },
): Promise<void> {
  const now = loader.now().getTime();
  const isYoung = now - Date.parse(acquiredAt) < START_GRACE_MS / loader.timeScale;
  const stored = await findOperation(loader, request.runId);
  if (stored === null || isOfEarlierLock(stored, request)) {
    if (!isYoung) await carryOut(loader, orchestrations, request);
    return;
  }
  const { value } = stored;
  if (value.state !== 'running') {
    await loader.loads.releaseLock(load, request.runId);
    return;
  }
  const instance = operationInstanceId(value);
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
