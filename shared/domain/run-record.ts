import type { ErrorCode } from '../errors/loader-error.ts';
import type { Pace } from './pace.ts';
import { retryNumber } from './retry-shard.ts';
import type { ProgressSample } from './run-rate.ts';
import type { FinalRunState, OutcomeDigest, PlanTotals, RunState, StopReason } from './run-summary.ts';

/** What started a run. `settle` runs only settle what earlier runs left unknown, `rerun`s are about objects of one earlier run. */
export type RunTrigger = 'manual' | 'schedule' | 'events' | 'settle' | 'rerun';

/** Which objects of an earlier run of the load a rerun is about. */
export interface RerunOptions {
  readonly runId: string;
  /** By how they ended in that run; `notIngested`: all that are not `ingested`, gone and changed ones, too. */
  readonly objects: 'failed' | 'notIngested';
  /**
   * Objects of which nobody knows whether their rows are in are posted once more, also where their URL never expires or
   * they were posted without proof before: their rows may then be in the table twice.
   */
  readonly acceptDoubles: boolean;
}

/** What a start may narrow, beside what the definition says. */
export interface RunOptions {
  /** Longer than, and beginning with, the prefix of the definition. */
  readonly prefix: string | null;
  readonly modifiedAfter: string | null;
  readonly modifiedBefore: string | null;
  readonly retryFailed: boolean;
  /** Reruns only. */
  readonly rerun?: RerunOptions;
}

export const NO_OPTIONS: RunOptions = {
  prefix: null,
  modifiedAfter: null,
  modifiedBefore: null,
  retryFailed: false,
};

