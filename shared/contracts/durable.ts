import type { RunSummary } from '../domain/run-summary.ts';

/**
 * Names and payloads that cross the durable boundary.
 *
 * They live in histories and instance ids of runs in flight: a payload changes by a new `v`, never in place.
 * All are small JSON of references and counts, under 16 KiB, without URLs or secrets; only a run's summary names a few keys.
 */
export const ORCHESTRATORS = {
  loadRun: 'loadRun',
  planner: 'planner',
  lane: 'lane',
  loadShard: 'loadShard',
  settler: 'settler',
  operation: 'operation',
} as const;

export const ACTIVITIES = {
  planPage: 'planPage',
  takeShard: 'takeShard',
  ingestUnit: 'ingestUnit',
  takePosted: 'takePosted',
  settleShard: 'settleShard',
  finishRun: 'finishRun',
  advanceOperation: 'advanceOperation',
} as const;

/** Version of all payloads of this file. */
export const PAYLOAD_VERSION = 1;

/** One run in one epoch; an activity that finds a newer epoch stops. */
export interface RunRef {
  readonly v: typeof PAYLOAD_VERSION;
  readonly runId: string;
  readonly epoch: number;
}

export interface LoadRunInput extends RunRef {
  readonly lanes: number;
  readonly settlers: number;
}

export interface PlannerInput extends RunRef {
  readonly page: number;
}

export interface LaneInput extends RunRef {
  readonly lane: number;
  readonly turn: number;
  /** The shard of the turn before; told to `takeShard`, which marks it as posted. */
  readonly finished: FinishedShard | null;
}

export interface SettlerInput extends RunRef {
  readonly settler: number;
  readonly turn: number;
  /** The retry shard of the turn before; absent in histories of older versions. */
  readonly finished?: FinishedShard | null;
}

export interface LoadShardInput extends RunRef {
  readonly shard: string;
  readonly units: number;
}

export interface FinishedShard {
  readonly shard: string;
  readonly ok: boolean;
  /** Error code when a unit could not be worked through. */
  readonly code: string | null;
}

export interface PlanPageInput extends RunRef {
  readonly page: number;
  /** From 0; the last attempt writes down how planning ended. */
  readonly attempt: number;
}

/** A part's turn is over: go on at once, look again later, or end. */
export type PlanPageOutput =
  | { readonly kind: 'page'; readonly next: number }
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'retry'; readonly waitMs: number; readonly code: string }
  | { readonly kind: 'stop' };

export interface TakeShardInput extends RunRef {
  readonly lane: number;
  readonly turn: number;
  readonly finished: FinishedShard | null;
}

export type TakeShardOutput =
  | { readonly kind: 'shard'; readonly shard: string; readonly units: number; readonly attempt: number }
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'stop' };

export interface IngestUnitInput extends RunRef {
  readonly shard: string;
  readonly unit: number;
}

/** Failures of single objects are in the ledger; `ok: false` means that the unit as such could not be worked through. */
export type IngestUnitOutput = { readonly ok: true } | { readonly ok: false; readonly code: string };

export interface TakePostedInput extends RunRef {
  readonly settler: number;
  readonly turn: number;
  readonly finished?: FinishedShard | null;
}

export type TakePostedOutput =
  | { readonly kind: 'settle'; readonly shard: string }
  /** Objects that are posted once more: the settler works through the shard as a lane does. */
  | { readonly kind: 'load'; readonly shard: string; readonly units: number; readonly attempt: number }
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'stop' };

export interface SettleShardInput extends RunRef {
  readonly settler: number;
  readonly shard: string;
}

export type SettleShardOutput =
  | { readonly ok: true; readonly settled: boolean }
  | { readonly ok: false; readonly code: string };

/** One instance of an operation (undo, reset); an activity that finds a newer attempt stops. */
export interface OperationInput {
  readonly v: typeof PAYLOAD_VERSION;
  readonly operationId: string;
  readonly attempt: number;
}

export type AdvanceOperationOutput =
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'stop' };

/** Bound of what an orchestration returns, as of all that crosses the durable boundary. */
const MOST_OUTPUT_BYTES = 16 * 1024;
const REPOSTED_NAMED = 3;

/**
 * What the orchestration of a run returns: its summary. Where long keys and messages make that too large, it is without
 * examples, slowest objects and objects whose rows differ, and names fewer reposted ones, or none; the whole of it stands in
 * blob storage.
 */
export function runOutput(summary: RunSummary): RunSummary {
  if (isSmall(summary)) return summary;
  const counts = Object.entries(summary.failures).map(([code, { count }]) => [code, { count, examples: [] }]);
  const { byObject } = summary.rows;
  const rows =
    byObject == null ? summary.rows : { ...summary.rows, byObject: { ...byObject, differences: [] } };
  const cut: RunSummary = {
    ...summary,
    rows,
    failures: Object.fromEntries(counts) as RunSummary['failures'],
    slowest: [],
    repostedUnproven: summary.repostedUnproven.slice(0, REPOSTED_NAMED),
  };
  return isSmall(cut) ? cut : { ...cut, repostedUnproven: [] };
}

function isSmall(output: RunSummary): boolean {
  return Buffer.byteLength(JSON.stringify(output)) <= MOST_OUTPUT_BYTES;
}
