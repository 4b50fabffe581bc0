import { partitionOf } from './ledger-key.ts';
import type { LoadReason } from './plan-decision.ts';

/** An object that a run will load, as the shard manifest holds it. */
export interface PlannedObject {
  readonly key: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly reason: LoadReason;
  /** Of objects that are posted once more in one run: the `attemptSeq` of the attempt that failed. */
  readonly failedSeq?: number;
}

/** What one ingest activity handles. */
export type Unit = readonly PlannedObject[];

/** What one sub-orchestration handles. */
export type Shard = readonly Unit[];

/**
 * At most this many activities in one orchestration. The history of an orchestration is replayed at every turn, so
 * its cost grows with the square of its activities: measured, 10,000 activities cost 42 s of CPU in one
 * orchestration and 1.9 s in orchestrations of 100.
 */
export const UNITS_PER_SHARD = 100;

/**
 * Objects of an activity together, as they lie in S3, unless a single one is larger. ADX ingests 1 GB at one go by its
 * default batching policy: more in one activity would share nothing, and large objects are better spread over the lanes.
 */
export const BYTES_PER_UNIT = 1024 ** 3;

/** Below this an activity costs more than what it does: on Azure Storage an activity is some ten operations. */
const SMALLEST_PACK = 25;

export interface LayoutRule {
  readonly lanes: number;
  /** Upper bound of a unit: 1 makes every object an activity of its own. */
  readonly objectsPerActivity: number;
  /** Bound of the run's objects in flight; a unit and a shard take at most a lane's share of it. */
  readonly maxInFlight: number;
}

/**
 * Lays the selected objects of a plan page out as shards of units: every object in exactly one unit, objects of one
 * ledger partition side by side (a unit's ledger writes are transactions of a partition), and enough shards for
 * every lane to have work.
 */
export function layOutShards(objects: readonly PlannedObject[], rule: LayoutRule): readonly Shard[] {
  const size = unitSize(objects.length, rule);
  const units = pack(byPartition(objects), size);
  const unitsOfALane = clamp(Math.floor(rule.maxInFlight / rule.lanes / size), 1, UNITS_PER_SHARD);
  return divide(units, Math.max(Math.ceil(units.length / unitsOfALane), Math.min(units.length, rule.lanes)));
}

/** Lays objects of one shard that are posted once more out as a shard. */
export function layOutRetry(objects: readonly PlannedObject[], rule: LayoutRule): Shard {
  return pack(byPartition(objects), unitSize(objects.length, rule));
}

function byPartition(objects: readonly PlannedObject[]): PlannedObject[] {
  return objects
    .map((object) => ({ object, partition: partitionOf(object.key) }))
    .sort((a, b) => a.partition - b.partition)
    .map(({ object }) => object);
}

function unitSize(objectCount: number, rule: LayoutRule): number {
  const even = Math.ceil(objectCount / (rule.lanes * 4));
  const most = clamp(Math.floor(rule.maxInFlight / rule.lanes), 1, rule.objectsPerActivity);
  return clamp(even, Math.min(SMALLEST_PACK, most), most);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** Units of at most so many objects, and of so many bytes where they hold more than one. */
function pack(objects: readonly PlannedObject[], size: number): PlannedObject[][] {
  const units: PlannedObject[][] = [];
  let unit: PlannedObject[] = [];
  let bytes = 0;
  for (const object of objects) {
    if (unit.length === size || (unit.length > 0 && bytes + object.sizeBytes > BYTES_PER_UNIT)) {
      units.push(unit);
      unit = [];
      bytes = 0;
    }
    unit.push(object);
    bytes += object.sizeBytes;
  }
  return unit.length === 0 ? units : [...units, unit];
}

/** So many parts of even size: they differ by at most one item. */
function divide<T>(items: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, part) =>
    items.slice(Math.floor((part * items.length) / parts), Math.floor(((part + 1) * items.length) / parts)),
  );
}
