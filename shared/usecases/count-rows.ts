import { pathOf } from '../domain/object-path.ts';
import type { RowCount, RowDifference, RowsByObject } from '../domain/row-count.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';
import { findUndoOf, undoneUntilOf } from './operation-documents.ts';
import { type ListedOutcome, listObjects } from './read-run.ts';
import { type RunSnapshot, readSnapshot, readSummary } from './run-documents.ts';
import { runsOfUnit } from './runs-of-unit.ts';

/** Objects of a run up to which rows are counted object by object: their paths are held in memory meanwhile. */
const MOST_BY_OBJECT = 100_000;
/** Paths of one answer, with more of them it is asked in sixteen parts; ADX's own bound is 500,000 records or 64 MB. */
const PATHS_PER_ANSWER = 25_000;
const OBJECTS_PER_PAGE = 1000;
const DIFFERENCES_NAMED = 20;

export interface LoadedRows {
  /** Rows that the objects hold which the run has loaded; `null`: not known. */
  readonly ofThisRun: number | null;
  /** Objects that it has loaded. */
  readonly ingested: number;
}

/** Rows under the tag of a run, compared with what is known of the objects that were loaded under it. */
export async function countRows(
  loader: Loader,
  snapshot: RunSnapshot,
  { ofThisRun, ingested }: LoadedRows,
): Promise<RowCount> {
  const { definition, tag, tagWindow } = snapshot;
  const { cluster, database, table } = definition.destination;
  const tagged = await (await loader.ingestion(cluster)).countRowsByTag({ database, table, tag });
  const { expected, isUndone } = await expectedUnderTag(loader, snapshot, ofThisRun);
  const tagIsThisRunOnly = tagWindow === 'run';
  return {
    tagged,
    tagIsThisRunOnly,
    ofThisRun,
    expected,
    agrees: tagged === null || expected === null ? null : tagged === expected,
    byObject:
      tagIsThisRunOnly && !isUndone && ingested <= MOST_BY_OBJECT
        ? await countByObject(loader, snapshot, ingested)
        : null,
  };
}

/** Counts the rows of an ended run again, as they are in the table now. @throws {LoaderError} `runNotFound`, `loadBusy`. */
export async function recountRows(loader: Loader, runId: string): Promise<RowCount> {
  if ((await loader.runs.readControl(runId)) === null)
    throw new LoaderError('runNotFound', `There is no run "${runId}"`);
  const summary = await readSummary(loader, runId);
  if (summary === null)
    throw new LoaderError('loadBusy', `The run "${runId}" has not ended`, { facts: { runId } });
  const snapshot = await readSnapshot(loader, runId);
  const { rows, objects } = summary;
  return countRows(loader, snapshot, { ofThisRun: rows.ofThisRun ?? null, ingested: objects.ingested });
}

/** What the runs of the unit have loaded since it was last undone. */
async function expectedUnderTag(
  loader: Loader,
  { request, tag, tagWindow }: RunSnapshot,
  ofThisRun: number | null,
): Promise<{ readonly expected: number | null; readonly isUndone: boolean }> {
  const undo = (await findUndoOf(loader, tag))?.value ?? null;
  // Some of the rows may be gone.
  if (undo !== null && undo.state !== 'succeeded' && undo.hasDropped)
    return { expected: null, isUndone: true };
  const undoneUntil = (await undoneUntilOf(loader, tag)) ?? '';
  const isUndone = request.createdAt <= undoneUntil;
  let expected = isUndone ? 0 : ofThisRun;
  if (tagWindow === 'run') return { expected, isUndone };
  for (const { runId, createdAt } of await runsOfUnit(loader, { request, tag, tagWindow })) {
    if (runId === request.runId || createdAt <= undoneUntil) continue;
    const rows = (await readSummary(loader, runId))?.rows.ofThisRun ?? null;
    expected = expected === null || rows === null ? null : expected + rows;
  }
  return { expected, isUndone };
}

