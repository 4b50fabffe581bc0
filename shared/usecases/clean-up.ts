import type { Operation } from '../domain/operation.ts';
import { startedAtOf } from '../domain/run-id.ts';
import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Lock } from '../ports/load-state.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import type { IndexedRun } from '../ports/run-store.ts';
import { allOf } from './bounded.ts';
import { isDeletedSince, listDeletedLoads, listLoads } from './load-catalog.ts';
import type { Loader } from './loader.ts';
import { findOperation, listOperations, removeOperation } from './operation-documents.ts';
import { removeStatuses, type StatusPass } from './remove-statuses.ts';

/** A pass ends after this long; the next one goes on. */
const PASS_MS = 60_000;
/** Of it, for the status entities of runs that are to be removed: one request each. */
const STATUSES_MS = 20_000;
/** Older than this beyond its time, a run goes with its status entities left behind. */
const MOST_STATUSES_MS = 7 * 24 * 3_600_000;
const RUNS_OF_A_PAGE = 100;
const PENDING_OF_A_PAGE = 1000;

/**
 * Removes what has been kept for as long as the settings say: runs with all that was written for them, also into the
 * cluster's status table, histories of orchestrations that have ended, operations and what deleted loads have left, and
 * idempotency keys of runs that began as long ago. It may run twice at the same time, and be cut off anywhere.
 *
 * Kept longer are runs that have not ended, whose lock is not free, that left objects open which a later run will settle,
 * that are being undone, and that a run under way runs again; and undos as long as a run of their unit, for how many rows
 * are expected under its tag follows from them. The ledger is not touched.
 */
export async function cleanUp(loader: Loader, orchestrations: Orchestrations): Promise<void> {
  const until = loader.now().getTime() + PASS_MS;
  const { runsMs, historyMs } = loader.retention;
  const runs = await attempt(loader, () => removeRuns(loader, before(loader, runsMs), until));
  await attempt(loader, () => removeOperations(loader, before(loader, runsMs), until));
  await attempt(loader, () => removeKeys(loader, before(loader, runsMs)));
  await attempt(loader, () => forgetLoads(loader, before(loader, runsMs), until));
  const histories = await attempt(loader, () => orchestrations.purge(before(loader, historyMs)));
  if (runs + histories > 0) events.cleanedUp(loader.logger, { runs, histories });
}

/** One kind of thing that can't be removed does not keep the others. */
async function attempt(loader: Loader, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (thrown) {
    events.cleanUpFailed(loader.logger, { error: toLoaderError(thrown) });
    return 0;
  }
}

function before({ now }: Loader, ms: number): Date {
  return new Date(now().getTime() - ms);
}

async function removeRuns(loader: Loader, endedBefore: Date, until: number): Promise<number> {
  const needed = await neededRuns(loader);
  const statuses: StatusPass = { until: loader.now().getTime() + STATUSES_MS, away: new Set() };
  const leftBehindBefore = new Date(endedBefore.getTime() - MOST_STATUSES_MS);
  let removed = 0;
  for (let after: string | null = null; loader.now().getTime() < until; ) {
    const page = await loader.runs.listCreatedBefore(endedBefore, { limit: RUNS_OF_A_PAGE, after });
    for (const run of page.runs) {
      if (loader.now().getTime() >= until) return removed;
      if (needed.has(run.runId) || !(await hasEndedBefore(loader, run, endedBefore))) continue;
      if (await isTakenUp(loader, run)) continue;
      const isClean = await removeStatuses(loader, run.runId, statuses);
      if (!isClean && !(await hasEndedBefore(loader, run, leftBehindBefore))) continue;
      await removeRun(loader, run);
      removed += 1;
    }
    if (page.next === null) return removed;
    after = page.next;
  }
  return removed;
}

