import type { RunRef } from '../contracts/durable.ts';
import { fenceOf, isBehindFence, isUnsettled } from '../domain/ledger-entry.ts';
import type { RunView, ShardRow } from '../domain/run-record.ts';
import {
  addPlanTotals,
  EMPTY_PLAN,
  finalState,
  type OutcomeDigest,
  type PlanTotals,
  type RowCount,
  type RunProblem,
  type RunSummary,
} from '../domain/run-summary.ts';
import { ERROR_KINDS, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Unsettled } from '../ports/load-state.ts';
import type { Loader } from './loader.ts';
import { change } from './part-commit.ts';
import {
  type RunSnapshot,
  readFacts,
  readManifest,
  readNdjson,
  readOutcomes,
  readSnapshot,
  readSummary,
  toNdjson,
  unsettledPath,
  writeSummary,
} from './run-documents.ts';
import { digestOfRun } from './settle-shard.ts';

/** Settled shards that are read at once when looking for open objects. */
const SHARDS_AT_ONCE = 500;

/**
 * Ends a run: counts rows, writes the summary, leaves what is still open to the load's next run, and frees the lock.
 * Each step may have been done before; a run that has ended only has its lock freed.
 *
 * @returns the summary, or `null` when a newer epoch has taken the run over.
 */
export async function finishRun(
  loader: Loader,
  { runId, epoch }: RunRef,
  options: { readonly givenUp?: boolean } = {},
): Promise<RunSummary | null> {
  const view = await loader.runs.readRun(runId);
  if (view === null) return null;
  const snapshot = await readSnapshot(loader, runId);
  if (view.run.value.finalState === null) {
    if (view.run.value.epoch !== epoch) return null;
    const summary =
      (await readSummary(loader, runId)) ??
      (await makeSummary(loader, snapshot, view, options.givenUp ?? false));
    await handOnUnsettled(loader, snapshot, view);
    await handBackAnnounced(loader, snapshot, view);
    if (!(await markEnded(loader, summary, epoch))) return null;
    const { ingested, failed } = summary.objects;
    events.runEnded(loader.logger, { runId, state: summary.state, ingested, failed });
  }
  await loader.loads.releaseLock(snapshot.request.load, runId);
  return readSummary(loader, runId);
}

async function makeSummary(
  loader: Loader,
  snapshot: RunSnapshot,
  view: RunView,
  givenUp: boolean,
): Promise<RunSummary> {
  const { request, tag } = snapshot;
  const endedAt = loader.now();
  const startedAt = new Date(request.createdAt);
  const durationMs = Math.max(1, endedAt.getTime() - startedAt.getTime());
  const digest = withLeftShards(digestOfRun(view), view);
  const problem = problemOf(view, givenUp);
  const rows = await countRows(loader, snapshot, digest);
  const { stop } = view.control.value;
  const summary: RunSummary = {
    runId: request.runId,
    load: request.load,
    state: finalState({
      cancelled: stop === 'cancel',
      stoppedOnError: stop === 'onError',
      planFailed: problem !== null,
      givenUp,
      digest,
      rowsAgree: rows.agrees,
    }),
    trigger: request.trigger,
    startedAt: request.createdAt,
    endedAt: endedAt.toISOString(),
    durationMs,
    problem,
    plan: planOfRun(view),
    objects: digest.objects,
    bytesIngested: digest.bytesIngested,
    throughput: {
      objectsPerSecond: perSecond(digest.objects.ingested, durationMs),
      bytesPerSecond: perSecond(digest.bytesIngested, durationMs),
    },
    failures: digest.failures,
    slowest: digest.slowest,
    repostedUnproven: digest.repostedUnproven,
    rows,
    tag,
    unsettledUntil: digest.objects.unknown + digest.objects.deferred > 0 ? digest.earliestFenceAt : null,
    epochs: view.run.value.epoch,
  };
  return writeSummary(loader, summary);
}

/** Totals of all plan pages, whichever epoch planned them. */
export function planOfRun(view: Pick<RunView, 'parts'>): PlanTotals {
  return view.parts.reduce((totals, { value }) => addPlanTotals(totals, value.progress.plan), EMPTY_PLAN);
}

