import type { RunRef } from '../contracts/durable.ts';
import type { RowCount } from '../domain/row-count.ts';
import { isWorkLeft, type RunView } from '../domain/run-record.ts';
import {
  expectedRowsOf,
  finalState,
  type OutcomeDigest,
  type RunProblem,
  type RunSummary,
} from '../domain/run-summary.ts';
import { ERROR_KINDS, LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import { countRows, type LoadedRows } from './count-rows.ts';
import { handBackAnnounced, handOnUnsettled } from './hand-on.ts';
import type { Loader } from './loader.ts';
import { change } from './part-commit.ts';
import { leftOutcome } from './read-run.ts';
import { record, recordShard } from './record.ts';
import { type RunSnapshot, readManifest, readSnapshot, readSummary, writeSummary } from './run-documents.ts';
import { digestOfRun, planOfRun } from './run-totals.ts';

/**
 * Ends a run: counts rows, writes the summary, leaves what is still open to the load's next run, and frees the lock.
 * Each step may have been done before; a run that has ended only has its lock freed. One whose parts gave up before all was
 * done is left to the tick, which takes it over when it has been silent for long, unless it is to be given up.
 *
 * @returns the summary, or `null` when the run is left to the tick, or a newer epoch has taken it over.
 */
export async function finishRun(
  loader: Loader,
  { runId, epoch }: RunRef,
  options: { readonly givenUp?: boolean } = {},
): Promise<RunSummary | null> {
  const isGivenUp = options.givenUp === true;
  const view = await closeDown(loader, { runId, epoch }, isGivenUp);
  if (view === null) return null;
  const snapshot = await readSnapshot(loader, runId);
  if (view.run.value.finalState === null) {
    const summary =
      (await readSummary(loader, runId)) ??
      (await makeSummary(loader, snapshot, view, isGivenUp || view.control.value.stop === 'givenUp'));
    await handOnUnsettled(loader, snapshot, view);
    await handBackAnnounced(loader, snapshot, view);
    // Before the run has ended, for then nobody comes back to it. The summary stands, whoever tells it.
    await recordLeftShards(loader, snapshot, view);
    const { bucket } = snapshot.definition.source;
    await record(loader, runId, (recorder) => recorder.runEnded(summary, { bucket }));
    if (!(await markEnded(loader, summary, epoch))) return null;
    const { ingested, failed } = summary.objects;
    events.runEnded(loader.logger, { runId, state: summary.state, ingested, failed });
  }
  await loader.loads.releaseLock(snapshot.request.load, runId);
  return readSummary(loader, runId);
}

/**
 * Keeps all parts of the run from changing anything more, in one transaction, before it is accounted for. An activity that
 * lives on, or a newer epoch that finds the run without its end, would else close shards behind the summary.
 *
 * @returns the run as it stays; `null` when there is none, a newer epoch has taken it over, or it has work left.
 */
async function closeDown(
  loader: Loader,
  { runId, epoch }: Pick<RunRef, 'runId' | 'epoch'>,
  isGivenUp: boolean,
): Promise<RunView | null> {
  for (;;) {
    const view = await loader.runs.readRun(runId);
    if (view === null || view.run.value.finalState !== null) return view;
    if (view.run.value.epoch !== epoch) return null;
    if (view.run.value.closingAt != null) return view;
    if (!isGivenUp && isWorkLeft(view)) return null;
    const parts = view.parts.filter(({ value }) => value.epoch === epoch);
    await loader.runs.commit(runId, [
      change(view.run, { closingAt: loader.now().toISOString() }),
      ...parts.map((part) => change(part, {})),
    ]);
  }
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
  const rows = await tryToCount(loader, snapshot, {
    ofThisRun: expectedRowsOf(digest),
    ingested: digest.objects.ingested,
  });
  const { stop, pace } = view.control.value;
  const plan = planOfRun(view);
  const summary: RunSummary = {
    runId: request.runId,
    load: request.load,
    state: finalState({
      unreadable: plan.skipped.unreadable ?? 0,
      stop,
      planFailed: problem !== null,
      givenUp,
      digest,
      rowsAgree: rows.byObject != null && rows.byObject.differing > 0 ? false : rows.agrees,
    }),
    trigger: request.trigger,
    startedAt: request.createdAt,
    endedAt: endedAt.toISOString(),
    durationMs,
    problem,
    plan,
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
    stopReason: stop,
    throttling: pace === null ? null : { slowdowns: pace.slowdowns, lowestShare: pace.lowestShare },
    tag,
    unsettledUntil: digest.objects.unknown + digest.objects.deferred > 0 ? digest.earliestFenceAt : null,
    epochs: view.run.value.epoch,
  };
  return writeSummary(loader, summary);
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

/** There may be hundreds of them, and a recorder that is slow must not keep a run from its end. */
const LEFT_SHARDS_MS = 60_000;

/** The objects of these shards come to no other end than the one that the summary counts. */
async function recordLeftShards(loader: Loader, snapshot: RunSnapshot, view: RunView): Promise<void> {
  if (loader.recorders.length === 0) return;
  const { runId } = snapshot.request;
  const until = loader.now().getTime() + LEFT_SHARDS_MS / loader.timeScale;
  for (const [index, { value }] of view.shards.entries()) {
    if (loader.now().getTime() >= until) {
      const error = new LoaderError('internal', `${view.shards.length - index} shards took too long to tell`);
      for (const { name } of loader.recorders)
        events.notRecorded(loader.logger, { runId, recorder: name, error });
      return;
    }
    const objects = (await readManifest(loader, value.manifest)) ?? [];
    const outcomes = objects.map((object) => leftOutcome(object, value));
    if (outcomes.length > 0) await recordShard(loader, snapshot, value.shard, outcomes);
  }
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

/** Rows that can't be counted now are not known; the run has ended all the same. */
async function tryToCount(
  loader: Loader,
  snapshot: RunSnapshot,
  { ofThisRun, ingested }: LoadedRows,
): Promise<RowCount> {
  try {
    return await countRows(loader, snapshot, { ofThisRun, ingested });
  } catch (thrown) {
    events.rowsNotCounted(loader.logger, { runId: snapshot.request.runId, error: toLoaderError(thrown) });
    const tagIsThisRunOnly = snapshot.tagWindow === 'run';
    return { tagged: null, tagIsThisRunOnly, ofThisRun, expected: null, agrees: null, byObject: null };
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
    failures.ingestionThrottled !== undefined ||
    plan.skipped.unreadable !== undefined
  );
}
