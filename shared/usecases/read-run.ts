import { isYetToBePosted, outcomeOf } from '../domain/object-outcome.ts';
import { shareAt } from '../domain/pace.ts';
import { type Rate, rateOf, secondsLeft } from '../domain/run-rate.ts';
import { isCutShort, type RunRow, type RunView, runState, type ShardRow } from '../domain/run-record.ts';
import {
  OBJECT_STATES,
  type ObjectOutcome,
  type ObjectState,
  type RunState,
  type RunSummary,
} from '../domain/run-summary.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import { ERROR_KINDS, LoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';
import { ledgerOf, readManifest, readOutcomes, readSnapshot, readSummary } from './run-documents.ts';
import { doneOfRun, endsOfRun, planOfRun } from './run-totals.ts';

/** How far a run is. Bytes are those of the objects as they lie in S3. */
export interface RunProgress {
  readonly listed: number;
  readonly planningEnded: boolean;
  /** Objects to load; grows until planning has ended. */
  readonly objectsTotal: number;
  readonly objectsPosted: number;
  /** Posted, and not yet reported. */
  readonly objectsQueued: number;
  readonly objectsDone: number;
  /** Of these, by how they ended; what is posted once more is in neither. */
  readonly objectsIngested: number;
  readonly objectsFailed: number;
  readonly bytesTotal: number;
  readonly bytesDone: number;
  /** Of the last five minutes, or since the run began; `null` when it has ended or nothing can be told. */
  readonly rate: Rate | null;
  /** At that rate; `null` until planning has ended, and while nothing moves. */
  readonly secondsLeft: number | null;
  readonly concurrency: {
    /** Lanes that work through a shard now. */
    readonly lanesAtWork: number;
    /** Of the load's concurrency that the run may use now; less than 1 after S3 or ADX throttled. */
    readonly share: number;
    /** How often it was slowed down. */
    readonly slowdowns: number;
  };
}

/** Answer of `GET /api/runs/{id}`. */
export interface RunStatus {
  readonly runId: string;
  readonly load: string;
  readonly trigger: string;
  readonly state: RunState;
  readonly createdAt: string;
  readonly endedAt: string | null;
  readonly epoch: number;
  readonly progress: RunProgress;
  readonly summary: RunSummary | null;
}

async function needRun(loader: Loader, runId: string): Promise<RunView> {
  const view = await loader.runs.readRun(runId);
  if (view === null) throw new LoaderError('runNotFound', `There is no run "${runId}"`);
  return view;
}

/** @throws {LoaderError} `runNotFound`. */
export async function readRunStatus(loader: Loader, runId: string): Promise<RunStatus> {
  const view = await needRun(loader, runId);
  const { load, trigger, createdAt, endedAt, epoch, finalState } = view.run.value;
  return {
    runId,
    load,
    trigger,
    state: runState(view),
    createdAt,
    endedAt,
    epoch,
    progress: progressOf(loader, view),
    summary: finalState === null ? null : await readSummary(loader, runId),
  };
}