/** Everything that is needed to begin a run; it stands in the lock, so that a start that was cut off can be completed. */
export interface RunRequest {
  readonly runId: string;
  readonly load: string;
  readonly trigger: RunTrigger;
  readonly options: RunOptions;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** The record of a run: request, epoch, end. */
export interface RunRow extends RunRequest {
  readonly row: 'run';
  readonly epoch: number;
  /** When the present epoch began; ISO 8601, UTC. */
  readonly epochAt: string;
  /** How many parts each epoch has: the planner, the lanes and the settlers. */
  readonly partCount: number;
  readonly generation: number;
  /**
   * Since when the run is accounted for: no part of it changes anything any more, or the summary would count what the list
   * of objects does not. `null`, and absent in rows of older versions, before.
   */
  readonly closingAt: string | null;
  /** `null` until the run has ended. */
  readonly finalState: FinalRunState | null;
  readonly endedAt: string | null;
  /**
   * Set at the end of a run that could not do what it was started for: until then events and open objects start no other,
   * for the cause may need somebody's hand.
   */
  readonly pauseUntil: string | null;
  /** When a tick first saw the run stand still. */
  readonly silentSince: string | null;
}

/** What people asked of the run, or its `onError` policy, its deadline or the tick decided; all activities obey it. */
export interface ControlRow {
  readonly row: 'control';
  readonly stop: StopReason | null;
  readonly stopAt: string | null;
  /** Since when nothing new is planned or posted; `null`, and absent in rows of older versions: the run is not suspended. */
  readonly suspendedAt: string | null;
  /** `null`, and absent in rows of older versions: the run was never throttled. */
  readonly pace: Pace | null;
}

/** Absolute figures of a part; those of a run are their sum over the parts of all epochs. */
export interface PartProgress {
  readonly plan: PlanTotals;
  readonly digest: OutcomeDigest;
  /** Settlers: how far the whole run was, from time to time; absent in rows of older versions. */
  readonly samples?: readonly ProgressSample[];
}

/** A part of a run in one epoch: the planner, a lane or a settler. */
export interface PartRow {
  readonly row: 'part';
  /** `planner`, `lane-0`, `settler-0`. */
  readonly part: string;
  readonly epoch: number;
  readonly turn: number;
  /** What this turn was given; asked again, the same is given again. */
  readonly holds: string | null;
  readonly heartbeatAt: string;
  readonly endedAt: string | null;
  /** How planning ended when it ended by an error. */
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null;
  /** Planner: cursor behind the last page, `null` before the first. */
  readonly cursor: string | null;
  readonly progress: PartProgress;
}

/**
 * A shard of a run.
 * - `planned`: waits for a lane. `claimed`: a lane works through it. `posted`: a settler looks at it from time to time.
 * - `settled`: its outcomes are written; the row has left the live part of the run.
 */
export interface ShardRow {
  readonly row: 'shard';
  readonly shard: string;
  readonly state: 'planned' | 'claimed' | 'posted' | 'settled';
  readonly units: number;
  readonly objects: number;
  readonly bytes: number;
  /** Path of the manifest blob. */
  readonly manifest: string;
  /** Lane or settler that holds the shard now. */
  readonly heldBy: string | null;
  readonly epoch: number;
  readonly turn: number;
  /** How often the shard was given to a lane in this epoch. */
  readonly attempt: number;
  readonly postedAt: string | null;
  /** When a settler should look next; of a claimed shard: when its lane may try it again. */
  readonly lookAt: string | null;
  readonly looks: number;
  /** Why objects of the shard could not be posted. */
  readonly code: string | null;
  /** Objects and bytes settled so far: for progress, and for the room that is left for others. */
  readonly settledObjects: number;
  readonly settledBytes: number;
  /** How the settled ones have ended, without those that are posted once more; `null` before the first look. */
  readonly ends: ShardEnds | null;
  /** Settled shards: objects whose fate is still open, for the load's next run. */
  readonly unsettledObjects: number;
}

export interface ShardEnds {
  readonly ingested: number;
  readonly failed: number;
}

/** A shard that waits to be worked through. */
export function newShard(
  {
    shard,
    units,
    objects,
    bytes,
    manifest,
  }: Pick<ShardRow, 'shard' | 'units' | 'objects' | 'bytes' | 'manifest'>,
  epoch: number,
): ShardRow {
  return {
    row: 'shard',
    shard,
    state: 'planned',
    units,
    objects,
    bytes,
    manifest,
    heldBy: null,
    epoch,
    turn: 0,
    attempt: 0,
    postedAt: null,
    lookAt: null,
    looks: 0,
    code: null,
    settledObjects: 0,
    settledBytes: 0,
    ends: null,
    unsettledObjects: 0,
  };
}

/** The code of a shard whose objects were not all posted because the run was suspended: a lane takes it again. */
export const CUT_SHORT = 'runSuspended' satisfies ErrorCode;

/** A posted shard that holds objects which wait for the run to be resumed. */
export function isCutShort({ state, code }: Pick<ShardRow, 'state' | 'code'>): boolean {
  return state === 'posted' && code === CUT_SHORT;
}

/** A shard of objects that the run posts once more: settlers work through it, lanes leave it alone. */
export function isRetryShard({ shard }: Pick<ShardRow, 'shard'>): boolean {
  return retryNumber(shard) > 0;
}

/** A row with the ETag that a conditional write needs. */
export interface Stored<Row> {
  readonly value: Row;
  readonly etag: string;
}

/** The live part of a run: everything but settled shards. */
export interface RunView {
  readonly run: Stored<RunRow>;
  readonly control: Stored<ControlRow>;
  readonly parts: readonly Stored<PartRow>[];
  readonly shards: readonly Stored<ShardRow>[];
}

/** How long a shard may be held by a settler that does not come back before another may take it. */
export const SETTLER_HOLD_MS = 5 * 60_000;

/** The part of this name in the run's present epoch. */
export function partOf(view: RunView, part: string): Stored<PartRow> | null {
  return view.parts.find(({ value }) => value.part === part && value.epoch === view.run.value.epoch) ?? null;
}

/** The state of a run that has not ended follows from its rows. */
export function runState(view: RunView): RunState {
  const { finalState } = view.run.value;
  if (finalState !== null) return finalState;
  if (view.control.value.stop !== null) return 'cancelling';
  if (view.control.value.suspendedAt !== null) return 'suspended';
  const planner = partOf(view, 'planner');
  if (planner === null) return 'starting';
  return planner.value.endedAt === null ? 'planning' : 'running';
}

/** What a lane is told by `takeShard`, before its memory and the fences of the epoch. */
export type LaneChoice =
  | { readonly choice: 'shard'; readonly shard: Stored<ShardRow> }
  /** Until something changes, or until a shard may be tried again. */
  | { readonly choice: 'wait'; readonly until: Date | null }
  | { readonly choice: 'stop' };

/** How much may be under way at the same time, at the run's present pace. */
export interface LaneBounds {
  /** Objects that are posted and not yet settled. */
  readonly maxInFlight: number;
  /** Lanes that may work through a shard. */
  readonly lanes: number;
}

/** After so many attempts a shard is left to the settlers, who account for what was not posted. */
export const SHARD_ATTEMPTS = 5;

/**
 * What a lane does next: a shard of its own that was not worked through, else the first one that is planned, was cut
 * short by a suspension, or was left behind by an earlier epoch. In a suspended run it waits.
 */
export function chooseForLane(
  view: RunView,
  lane: string,
  { maxInFlight, lanes }: LaneBounds,
  now: Date,
): LaneChoice {
  const { epoch } = view.run.value;
  if (view.control.value.stop !== null) return { choice: 'stop' };
  if (view.control.value.suspendedAt !== null) return { choice: 'wait', until: null };
  const mine = view.shards.find(
    ({ value }) =>
      value.state === 'claimed' &&
      value.epoch === epoch &&
      value.heldBy === lane &&
      value.attempt < SHARD_ATTEMPTS,
  );
  if (mine !== undefined)
    return lookTime(mine.value) > now.getTime()
      ? { choice: 'wait', until: new Date(lookTime(mine.value)) }
      : { choice: 'shard', shard: mine };
  const free = view.shards.find(
    ({ value }) =>
      !isRetryShard(value) &&
      (value.state === 'planned' || isCutShort(value) || (value.state === 'claimed' && value.epoch < epoch)),
  );
  const planner = partOf(view, 'planner');
  if (free === undefined)
    return planner !== null && planner.value.endedAt !== null
      ? { choice: 'stop' }
      : { choice: 'wait', until: null };
  const busyLanes = view.shards.filter(
    ({ value }) =>
      value.state === 'claimed' && value.epoch === epoch && value.heldBy !== lane && !isRetryShard(value),
  );
  if (busyLanes.length >= lanes) return { choice: 'wait', until: null };
  // What is due to be posted once more goes first.
  const before = inFlight(view) + dueAgain(view, now);
  return isWithin(maxInFlight, before, free.value)
    ? { choice: 'shard', shard: free }
    : { choice: 'wait', until: null };
}

/** A shard larger than the bound must still be loaded, alone. */
function isWithin(maxInFlight: number, before: number, { objects, settledObjects }: ShardRow): boolean {
  return before === 0 || before + objects - settledObjects <= maxInFlight;
}

/** A shard that was cut short may have posted nothing; it counts again when it is taken again. */
function isInFlight(shard: ShardRow, epoch: number): boolean {
  return shard.state === 'posted' ? !isCutShort(shard) : shard.state === 'claimed' && shard.epoch === epoch;
}

/** Objects that are posted, or being posted, and not yet settled. */
function inFlight({ run, shards }: RunView): number {
  return openObjects(shards.filter(({ value }) => isInFlight(value, run.value.epoch)));
}

/** Objects of retry shards that no settler has taken yet, or again, although they are due. */
function dueAgain({ run, shards }: RunView, now: Date): number {
  const isDue = (shard: ShardRow) =>
    isRetryShard(shard) && !isInFlight(shard, run.value.epoch) && lookTime(shard) <= now.getTime();
  return openObjects(shards.filter(({ value }) => isDue(value)));
}

function openObjects(shards: readonly Stored<ShardRow>[]): number {
  return shards.reduce((sum, { value }) => sum + value.objects - value.settledObjects, 0);
}

/** What a settler is told by `takePosted`. */
export type SettlerChoice =
  | { readonly choice: 'settle'; readonly shard: Stored<ShardRow> }
  /** A retry shard whose objects are to be posted. */
  | { readonly choice: 'load'; readonly shard: Stored<ShardRow> }
  | { readonly choice: 'wait'; readonly until: Date | null }
  | { readonly choice: 'stop' };

/**
 * The posted shard, or the retry shard, that is due soonest, whoever looked at it before. A retry shard waits until the
 * bound has room for its objects.
 */
export function chooseForSettler(
  view: RunView,
  settler: string,
  { maxInFlight }: Pick<LaneBounds, 'maxInFlight'>,
  now: Date,
): SettlerChoice {
  const { epoch } = view.run.value;
  const lanes = view.parts.filter(({ value }) => value.epoch === epoch && value.part.startsWith('lane-'));
  const lanesEnded = lanes.length > 0 && lanes.every(({ value }) => value.endedAt !== null);
  const open = view.shards
    // When the lanes have ended, nobody will post a claimed shard any more: it is settled as it is.
    .filter(
      ({ value }) =>
        value.state === 'posted' || isRetryShard(value) || (lanesEnded && value.state === 'claimed'),
    )
    .sort((a, b) => lookTime(a.value) - lookTime(b.value));
  if (open.length === 0) return lanesEnded ? { choice: 'stop' } : { choice: 'wait', until: null };
  const before = inFlight(view);
  for (const shard of open) {
    const choice = settlerWork(view, shard.value, settler, now);
    if (choice === 'leave') continue;
    // Of one that this settler is at work on already all objects are counted.
    const isTaken = shard.value.state === 'claimed' && shard.value.epoch === epoch;
    if (choice === 'load' && !isTaken && !isWithin(maxInFlight, before, shard.value)) continue;
    // What waits to be posted again and never will be is only accounted for.
    const isDue =
      lookTime(shard.value) <= now.getTime() || (choice === 'settle' && shard.value.state !== 'posted');
    return isDue ? { choice, shard } : { choice: 'wait', until: new Date(lookTime(shard.value)) };
  }
  return { choice: 'wait', until: null };
}

/** What is to be done with a shard that is the settlers': they post the objects of retry shards, and settle all. */
function settlerWork(
  { run, control }: RunView,
  shard: ShardRow,
  settler: string,
  now: Date,
): 'settle' | 'load' | 'leave' {
  const { epoch } = run.value;
  const { stop, suspendedAt } = control.value;
  const isPostedAgain = isRetryShard(shard) && (shard.state !== 'posted' || isCutShort(shard));
  if (isPostedAgain && shard.state === 'claimed' && shard.epoch === epoch && shard.heldBy !== settler)
    return 'leave';
  if (isPostedAgain && stop === null) {
    if (suspendedAt === null) return 'load';
    // What it has posted before it was cut short is reported meanwhile.
    if (shard.state !== 'posted') return 'leave';
  }
  return shard.state === 'posted' && isHeldByOther(shard, settler, epoch, now) ? 'leave' : 'settle';
}

function lookTime(shard: ShardRow): number {
  return shard.lookAt === null ? 0 : Date.parse(shard.lookAt);
}

function isHeldByOther(shard: ShardRow, settler: string, epoch: number, now: Date): boolean {
  if (shard.heldBy === null || shard.heldBy === settler || shard.epoch < epoch) return false;
  return now.getTime() < lookTime(shard) + SETTLER_HOLD_MS;
}

/**
 * Whether a run has left something undone, as when its parts gave up because none of their activities could be carried out:
 * planning has not ended, or shards are not settled. A run that was stopped leaves out what it has not begun.
 */
export function isWorkLeft(view: RunView): boolean {
  const isStopped = view.control.value.stop !== null;
  const isPlanned = partOf(view, 'planner')?.value.endedAt != null;
  if (!isStopped && !isPlanned) return true;
  return view.shards.some(({ value }) => !isStopped || value.state !== 'planned' || isRetryShard(value));
}

/**
 * Since when a run stands still: the latest sign of life of its most silent part without an end. A part without a row
 * has been silent since the epoch began; when all have ended, only the finish is left, and the last end counts.
 */
export function silentPartSince(view: RunView): Date {
  const { epoch, epochAt, partCount } = view.run.value;
  const rows = view.parts.map(({ value }) => value).filter((part) => part.epoch === epoch);
  const signs = rows
    .filter(({ endedAt }) => endedAt === null)
    .map(({ heartbeatAt }) => Date.parse(heartbeatAt));
  if (rows.length < partCount) signs.push(Date.parse(epochAt));
  if (signs.length > 0) return new Date(Math.min(...signs));
  return new Date(Math.max(...rows.map(({ endedAt }) => Date.parse(endedAt!))));
}
