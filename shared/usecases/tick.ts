import { PAYLOAD_VERSION } from '../contracts/durable.ts';
import { partInstanceId, runInstanceId, scheduledRunId, shardInstanceId } from '../domain/run-id.ts';
import {
  isRetryShard,
  type PartRow,
  type RunRequest,
  type RunView,
  type Stored,
  silentPartSince,
} from '../domain/run-record.ts';
import { latestDue } from '../domain/schedule.ts';
import { LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Lock } from '../ports/load-state.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import type { RunWrite } from '../ports/run-store.ts';
import { lookAfterOperation } from './begin-operation.ts';
import { allOf } from './bounded.ts';
import { finishRun } from './finish-run.ts';
import { type CatalogEntry, listLoads } from './load-catalog.ts';
import type { Loader } from './loader.ts';
import { change, newPart } from './part-commit.ts';
import { readSnapshot } from './run-documents.ts';
import { settleShard } from './settle-shard.ts';
import { beginRun, settlersFor, startInstance, startRun } from './start-run.ts';

/** A start that is under way right now is not completed by the tick. */
const START_GRACE_MS = 30_000;

const MINUTE_MS = 60_000;

/** A run that was taken over this often is given up. */
const MOST_EPOCHS = 5;

/**
 * Looks after all loads, once a minute: completes starts that were cut off, takes over runs that stand still, frees
 * locks that an end left behind, and starts what is due. One load's trouble doesn't keep it from the others.
 */
export async function tick(loader: Loader, orchestrations: Orchestrations): Promise<void> {
  await allOf(await loader.loads.listLocks(), 8, (lock) =>
    guarded(loader, lock.load, () => {
      const { request } = lock;
      return 'operation' in request
        ? lookAfterOperation(loader, orchestrations, { ...lock, request })
        : lookAfterRun(loader, orchestrations, { ...lock, request });
    }),
  );
  await allOf(await listLoads(loader), 8, (entry) =>
    guarded(loader, entry.definition.name, () => startWhatIsDue(loader, orchestrations, entry)),
  );
}

async function guarded(loader: Loader, load: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    events.tickFailed(loader.logger, { load, error: toLoaderError(thrown) });
  }
}

/** A lock that a run holds. */
type RunLock = Omit<Lock, 'request'> & { readonly request: RunRequest };

async function lookAfterRun(loader: Loader, orchestrations: Orchestrations, lock: RunLock): Promise<void> {
  const { request } = lock;
  const view = await loader.runs.readRun(request.runId);
  const isYoung = loader.now().getTime() - Date.parse(lock.acquiredAt) < START_GRACE_MS / loader.timeScale;
  if (view === null) {
    if (!isYoung) await completeStart(loader, orchestrations, lock);
    return;
  }
  if (view.run.value.finalState !== null) {
    await loader.loads.releaseLock(lock.load, request.runId);
    return;
  }
  const { runId, epoch } = view.run.value;
  const status = await orchestrations.status(runInstanceId({ runId, epoch }));
  if (status === 'absent') {
    if (!isYoung) await startInstance(orchestrations, await readSnapshot(loader, runId), epoch);
    return;
  }
  await keepDeadline(loader, view);
  await watchSilence(loader, orchestrations, view);
}

/** A run whose time is up starts no further objects; to the minute, as the tick comes. */
async function keepDeadline(loader: Loader, { run, control }: RunView): Promise<void> {
  const { runId, createdAt } = run.value;
  if (control.value.stop !== null || run.value.closingAt != null) return;
  const { deadlineMinutes } = (await readSnapshot(loader, runId)).definition.limits;
  if (deadlineMinutes === null) return;
  const now = loader.now();
  if (now.getTime() < Date.parse(createdAt) + (deadlineMinutes * MINUTE_MS) / loader.timeScale) return;
  const stopAt = now.toISOString();
  // The run's own row, too: a run that is just ending has kept its deadline.
  if (await loader.runs.commit(runId, [change(control, { stop: 'deadline', stopAt }), change(run, {})]))
    events.runReachedDeadline(loader.logger, { runId, epoch: run.value.epoch });
}

/** The load may have been deleted behind its lock: then nothing can begin. */
async function completeStart(
  loader: Loader,
  orchestrations: Orchestrations,
  { load, request }: RunLock,
): Promise<void> {
  try {
    await beginRun(loader, orchestrations, request);
  } catch (thrown) {
    if (toLoaderError(thrown).code !== 'loadNotFound') throw thrown;
    await loader.loads.releaseLock(load, request.runId);
  }
}

