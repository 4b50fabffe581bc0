import { createHash } from 'node:crypto';

import type { Operation, ShownOperation, UndoOperation } from '../domain/operation.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';

export interface StoredOperation<Kind extends Operation = Operation> {
  readonly value: Kind;
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
  return document === null ? null : { value: JSON.parse(document.body) as Operation, etag: document.etag };
}

/** @param over - ETag of the version that it replaces, `null` for a new one. */
export async function saveOperation(
  { documents }: Loader,
  operation: Operation,
  over: string | null,
): Promise<boolean> {
  const when = over === null ? 'ifAbsent' : { etag: over };
  return (await documents.put(pathOf(operation.operationId), JSON.stringify(operation), when)).written;
}

/** The latest undo of a unit. */
export async function findUndoOf(
  loader: Loader,
  tag: string,
): Promise<StoredOperation<UndoOperation> | null> {
  const document = await loader.documents.get(unitPath(tag));
  if (document === null) return null;
  const { operationId } = JSON.parse(document.body) as { operationId: string };
  return (await findOperation(loader, operationId)) as StoredOperation<UndoOperation> | null;
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
  const { value } = stored;
  // Who waits for the end wants to start something then: it has not come before the load's lock is free.
  const holder = value.state === 'running' ? null : await loader.loads.readLock(value.load);
  const isFreeing = holder?.request.runId === operationId;
  return show(isFreeing ? { ...value, state: 'running', endedAt: null } : value);
}

function show(operation: Operation): ShownOperation {
  const { operationId, load, state, createdAt, endedAt, problem, objects } = operation;
  const shown = { operationId, load, state, createdAt, endedAt, problem, objects };
  if (operation.kind === 'reset')
    return { ...shown, kind: operation.kind, step: operation.step, prefix: operation.prefix };
  const { runId, tag, tagWindow, runs, rows } = operation;
  return { ...shown, kind: operation.kind, step: operation.step, runId, tag, tagWindow, runs, rows };
}
