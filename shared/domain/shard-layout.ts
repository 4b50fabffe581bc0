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

/** Below this an activity costs more than what it does: on Azure Storage an activity is tens of operations. */
const SMALLEST_PACK = 25;

export interface LayoutRule {
  readonly lanes: number;
  /** Upper bound of a unit: 1 makes every object an activity of its own. */
  readonly objectsPerActivity: number;
  /** Bound of the run's objects in flight; a shard takes at most a lane's share of it. */
  readonly maxInFlight: number;
}

/**
 * Lays the selected objects of a plan page out as shards of units: every object in exactly one unit, objects of one
 * ledger partition side by side (a unit's ledger writes are transactions of a partition), and enough shards for
 * every lane to have work.
 */
export function layOutShards(objects: readonly PlannedObject[], rule: LayoutRule): readonly Shard[] {
  const size = unitSize(objects.length, rule);
  const units = chunk(byPartition(objects), size);
  const unitsOfALane = clamp(Math.floor(rule.maxInFlight / rule.lanes / size), 1, UNITS_PER_SHARD);
  return divide(units, Math.max(Math.ceil(units.length / unitsOfALane), Math.min(units.length, rule.lanes)));
}

/** Lays objects of one shard that are posted once more out as a shard. */
export function layOutRetry(objects: readonly PlannedObject[], rule: LayoutRule): Shard {
  return chunk(byPartition(objects), unitSize(objects.length, rule));
}

function byPartition(objects: readonly PlannedObject[]): PlannedObject[] {
  return objects
    .map((object) => ({ object, partition: partitionOf(object.key) }))
    .sort((a, b) => a.partition - b.partition)
    .map(({ object }) => object);
}

function unitSize(objectCount: number, rule: LayoutRule): number {
  const even = Math.ceil(objectCount / (rule.lanes * 4));
  return clamp(even, Math.min(SMALLEST_PACK, rule.objectsPerActivity), rule.objectsPerActivity);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < items.length; at += size) chunks.push(items.slice(at, at + size));
  return chunks;
}

/** So many parts of even size: they differ by at most one item. */
function divide<T>(items: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, part) =>
    items.slice(Math.floor((part * items.length) / parts), Math.floor(((part + 1) * items.length) / parts)),
  );
}