/**
 * A run is taken over when a part of it has been silent for long, ticks have seen that for some minutes, and this host
 * has been up as long: one that was down itself must first give its own instances time to go on.
 */
async function watchSilence(loader: Loader, orchestrations: Orchestrations, view: RunView): Promise<void> {
  const run = view.run;
  const now = loader.now();
  const silentSince = silentPartSince(view);
  const isSilent = now.getTime() - silentSince.getTime() > loader.timing.staleAfterMs;
  if (!isSilent) {
    if (run.value.silentSince !== null)
      await loader.runs.commit(run.value.runId, [change(run, { silentSince: null })]);
    return;
  }
  events.runSilent(loader.logger, {
    runId: run.value.runId,
    epoch: run.value.epoch,
    silentSince: silentSince.toISOString(),
  });
  if (run.value.silentSince === null) {
    await loader.runs.commit(run.value.runId, [change(run, { silentSince: now.toISOString() })]);
    return;
  }
  const seenSince = Math.max(Date.parse(run.value.silentSince), loader.startedAt.getTime());
  if (now.getTime() - seenSince < loader.takeoverAfterMs) return;
  await takeOver(loader, orchestrations, view);
}

/**
 * Begins the next epoch of a run: one transaction raises the epoch, rewrites the rows of the old parts (so that nothing
 * the old epoch has decided can be written any more) and gives the new planner the old one's position. Then the old
 * instances are ended one by one, for ending a parent does not reach its children.
 */
async function takeOver(loader: Loader, orchestrations: Orchestrations, view: RunView): Promise<void> {
  const { runId, epoch } = view.run.value;
  if (epoch >= MOST_EPOCHS) {
    events.runGivenUp(loader.logger, { runId, epoch });
    // Activities that still run post nothing more.
    const stop = { stop: 'givenUp', stopAt: loader.now().toISOString() } as const;
    const writes = [change(view.control, stop), change(view.run, {})];
    if (view.control.value.stop === null && !(await loader.runs.commit(runId, writes))) return;
    await endInstances(loader, orchestrations, view);
    await settleForGood(loader, view);
    await finishRun(loader, { v: PAYLOAD_VERSION, runId, epoch }, { givenUp: true });
    return;
  }
  const now = loader.now().toISOString();
  const writes: RunWrite[] = [change(view.run, { epoch: epoch + 1, epochAt: now, silentSince: null })];
  for (const part of view.parts.filter(({ value }) => value.epoch === epoch)) {
    writes.push(change(part, { endedAt: part.value.endedAt ?? now }));
    if (part.value.part === 'planner') writes.push({ value: heirOf(part, epoch + 1, now), etag: null });
  }
  if (!(await loader.runs.commit(runId, writes))) return;
  events.runTakenOver(loader.logger, { runId, epoch: epoch + 1 });
  await endInstances(loader, orchestrations, view);
  await startInstance(orchestrations, await readSnapshot(loader, runId), epoch + 1);
}

/** Accounts for what a given-up run has posted: what ADX has not reported by now is `unknown`. */
async function settleForGood(loader: Loader, { run, shards }: RunView): Promise<void> {
  const { runId, epoch } = run.value;
  // Objects that wait to be posted once more have failed.
  const begun = shards.filter(({ value }) => value.state !== 'planned' || isRetryShard(value));
  for (const { value } of begun) {
    const input = { v: PAYLOAD_VERSION, runId, epoch, settler: 0, shard: value.shard } as const;
    await settleShard(loader, input, { isLastLook: true });
  }
}

/** The new planner goes on where the old one stood; the progress stays with the old row, and sums count both. */
function heirOf(planner: Stored<PartRow>, epoch: number, now: string): PartRow {
  const { turn, holds, cursor, endedAt, problem } = planner.value;
  return { ...newPart('planner', epoch, now), turn, holds, cursor, endedAt, problem };
}