/** Shards that no lane took have not begun; those that no settler could close may hold objects that ADX has. */
function withLeftShards(digest: OutcomeDigest, view: RunView): OutcomeDigest {
  const objectsOf = (isPlanned: boolean) =>
    view.shards
      .filter(({ value }) => (value.state === 'planned') === isPlanned)
      .reduce((sum, { value }) => sum + value.objects, 0);
  const { notStarted, unknown } = digest.objects;
  return {
    ...digest,
    objects: {
      ...digest.objects,
      notStarted: notStarted + objectsOf(true),
      unknown: unknown + objectsOf(false),
    },
  };
}

function problemOf(view: RunView, givenUp: boolean): RunProblem | null {
  if (givenUp)
    return {
      code: 'runAbandoned',
      message: ERROR_KINDS.runAbandoned.title,
      remedy: ERROR_KINDS.runAbandoned.remedy,
    };
  const problem = view.parts.find(
    ({ value }) => value.problem !== null && value.epoch === view.run.value.epoch,
  )?.value.problem;
  return problem == null ? null : { ...problem, remedy: ERROR_KINDS[problem.code].remedy };
}

function perSecond(amount: number, durationMs: number): number {
  return Math.round((amount * 100_000) / durationMs) / 100;
}

/**
 * Rows under the run's tag. How many rows the objects hold is not known without reading them, so `expected` is known
 * only where nothing was ingested under a tag of this run's own.
 */
async function countRows(
  loader: Loader,
  { definition, tag, tagWindow }: RunSnapshot,
  digest: OutcomeDigest,
): Promise<RowCount> {
  const { cluster, database, table } = definition.destination;
  const tagIsThisRunOnly = tagWindow === 'run';
  const { ingested, unknown } = digest.objects;
  const expected = ingested === 0 && unknown === 0 && tagIsThisRunOnly ? 0 : null;
  const tagged = await countTagged();
  return {
    tagged,
    tagIsThisRunOnly,
    expected,
    agrees: tagged === null || expected === null ? null : tagged === expected,
  };

  async function countTagged(): Promise<number | null> {
    try {
      return await (await loader.ingestion(cluster)).countRowsByTag({ database, table, tag });
    } catch (thrown) {
      events.rowsNotCounted(loader.logger, { runId: tag, error: toLoaderError(thrown) });
      return null;
    }
  }
}

/** After a run that could not settle what it should have, none is started for it sooner. */
const LOOK_AGAIN_MS = 3_600_000;

/**
 * Objects whose fate is still open go into a document of this run: those that it left open itself, and those of the
 * documents that it had taken over and that are open still. It replaces them.
 */
async function handOnUnsettled(loader: Loader, snapshot: RunSnapshot, view: RunView): Promise<void> {
  const { runId, load } = snapshot.request;
  const taken = (await readFacts(loader, runId))?.unsettled ?? [];
  const { open, read } = await findOpen(loader, snapshot, view, taken);
  if (open.length > 0) {
    const manifest = unsettledPath(runId);
    const [first = null] = open.flatMap(({ fence }) => fence ?? []).sort();
    const soonest = new Date(loader.now().getTime() + LOOK_AGAIN_MS / loader.timeScale).toISOString();
    const isDue = first !== null && first <= loader.now().toISOString();
    await loader.documents.put(
      manifest,
      toNdjson(open.map(({ key, version, sizeBytes }) => ({ key, version, sizeBytes }))),
      'always',
    );
    await loader.loads.addUnsettled({
      load,
      generation: snapshot.generation,
      runId,
      manifest,
      objects: open.length,
      lookAt: isDue ? soonest : first,
    });
  }
  for (const earlier of read) {
    if (earlier.runId !== runId) await loader.loads.removeUnsettled({ load, runId: earlier.runId });
  }
}

interface OpenObject {
  readonly key: string;
  readonly version: string;
  readonly sizeBytes: number;
  /** ISO 8601, UTC. */
  readonly fence: string | null;
}

/**
 * What is open by the ledger, among the objects of the run (those of shards that no settler could close, too) and of the
 * documents that it had taken over. A document that can't be read now stays for the next run.
 */