/** From the live part of the run alone: what it costs does not grow with the run. */
function progressOf({ now, timeScale }: Loader, view: RunView): RunProgress {
  const plan = planOfRun(view);
  const { ingested, failed } = endsOfRun(view).objects;
  const { createdAt, epoch, finalState } = view.run.value;
  const { pace } = view.control.value;
  const live = view.shards.map(({ value }) => value);
  const sum = (rows: readonly ShardRow[], of: (row: ShardRow) => number) =>
    rows.reduce((total, row) => total + of(row), 0);
  const planner = view.parts.find(({ value }) => value.part === 'planner' && value.epoch === epoch);
  const planningEnded = planner?.value.endedAt != null;
  const done = doneOfRun(view);
  const closed = done.objects - sum(live, ({ settledObjects }) => settledObjects);
  const posted =
    closed +
    sum(
      live.filter(({ state }) => state === 'posted'),
      (row) => (isCutShort(row) ? row.settledObjects : row.objects),
    );
  const samples = view.parts.flatMap(({ value }) => value.progress.samples ?? []);
  const begun = { at: createdAt, objects: 0, bytes: 0 };
  const rate =
    finalState === null
      ? rateOf(samples.length < 2 ? [begun] : samples, { at: now().toISOString(), ...done }, timeScale)
      : null;
  return {
    listed: plan.listed,
    planningEnded,
    objectsTotal: plan.selected,
    objectsPosted: posted,
    objectsQueued: Math.max(0, posted - done.objects),
    objectsDone: done.objects,
    objectsIngested: ingested,
    objectsFailed: failed,
    bytesTotal: plan.selectedBytes,
    bytesDone: done.bytes,
    rate,
    secondsLeft:
      planningEnded && finalState === null ? secondsLeft(rate, plan.selected - done.objects) : null,
    concurrency: {
      lanesAtWork: live.filter(({ state }) => state === 'claimed').length,
      share: shareAt(pace, now(), timeScale),
      slowdowns: pace?.slowdowns ?? 0,
    },
  };
}

export interface RunList {
  readonly runs: readonly Pick<
    RunRow,
    'runId' | 'load' | 'trigger' | 'createdAt' | 'endedAt' | 'finalState'
  >[];
  readonly next: string | null;
}

/** Runs, newest first; a run under way has no final state. */
export async function listRuns(
  loader: Loader,
  options: { readonly load: string | null; readonly limit: number; readonly after: string | null },
): Promise<RunList> {
  const { load, limit, after } = options;
  const page = await loader.runs.listRuns({ limit, after, ...(load === null ? {} : { load }) });
  return {
    next: page.next,
    runs: page.runs.map(({ runId, load: name, trigger, createdAt, endedAt, finalState }) => ({
      runId,
      load: name,
      trigger,
      createdAt,
      endedAt,
      finalState,
    })),
  };
}

/** States by which outcomes can be filtered; `pending` is an object that has not come to its end. */
export const OBJECT_FILTERS = [...OBJECT_STATES, 'pending'] as const;
export type ObjectFilter = (typeof OBJECT_FILTERS)[number];
export type ListedOutcome = Omit<ObjectOutcome, 'state'> & { readonly state: ObjectState | 'pending' };

export interface ObjectList {
  readonly objects: readonly ListedOutcome[];
  /** Opaque; `null` after the last page. */
  readonly next: string | null;
}

export interface ObjectQuery {
  readonly state: ObjectFilter | readonly ObjectFilter[] | null;
  readonly limit: number;
  readonly after: string | null;
  /** When to stop looking, between two shards; a page may then be short. Default: never. */
  readonly until?: Date;
}

/**
 * Outcomes of the objects that a run planned, in the order of its shards. Of settled shards they are read from where
 * they were written once, of the others from manifest and ledger as they are now.
 *
 * @throws {LoaderError} `runNotFound`; `invalidRequest` for a cursor that is not one of ours.
 */
export async function listObjects(loader: Loader, runId: string, options: ObjectQuery): Promise<ObjectList> {
  const view = await needRun(loader, runId);
  let position = parseCursor(options.after);
  const wanted = options.state === null ? null : new Set([options.state].flat());
  const found: ListedOutcome[] = [];
  for (;;) {
    const shard = await nextShard(loader, view, position);
    if (shard === null) return { objects: found, next: null };
    const outcomes = await outcomesOf(loader, view, shard);
    for (
      let index = shard.shard === position.shard ? position.index : 0;
      index < outcomes.length;
      index += 1
    ) {
      const outcome = outcomes[index]!;
      if (wanted !== null && !wanted.has(outcome.state)) continue;
      if (found.length === options.limit) return { objects: found, next: `${shard.shard}.${index}` };
      found.push(outcome);
    }
    position = { shard: shard.shard, index: Number.POSITIVE_INFINITY };
    if (options.until !== undefined && loader.now() >= options.until)
      return { objects: found, next: `${shard.shard}.${outcomes.length}` };
  }
}