async function endInstances(loader: Loader, orchestrations: Orchestrations, view: RunView): Promise<void> {
  const { runId, epoch } = view.run.value;
  const { definition } = await readSnapshot(loader, runId);
  const { lanes } = definition.concurrency;
  const parts = ['planner', ...names('lane', lanes), ...names('settler', settlersFor(lanes))];
  const shards = view.shards.filter(({ value }) => value.state === 'claimed' && value.epoch === epoch);
  const instances = [
    runInstanceId({ runId, epoch }),
    ...parts.map((part) => partInstanceId({ runId, epoch, part })),
    ...shards.map(({ value }) =>
      shardInstanceId({ runId, epoch, shard: value.shard, attempt: value.attempt }),
    ),
  ];
  for (const instance of instances) {
    try {
      await orchestrations.terminate(instance, 'taken over');
    } catch (thrown) {
      // Its activities stop by the epoch; what matters is that the new epoch begins.
      events.instanceNotEnded(loader.logger, { instance, error: toLoaderError(thrown) });
    }
  }
}

function names(kind: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${kind}-${index}`);
}

async function startWhatIsDue(
  loader: Loader,
  orchestrations: Orchestrations,
  entry: CatalogEntry,
): Promise<void> {
  const { definition } = entry;
  const load = definition.name;
  const scheduled = await noteDue(loader, entry);
  if ((await loader.loads.readLock(load)) !== null) return;
  if (scheduled !== null) {
    await startScheduled(loader, orchestrations, load, scheduled);
    return;
  }
  const pending = definition.events
    ? await loader.loads.readPending({ load, bucket: definition.source.bucket }, { afterKey: null, limit: 1 })
    : [];
  const now = loader.now().toISOString();
  const isSettlingDue = (await loader.loads.listUnsettled(load)).some(
    ({ lookAt }) => lookAt !== null && lookAt <= now,
  );
  const trigger = pending.length > 0 ? 'events' : isSettlingDue ? 'settle' : null;
  if (trigger === null || (await isPaused(loader, load))) return;
  await startUnlessBusy(loader, orchestrations, { load, trigger });
}

async function isPaused(loader: Loader, load: string): Promise<boolean> {
  const [latest] = (await loader.runs.listRuns({ load, limit: 1 })).runs;
  return latest?.pauseUntil != null && loader.now().toISOString() < latest.pauseUntil;
}

/** Writes down the latest instant that fell due, so that it is neither lost nor started twice; returns what waits. */
async function noteDue(
  loader: Loader,
  { definition: { name, schedule }, scheduleSince: setAt }: CatalogEntry,
): Promise<Date | null> {
  if (schedule === null) return null;
  const now = loader.now();
  const checkedUntil = now.toISOString();
  const stored = await loader.loads.readSchedule(name);
  // A schedule counts from when it was set, whenever a tick first sees it: what fell due before is nobody's expectation.
  const before =
    stored?.setAt === setAt
      ? stored
      : { setAt, checkedUntil: setAt, waiting: null, etag: stored?.etag ?? null };
  const due = latestDue(schedule, new Date(before.checkedUntil), now);
  const waiting = due?.toISOString() ?? before.waiting;
  if (!(await loader.loads.writeSchedule(name, { ...before, checkedUntil, waiting }))) return null;
  return waiting === null ? null : new Date(waiting);
}

async function startScheduled(
  loader: Loader,
  orchestrations: Orchestrations,
  load: string,
  scheduledFor: Date,
): Promise<void> {
  const runId = scheduledRunId(load, scheduledFor);
  const alreadyRun = (await loader.runs.readControl(runId)) !== null;
  if (!alreadyRun && !(await startUnlessBusy(loader, orchestrations, { load, trigger: 'schedule', runId })))
    return;
  const state = await loader.loads.readSchedule(load);
  if (state !== null && state.waiting === scheduledFor.toISOString())
    await loader.loads.writeSchedule(load, { ...state, waiting: null });
}

async function startUnlessBusy(
  loader: Loader,
  orchestrations: Orchestrations,
  input: Parameters<typeof startRun>[2],
): Promise<boolean> {
  try {
    await startRun(loader, orchestrations, input);
    return true;
  } catch (thrown) {
    if (thrown instanceof LoaderError && thrown.code === 'loadBusy') return false;
    throw thrown;
  }
}

/** What waited for the lock of a load is started as soon as it is free, not only with the next tick. */
export async function startWaiting(
  loader: Loader,
  orchestrations: Orchestrations,
  load: string,
): Promise<void> {
  await guarded(loader, load, async () => {
    const entry = (await listLoads(loader)).find(({ definition }) => definition.name === load);
    if (entry !== undefined) await startWhatIsDue(loader, orchestrations, entry);
  });
}
