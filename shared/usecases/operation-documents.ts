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

interface UndoName {
  readonly v: 1;
  readonly operationId: string;
  /** As in the operation; absent in documents of older versions. */
  readonly undoneUntil?: string | null;
}

async function readName({ documents }: Loader, tag: string): Promise<UndoName | null> {
  const document = await documents.get(unitPath(tag));
  return document === null ? null : (JSON.parse(document.body) as UndoName);
}

/** The latest undo of a unit. */
export async function findUndoOf(
  loader: Loader,
  tag: string,
): Promise<StoredOperation<UndoOperation> | null> {
  const name = await readName(loader, tag);
  if (name === null) return null;
  return (await findOperation(loader, name.operationId)) as StoredOperation<UndoOperation> | null;
}

/** Until when runs had loaded what is gone by undos of the unit that have succeeded; `null`: none has. */
export async function undoneUntilOf(loader: Loader, tag: string): Promise<string | null> {
  const undo = (await findUndoOf(loader, tag))?.value;
  if (undo?.state === 'succeeded') return undo.since;
  // The operation of the name may not be there: its start was cut off.
  return (undo ?? (await readName(loader, tag)))?.undoneUntil ?? null;
}

export async function nameUndoOf(
  { documents }: Loader,
  { tag, operationId, undoneUntil = null }: Pick<UndoOperation, 'tag' | 'operationId' | 'undoneUntil'>,
): Promise<void> {
  const name: UndoName = { v: 1, operationId, undoneUntil };
  await documents.put(unitPath(tag), JSON.stringify(name), 'always');
}

/** Ids of all operations. */
export async function listOperations({ documents }: Loader): Promise<readonly string[]> {
  const paths = await documents.list('operations/');
  return paths.flatMap((path) => /^operations\/([^/]+)\.json$/.exec(path)?.[1] ?? []);
}

/** Removes an operation, and first its name as the latest undo of its unit: a call that was cut off is made again. */
export async function removeOperation(loader: Loader, operation: Operation): Promise<void> {
  const { operationId } = operation;
  if (operation.kind === 'undo' && (await readName(loader, operation.tag))?.operationId === operationId)
    await loader.documents.delete(unitPath(operation.tag));
  await loader.documents.delete(pathOf(operationId));
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