async function findOpen(
  loader: Loader,
  snapshot: RunSnapshot,
  view: RunView,
  taken: readonly Unsettled[],
): Promise<{ readonly open: readonly OpenObject[]; readonly read: readonly Unsettled[] }> {
  const { runId, load } = snapshot.request;
  const ledger = { load, generation: snapshot.generation };
  const found = new Map<string, OpenObject>();
  const collect = async (keys: readonly string[]) => {
    const now = loader.now();
    for (const { value } of (await loader.ledger.readKeys(ledger, keys)).values()) {
      const { downloadGraceMs } = loader.timing;
      // It was posted a second time, and nobody reported either: no later run would do more than look.
      const isOver = value.repostedUnproven && isBehindFence(value, { now, downloadGraceMs });
      if (!isUnsettled(value.state) || isOver) continue;
      const { key, version, sizeBytes } = value;
      found.set(key, {
        key,
        version,
        sizeBytes,
        fence: fenceOf(value, downloadGraceMs)?.toISOString() ?? null,
      });
    }
  };
  for await (const shard of settledShards(loader, runId)) {
    if (shard.unsettledObjects === 0) continue;
    const outcomes = (await readOutcomes(loader, runId, shard.shard)) ?? [];
    await collect(
      outcomes.filter(({ state }) => state === 'unknown' || state === 'deferred').map(({ key }) => key),
    );
  }
  for (const { value } of view.shards.filter((shard) => shard.value.state !== 'planned')) {
    await collect(((await readManifest(loader, value.manifest)) ?? []).map(({ key }) => key));
  }
  const read: Unsettled[] = [];
  for (const document of taken) {
    try {
      await collect((await keysOf(loader, snapshot, document)).filter((key) => !found.has(key)));
      read.push(document);
    } catch (thrown) {
      events.openObjectsUnread(loader.logger, {
        runId,
        document: document.manifest,
        error: toLoaderError(thrown),
      });
    }
  }
  return { open: [...found.values()], read };
}

/** Keys of a document; none when it is about the ledger of another generation, or gone. */
async function keysOf(
  { documents }: Loader,
  snapshot: RunSnapshot,
  { generation, manifest }: Unsettled,
): Promise<readonly string[]> {
  if (generation !== snapshot.generation) return [];
  const document = await documents.get(manifest);
  return document === null ? [] : readNdjson<{ readonly key: string }>(document.body).map(({ key }) => key);
}

/** Events of objects that the run has planned and not begun are used up: their keys wait for the next events run. */
async function handBackAnnounced(loader: Loader, snapshot: RunSnapshot, { shards }: RunView): Promise<void> {
  const { request, definition } = snapshot;
  if (request.trigger !== 'events') return;
  const list = { load: request.load, bucket: definition.source.bucket };
  for (const { value } of shards) {
    const objects = (await readManifest(loader, value.manifest)) ?? [];
    await loader.loads.addPending(
      list,
      objects.map(({ key }) => key),
    );
  }
}

async function* settledShards({ runs }: Loader, runId: string): AsyncGenerator<ShardRow> {
  let after: string | undefined;
  for (;;) {
    const page = await runs.settledShards(runId, {
      limit: SHARDS_AT_ONCE,
      ...(after === undefined ? {} : { after }),
    });
    yield* page;
    if (page.length < SHARDS_AT_ONCE) return;
    after = page.at(-1)!.shard;
  }
}

async function markEnded(loader: Loader, summary: RunSummary, epoch: number): Promise<boolean> {
  const { runId, state, endedAt } = summary;
  const pauseUntil = needsPause(summary)
    ? new Date(loader.now().getTime() + PAUSE_MS / loader.timeScale).toISOString()
    : null;
  for (;;) {
    const now = await loader.runs.readControl(runId);
    if (now === null || now.run.value.epoch !== epoch) return false;
    if (now.run.value.finalState !== null) return true;
    if (await loader.runs.commit(runId, [change(now.run, { finalState: state, endedAt, pauseUntil })]))
      return true;
  }
}

/** How long events and open objects start no run after one that could not do what it was started for. */
const PAUSE_MS = 10 * 60_000;

/** Otherwise the next tick would start the same run again, a minute later. */
function needsPause({ state, objects, failures, plan }: RunSummary): boolean {
  return (
    state === 'failed' ||
    state === 'cancelled' ||
    state === 'stopped' ||
    objects.notStarted > 0 ||
    failures.notPosted !== undefined ||
    failures.queueRefused !== undefined ||
    plan.skipped.unreadable !== undefined
  );
}