interface Position {
  readonly shard: string;
  /** The next object within the shard; infinite when the shard is through. */
  readonly index: number;
}

function parseCursor(after: string | null): Position {
  if (after === null) return { shard: '', index: Number.POSITIVE_INFINITY };
  const match = /^([0-9]+-[0-9]+(?:r[0-9]+)?)\.(\d+)$/.exec(after);
  if (match === null)
    throw new LoaderError('invalidRequest', 'The cursor is not valid', {
      problems: [{ field: 'after', message: 'must be the `next` of an earlier answer' }],
    });
  return { shard: match[1]!, index: Number(match[2]) };
}

/** The shard at the position, or the next one, be it live or settled. */
async function nextShard(
  { runs }: Loader,
  view: RunView,
  { shard, index }: Position,
): Promise<ShardRow | null> {
  const isThrough = index === Number.POSITIVE_INFINITY;
  const fits = (candidate: string) => (isThrough ? candidate > shard : candidate >= shard);
  const live =
    view.shards
      .map(({ value }) => value)
      .filter((row) => fits(row.shard))
      .sort(byShard)[0] ?? null;
  // `after` excludes its shard: the one that sorts just before the wanted one stands for "from here on".
  const after = isThrough
    ? shard
    : `${shard.slice(0, -1)}${String.fromCharCode(shard.charCodeAt(shard.length - 1) - 1)}~`;
  const settled = (await runs.settledShards(view.run.value.runId, { after, limit: 1 }))[0] ?? null;
  if (live === null || settled === null) return live ?? settled;
  return byShard(live, settled) < 0 ? live : settled;
}

function byShard(a: ShardRow, b: ShardRow): number {
  return a.shard < b.shard ? -1 : a.shard > b.shard ? 1 : 0;
}

async function outcomesOf(loader: Loader, view: RunView, shard: ShardRow): Promise<readonly ListedOutcome[]> {
  const { runId, finalState } = view.run.value;
  if (shard.state === 'settled') return (await readOutcomes(loader, runId, shard.shard)) ?? [];
  const snapshot = await readSnapshot(loader, runId);
  const objects = (await readManifest(loader, shard.manifest)) ?? [];
  if (finalState !== null) return objects.map((object) => leftOutcome(object, shard));
  const entries = await loader.ledger.readKeys(
    ledgerOf(snapshot),
    objects.map(({ key }) => key),
  );
  return objects.map((object) => {
    const stored = entries.get(object.key) ?? null;
    const isOurs = stored !== null && stored.value.runId === runId;
    const hasEnded =
      isOurs &&
      !isYetToBePosted({ object, stored }) &&
      (stored.value.state === 'ingested' ||
        stored.value.state === 'failed' ||
        stored.value.state === 'unknown');
    const outcome = outcomeOf(
      { object, stored },
      {
        runId,
        tag: snapshot.tag,
        code: shard.code,
        stop: null,
        now: loader.now(),
        downloadGraceMs: loader.timing.downloadGraceMs,
      },
    );
    return hasEnded ? outcome : { ...outcome, state: 'pending', code: null, message: null };
  });
}

/**
 * An object of a shard that an ended run has left as it was. What the ledger says of it by now, a later run has written; the
 * summary counts it like this.
 */
export function leftOutcome({ key, version, sizeBytes }: PlannedObject, { state }: ShardRow): ObjectOutcome {
  const none = { sourceId: null, attempts: 0, postedAt: null, settledAt: null, repostedUnproven: false };
  const isBegun = state !== 'planned';
  return {
    ...none,
    key,
    version,
    sizeBytes,
    state: isBegun ? 'unknown' : 'notStarted',
    code: isBegun ? 'noReport' : null,
    message: isBegun ? ERROR_KINDS.noReport.title : null,
  };
}
