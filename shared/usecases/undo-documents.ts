import { createHash } from 'node:crypto';

import type { ShownOperation, UndoOperation } from '../domain/undo-operation.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';

export interface StoredOperation {
  readonly value: UndoOperation;
  readonly etag: string;
}

const pathOf = (operationId: string) => `operations/${operationId}.json`;
/** Names the latest undo of a unit, so that one that was broken off is taken up again. */
const unitPath = (tag: string) => `operations/units/${createHash('sha256').update(tag).digest('hex')}.json`;

export async function findOperation(
  { documents }: Loader,
  operationId: string,
): Promise<StoredOperation | null> {
  const document = await documents.get(pathOf(operationId));
  return document === null
    ? null
    : { value: JSON.parse(document.body) as UndoOperation, etag: document.etag };
}

/** @param over - ETag of the version that it replaces, `null` for a new one. */
export async function saveOperation(
  { documents }: Loader,
  operation: UndoOperation,
  over: string | null,
): Promise<boolean> {
  const when = over === null ? 'ifAbsent' : { etag: over };
  return (await documents.put(pathOf(operation.operationId), JSON.stringify(operation), when)).written;
}

/** The latest undo of a unit. */
export async function findUndoOf(loader: Loader, tag: string): Promise<StoredOperation | null> {
  const document = await loader.documents.get(unitPath(tag));
  return document === null
    ? null
    : findOperation(loader, (JSON.parse(document.body) as { operationId: string }).operationId);
}

export async function nameUndoOf(
  { documents }: Loader,
  { tag, operationId }: Pick<UndoOperation, 'tag' | 'operationId'>,
): Promise<void> {
  await documents.put(unitPath(tag), JSON.stringify({ v: 1, operationId }), 'always');
}

/** @throws {LoaderError} `operationNotFound`. */
export async function readOperation(loader: Loader, operationId: string): Promise<ShownOperation> {
  const stored = await findOperation(loader, operationId);
  if (stored === null) throw new LoaderError('operationNotFound', `There is no operation "${operationId}"`);
  const { kind, load, runId, tag, tagWindow, runs, state, step, createdAt, endedAt } = stored.value;
  const { problem, objects, rows } = stored.value;
  // Who waits for the end wants to start something then: it has not come before the load's lock is free.
  const isFreeing = state !== 'running' && (await loader.loads.readLock(load))?.request.runId === operationId;
  return {
    operationId,
    kind,
    load,
    runId,
    state: isFreeing ? 'running' : state,
    step,
    tag,
    tagWindow,
    runs,
    createdAt,
    endedAt: isFreeing ? null : endedAt,
    problem,
    objects,
    rows,
  };
}