/**
 * Rows that were under the tag of a run when a run of its unit last counted them; where none could, the rows that the objects
 * hold which these runs have loaded. Only runs count that began after `undoneUntil`. `null`: not known.
 */
export async function rowsLastSeen(
  loader: Loader,
  snapshot: RunSnapshot,
  undoneUntil: string | null,
): Promise<number | null> {
  let held: number | null = 0;
  // The newest first.
  for (const { runId, createdAt } of await runsOfUnit(loader, snapshot)) {
    if (undoneUntil !== null && createdAt <= undoneUntil) continue;
    const rows = (await readSummary(loader, runId))?.rows;
    if (rows?.tagged != null) return rows.tagged;
    held = held === null || rows?.ofThisRun == null ? null : held + rows.ofThisRun;
  }
  return held;
}

/** `null` where the table has no column for the path, or the identity may not ask. */
async function countByObject(
  loader: Loader,
  snapshot: RunSnapshot,
  ingested: number,
): Promise<RowsByObject | null> {
  const { request, definition } = snapshot;
  const { sourcePathColumn } = definition.reconcile;
  if (sourcePathColumn === null) return null;
  const found = await rowsByPath(loader, snapshot, sourcePathColumn, ingested);
  if (found === null) return null;
  const source = await loader.source(definition.source);
  const differences: RowDifference[] = [];
  let differing = 0;
  /** Compares the rows of the run's objects in this state. What is found of one is explained by it, and taken out. */
  const compare = async (
    state: 'ingested' | 'failed',
    expectedOf: (outcome: ListedOutcome) => number | null,
  ): Promise<void> => {
    let after: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof listObjects>> = await listObjects(loader, request.runId, {
        state,
        limit: OBJECTS_PER_PAGE,
        after,
      });
      for (const outcome of page.objects) {
        // Its rows are under the tag of an earlier run.
        if (outcome.earlierTag !== undefined) continue;
        const { url } = await source.presignGet({
          key: outcome.key,
          version: outcome.version,
          lifetimeMs: 1000,
        });
        const path = pathOf(url);
        const rows = found.get(path) ?? 0;
        found.delete(path);
        const expected = expectedOf(outcome);
        if (expected === null ? !isEmptied(outcome, rows, snapshot) : rows === expected) continue;
        differing += 1;
        if (differences.length < DIFFERENCES_NAMED)
          differences.push({ key: outcome.key, expected, found: rows });
      }
      after = page.next;
    } while (after !== null);
  };
  await compare('ingested', (outcome) => outcome.rows ?? null);
  // What has failed may have been ingested all the same: ADX delivers a message more than once. Looked at only where there are
  // rows that no object explains, for a run may have failed with any number.
  if (found.size > 0) await compare('failed', () => 0);
  return { differing, differences };
}

/** It holds data and has no row: what ADX could not read, it has dropped without a word. A header alone makes no row. */
function isEmptied(
  { sizeBytes }: { readonly sizeBytes: number },
  rows: number,
  { definition }: RunSnapshot,
): boolean {
  return rows === 0 && sizeBytes > 0 && !definition.format.ignoreFirstRecord;
}

async function rowsByPath(
  loader: Loader,
  { definition, tag }: RunSnapshot,
  column: string,
  ingested: number,
): Promise<Map<string, number> | null> {
  const { cluster, database, table } = definition.destination;
  const ingestion = await loader.ingestion(cluster);
  const prefixes = ingested <= PATHS_PER_ANSWER ? [''] : [...'0123456789abcdef'];
  const found = new Map<string, number>();
  for (const md5Prefix of prefixes) {
    const rows = await ingestion.countRowsByPath({ database, table, tag, column, md5Prefix });
    if (rows === null) return null;
    for (const [url, count] of rows) found.set(pathOf(url), (found.get(pathOf(url)) ?? 0) + count);
  }
  return found;
}