async function removeOperations(loader: Loader, endedBefore: Date, until: number): Promise<number> {
  const held = new Set((await loader.loads.listLocks()).map(({ request }) => request.runId));
  let removed = 0;
  for (const operationId of await listOperations(loader)) {
    if (loader.now().getTime() >= until) return removed;
    const startedAt = startedAtOf(operationId);
    if (held.has(operationId) || (startedAt !== null && startedAt >= endedBefore)) continue;
    const operation = (await findOperation(loader, operationId))?.value;
    if (operation === undefined || !(await isOver(loader, operation, endedBefore))) continue;
    await removeOperation(loader, operation);
    removed += 1;
  }
  return removed;
}

async function isOver({ runs }: Loader, operation: Operation, instant: Date): Promise<boolean> {
  const { endedAt } = operation;
  if (endedAt === null || Date.parse(endedAt) >= instant.getTime()) return false;
  if (operation.kind === 'reset') return true;
  for (const runId of new Set([operation.runId, ...(operation.runs ?? [])]))
    if ((await runs.readControl(runId)) !== null) return false;
  return true;
}

/** Pending objects, schedule, unsettled lists and idempotency keys of deleted loads; that there were such loads stays known. */
async function forgetLoads(loader: Loader, deletedBefore: Date, until: number): Promise<number> {
  const deleted = await listDeletedLoads(loader, deletedBefore);
  for (const entry of deleted) {
    if (loader.now().getTime() >= until) break;
    const { name, source } = entry.definition;
    if ((await loader.loads.readLock(name)) !== null) continue;
    const isGone = () => isDeletedSince(loader, entry);
    await loader.loads.forgetLoad(name, isGone);
    const list = { load: name, bucket: source.bucket };
    for (let afterKey: string | null = null; loader.now().getTime() < until; ) {
      const pending = await loader.loads.readPending(list, { afterKey, limit: PENDING_OF_A_PAGE });
      afterKey = pending.at(-1)?.key ?? null;
      if (afterKey === null || !(await isGone())) break;
      await loader.loads.removePending(list, pending);
    }
  }
  return deleted.length;
}

/** Of loads that there are: those of a deleted one go with the rest of its partition. */
async function removeKeys(loader: Loader, startedBefore: Date): Promise<number> {
  let removed = 0;
  for (const { definition } of await listLoads(loader)) {
    removed += await loader.loads.dropIdempotencyKeys(definition.name, (runId) => {
      const startedAt = startedAtOf(runId);
      return startedAt !== null && startedAt < startedBefore;
    });
  }
  return removed;
}

/** Runs that something under way still reads. */
async function neededRuns(loader: Loader): Promise<ReadonlySet<string>> {
  const locks = await loader.loads.listLocks();
  const held = locks.flatMap(runsReadBy);
  const loads = await listLoads(loader);
  const open = await allOf(loads, 8, ({ definition }) => loader.loads.listUnsettled(definition.name));
  return new Set([...held, ...open.flat().map(({ runId }) => runId)]);
}

function runsReadBy({ request }: Lock): readonly string[] {
  if ('operation' in request) return request.operation === 'undo' ? [request.ofRun] : [];
  return [request.runId, ...(request.options.rerun === undefined ? [] : [request.options.rerun.runId])];
}

/** Something that reads the run has begun since the pass began. */
async function isTakenUp(loader: Loader, { load, runId }: IndexedRun): Promise<boolean> {
  const lock = await loader.loads.readLock(load);
  return lock !== null && runsReadBy(lock).includes(runId);
}

/** Also `true` for a run whose rows an earlier pass has removed already. */
async function hasEndedBefore({ runs }: Loader, { runId }: IndexedRun, instant: Date): Promise<boolean> {
  const stored = await runs.readControl(runId);
  if (stored === null) return true;
  const { endedAt } = stored.run.value;
  return endedAt !== null && Date.parse(endedAt) < instant.getTime();
}

/** The documents first: as long as the run has a name, the next pass finds what is left. */
async function removeRun(loader: Loader, run: IndexedRun): Promise<void> {
  const paths = await loader.documents.list(`runs/${run.runId}/`);
  await allOf(paths, 16, (path) => loader.documents.delete(path));
  await loader.runs.deleteRun(run);
}
