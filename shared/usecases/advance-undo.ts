import type { AdvanceUndoOutput, UndoInput } from '../contracts/durable.ts';
import { isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import { LEDGER_PARTITIONS } from '../domain/ledger-key.ts';
import type { Stored } from '../domain/run-record.ts';
import type { UndoOperation } from '../domain/undo-operation.ts';
import { ERROR_KINDS, LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Ingestion, TaggedExtent } from '../ports/ingestion.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import { pauseMs } from './part-commit.ts';
import { ledgerOf, type RunSnapshot, readSnapshot } from './run-documents.ts';
import { runsOfUnit } from './runs-of-unit.ts';
import { findOperation, saveOperation } from './undo-documents.ts';

/** An activity goes on for so long before it gives way to the next. */
const ACTIVITY_MS = 60_000;
/** Pause between two activities, and after one that failed for a reason that passes. */
const NEXT_PAUSE_MS = 100;
const RETRY_PAUSE_MS = 15_000;

export interface UndoAdvance {
  readonly answer: AdvanceUndoOutput;
  /** The load whose lock was freed. */
  readonly freed: string | null;
}

/**
 * Takes an undo further: a step after the other, each written down under the ETag of the operation's document before the
 * next begins. It may run twice and at the same time: whoever loses the race for the document reads it again, and what both
 * have done is the same (extents are dropped by their ids, entries are marked under their ETags).
 */
export async function advanceUndo(loader: Loader, { operationId, attempt }: UndoInput): Promise<UndoAdvance> {
  const until = loader.now().getTime() + ACTIVITY_MS / loader.timeScale;
  const stop = { answer: { kind: 'stop' }, freed: null } as const;
  for (;;) {
    const stored = await findOperation(loader, operationId);
    if (stored === null || stored.value.attempt !== attempt) return stop;
    const { value } = stored;
    if (value.state !== 'running') {
      await loader.loads.releaseLock(value.load, operationId);
      return { ...stop, freed: value.load };
    }
    const next = await takeStep(loader, value);
    const heartbeatAt = loader.now().toISOString();
    const isSaved = await saveOperation(loader, { ...next.operation, heartbeatAt }, stored.etag);
    if (isSaved && next.operation.state !== 'running') {
      const { state, objects, rows } = next.operation;
      events.undoEnded(loader.logger, { operationId, state, objects, rows });
      continue;
    }
    const waitMs = next.isPutOff ? RETRY_PAUSE_MS : NEXT_PAUSE_MS;
    if (next.isPutOff || loader.now().getTime() >= until)
      return { answer: { kind: 'wait', waitMs: pauseMs(loader, waitMs) }, freed: null };
  }
}

interface Step {
  readonly operation: UndoOperation;
  /** Something is in the way that may pass. */
  readonly isPutOff: boolean;
}

async function takeStep(loader: Loader, operation: UndoOperation): Promise<Step> {
  try {
    const snapshot = await readSnapshot(loader, operation.runId);
    const { cluster } = snapshot.definition.destination;
    const work: UndoWork = { loader, snapshot, operation, ingestion: await loader.ingestion(cluster) };
    switch (operation.step) {
      case 'check':
        return { operation: await check(work), isPutOff: false };
      case 'drop':
        return await drop(work);
      case 'mark':
        return { operation: await mark(work), isPutOff: false };
    }
  } catch (thrown) {
    const error = toLoaderError(thrown);
    events.undoStepFailed(loader.logger, {
      operationId: operation.operationId,
      step: operation.step,
      // Its message may name a key.
      code: error.code,
    });
    if (!error.permanent) return { operation, isPutOff: true };
    const problem = {
      code: error.code,
      message: error.message,
      remedy: ERROR_KINDS[error.code].remedy,
    };
    return {
      operation: { ...operation, state: 'failed', endedAt: loader.now().toISOString(), problem },
      isPutOff: false,
    };
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
  if (operation.partition < LEDGER_PARTITIONS) {
    const partitions = nextPartitions(operation);
    const counts = await allOf(partitions, PARTITIONS_AT_ONCE, async (partition) => {
      let objects = 0;
      for await (const entries of pagesOf(work, partition)) objects += countUnit(operation, entries);
      return objects;
    });
    return {
      ...operation,
      objects: counts.reduce((sum, count) => sum + count, operation.objects),
      partition: operation.partition + partitions.length,
    };
  }
  const extents = await listUnit(work);
  if (operation.objects > 0 && extents.length === 0 && !operation.hasDropped)
    throw inexact(
      `the ledger has ${operation.objects} objects under the tag ${operation.tag}, and no extent carries it: the tag was removed, or the rows are gone already`,
    );
  const rows = extents.reduce((sum, extent) => sum + extent.rows, 0);
  return { ...operation, rows, step: 'drop', partition: 0, hasDropped: true };
}

/** Objects of a page that are to be undone. @throws {LoaderError} `undoUnsettled`; `undoInexact`. */
function countUnit({ tag, runs }: UndoOperation, entries: readonly Stored<LedgerEntry>[]): number {
  let objects = 0;
  for (const { value } of entries) {
    if (value.tag === null) {
      // Of an older version of the app: any of the unit's runs may have posted it.
      if (value.state !== 'ingested' && !isUnsettled(value.state)) continue;
      if (!(runs ?? []).includes(value.runId)) continue;
      throw inexact(`the ledger does not know under which tag "${value.key}" was loaded`);
    }
    if (value.tag !== tag) continue;
    if (isUnsettled(value.state))
      throw new LoaderError(
        'undoUnsettled',
        `Nobody has reported yet whether the rows of "${value.key}" are in the table, and there may be more such objects`,
      );
    if (value.state !== 'ingested') continue;
    if (value.repostedUnproven)
      throw inexact(`"${value.key}" was posted twice without proof, and may also be under another tag`);
    objects += 1;
  }
  return objects;
}

/**
 * Lists what carries the tag, or drops what was listed; when nothing does, the rows are gone for certain. Only extents that
 * stand in the operation's document are dropped: an activity that was away while the undo ended, and that would now find the
 * rows of a later run under the tag, can't write them down any more.
 */
async function drop(work: UndoWork): Promise<Step> {
  const { snapshot, operation, ingestion } = work;
  const { extentIds, tag } = operation;
  if (extentIds === null) {
    const found = (await listUnit(work)).map(({ id }) => id);
    return {
      operation: found.length === 0 ? { ...operation, step: 'mark' } : { ...operation, extentIds: found },
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

/** Partitions of the ledger that are gone over before it is written down how far the undo is. */
const PARTITIONS_AT_ONCE = 16;

function nextPartitions({ partition }: UndoOperation): readonly number[] {
  const count = Math.min(PARTITIONS_AT_ONCE, LEDGER_PARTITIONS - partition);
  return Array.from({ length: count }, (_, index) => partition + index);
}

/** Marks the entries of some partitions. */
async function mark(work: UndoWork): Promise<UndoOperation> {
  const { loader, snapshot, operation } = work;
  if (operation.partition === LEDGER_PARTITIONS)
    return { ...operation, state: 'succeeded', endedAt: loader.now().toISOString() };
  const partitions = nextPartitions(operation);
  const areMarked = await allOf(partitions, PARTITIONS_AT_ONCE, async (partition) => {
    let isMarked = true;
    for await (const entries of pagesOf(work, partition)) {
      const settledAt = loader.now().toISOString();
      const writes = entries
        .filter(({ value }) => isOfUnit(value, operation))
        .map(({ value, etag }) => ({ entry: { ...value, state: 'undone', settledAt } as const, etag }));
      const etags = await loader.ledger.write(ledgerOf(snapshot), writes);
      if (etags.includes(null)) isMarked = false;
    }
    return isMarked;
  });
  // Only a twin writes these entries while the lock is held, and writes the same; they are looked at again.
  if (areMarked.includes(false)) return operation;
  return { ...operation, partition: operation.partition + partitions.length };
}

/** Also keeps an activity that was away for long from marking what a later run has loaded under the same tag. */
function isOfUnit({ state, tag, intentAt }: LedgerEntry, operation: UndoOperation): boolean {
  return state === 'ingested' && tag === operation.tag && intentAt <= operation.since;
}

async function* pagesOf(
  { loader, snapshot }: UndoWork,
  partition: number,
): AsyncGenerator<readonly Stored<LedgerEntry>[]> {
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<Loader['ledger']['readPartition']>> = await loader.ledger.readPartition(
      ledgerOf(snapshot),
      partition,
      after,
    );
    yield page.entries;
    after = page.next;
  } while (after !== null);
}

function inexact(reason: string): LoaderError {
  return new LoaderError('undoInexact', `The undo would not be exact: ${reason}`);
}
