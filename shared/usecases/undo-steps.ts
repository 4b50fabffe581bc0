import { isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import type { UndoOperation } from '../domain/operation.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Ingestion, TaggedExtent } from '../ports/ingestion.ts';
import { rowsLastSeen } from './count-rows.ts';
import { countMore, type Entries, markMore } from './ledger-walk.ts';
import type { Loader } from './loader.ts';
import { ledgerOf, type RunSnapshot, readSnapshot } from './run-documents.ts';
import { runsOfUnit } from './runs-of-unit.ts';

export interface UndoStep {
  readonly operation: UndoOperation;
  /** Something is in the way that may pass. */
  readonly isPutOff: boolean;
}

/** Takes an undo a step further. @throws {LoaderError} what forbids it: `undoUnsettled`, `undoInexact`. */
export async function takeUndoStep(loader: Loader, operation: UndoOperation): Promise<UndoStep> {
  const snapshot = await readSnapshot(loader, operation.runId);
  const { cluster } = snapshot.definition.destination;
  const work: UndoWork = { loader, snapshot, operation, ingestion: await loader.ingestion(cluster) };
  switch (operation.step) {
    case 'check':
      return { operation: await check(work), isPutOff: false };
    case 'drop':
      return await drop(work);
    case 'confirm':
      return { operation: await confirm(work), isPutOff: false };
    case 'mark':
      return { operation: await mark(work), isPutOff: false };
  }
}

interface UndoWork {
  readonly loader: Loader;
  readonly snapshot: RunSnapshot;
  readonly operation: UndoOperation;
  readonly ingestion: Ingestion;
}

/** Looks at some partitions of the ledger; at the cluster before the first and behind the last one. */
async function check(work: UndoWork): Promise<UndoOperation> {
  const { loader, snapshot, operation, ingestion } = work;
  if (operation.runs === null) {
    const { database, table } = snapshot.definition.destination;
    const dependents = await ingestion.listDependents({ database, table });
    if (dependents.length > 0)
      throw inexact(`rows went from table "${table}" into ${dependents.join(', ')} and would stay there`);
    const runs = await runsOfUnit(loader, snapshot);
    return { ...operation, runs: runs.map(({ runId }) => runId) };
  }
  const walked = await countMore(loader, ledgerOf(snapshot), operation, (entries) =>
    countUnit(operation, entries),
  );
  if (!walked.isThrough) return walked.operation;
  const extents = await listUnit(work);
  const rows = extents.reduce((sum, extent) => sum + extent.rows, 0);
  if (!operation.hasDropped) await expectAllThere(work, extents.length, rows);
  return { ...operation, rows, step: 'drop', partition: 0 };
}

/**
 * All objects of the unit are marked in the end, and loaded again by the next run: rows that do not carry the tag any more
 * would then be there twice. @throws {LoaderError} `undoInexact`.
 */
async function expectAllThere(
  { loader, snapshot, operation }: UndoWork,
  extents: number,
  rows: number,
): Promise<void> {
  const { objects, tag, undoneUntil = null } = operation;
  // Then none is marked.
  if (objects === 0) return;
  if (extents === 0)
    throw inexact(
      `the ledger has ${objects} objects under the tag ${tag}, and no extent carries it: the tag was removed, or the rows are gone already`,
    );
  const seen = await rowsLastSeen(loader, snapshot, undoneUntil);
  if (seen !== null && rows < seen)
    throw inexact(
      `extents with the tag ${tag} have ${rows} rows, and there were ${seen}: the tag was removed from some of them, or rows are gone already`,
    );
}

/** Objects of a page that are to be undone. @throws {LoaderError} `undoUnsettled`; `undoInexact`. */
function countUnit({ tag, runs }: UndoOperation, entries: Entries): number {
  let objects = 0;
  for (const { value } of entries) {
    if (value.tag === null) {
      // Of an older version of the app: any of the unit's runs may have posted it.
      if (value.state !== 'ingested' && !isUnsettled(value.state)) continue;
      if (!(runs ?? []).includes(value.runId)) continue;
      throw inexact(`the ledger does not know under which tag "${value.key}" was loaded`);
    }
    if (!isOfUnit(tag, value)) continue;
    expectSettled(value);
    if (value.state !== 'ingested') continue;
    if (value.repostedUnproven)
      throw inexact(`"${value.key}" was posted twice without proof, and may also be under another tag`);
    objects += 1;
  }
  return objects;
}

/** Its rows may be under the tag. */
function isOfUnit(tag: string, entry: LedgerEntry): boolean {
  return entry.tag === tag || entry.otherTags?.includes(tag) === true;
}

/** @throws {LoaderError} `undoUnsettled`. */
function expectSettled({ key, state }: LedgerEntry): void {
  if (!isUnsettled(state)) return;
  throw new LoaderError(
    'undoUnsettled',
    `Nobody has reported yet whether the rows of "${key}" are in the table, and there may be more such objects`,
  );
}

/**
 * Lists what carries the tag, or drops what was listed; when nothing does, the rows are gone for certain. Only extents that
 * stand in the operation's document are dropped: an activity that was away while the undo ended, and that would now find the
 * rows of a later run under the tag, can't write them down any more.
 */
async function drop(work: UndoWork): Promise<UndoStep> {
  const { snapshot, operation, ingestion } = work;
  const { extentIds, tag } = operation;
  if (extentIds === null) {
    const found = (await listUnit(work)).map(({ id }) => id);
    const begun = { ...operation, hasDropped: true };
    return {
      operation: found.length === 0 ? { ...begun, step: 'confirm' } : { ...begun, extentIds: found },
      isPutOff: false,
    };
  }
  const { database, table } = snapshot.definition.destination;
  await ingestion.dropExtents({ database, table, tag, extentIds });
  // Extents may just have been merged into others: these are dropped in the next round.
  const isDone = (await listUnit(work)).length === 0;
  return { operation: { ...operation, extentIds: null }, isPutOff: !isDone };
}

/** The extents of the unit. @throws {LoaderError} `undoInexact` when one holds rows of another unit, too. */
async function listUnit({ snapshot, operation, ingestion }: UndoWork): Promise<readonly TaggedExtent[]> {
  const { database, table } = snapshot.definition.destination;
  const { tag } = operation;
  const extents = await ingestion.listExtents({ database, table, tag });
  const other = extents.flatMap(({ tags }) => tags).find((one) => one.startsWith('drop-by:') && one !== tag);
  if (other !== undefined) throw inexact(`extents with the tag ${tag} also carry ${other}`);
  return extents;
}

/**
 * An activity of a run that was cancelled may have slept until now and post new objects under the tag. Rows of what it began
 * since `check` may have been dropped with the others. What it begins from now on brings its rows later, and they stay.
 *
 * @throws {LoaderError} `undoUnsettled`: when the load has settled these objects, the undo is taken up again.
 */
async function confirm({ loader, snapshot, operation }: UndoWork): Promise<UndoOperation> {
  const walked = await countMore(loader, ledgerOf(snapshot), operation, (entries) => {
    for (const { value } of entries) if (isOfUnit(operation.tag, value)) expectSettled(value);
    return 0;
  });
  return walked.isThrough ? { ...operation, step: 'mark', partition: 0 } : walked.operation;
}

async function mark({ loader, snapshot, operation }: UndoWork): Promise<UndoOperation> {
  const walked = await markMore(
    loader,
    ledgerOf(snapshot),
    operation,
    ({ state, tag }) => state === 'ingested' && tag === operation.tag,
  );
  return walked.isThrough
    ? { ...operation, state: 'succeeded', endedAt: loader.now().toISOString() }
    : walked.operation;
}

function inexact(reason: string): LoaderError {
  return new LoaderError('undoInexact', `The undo would not be exact: ${reason}`);
}
