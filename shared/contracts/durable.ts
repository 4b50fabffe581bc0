import type { RunSummary } from '../domain/run-summary.ts';
import type { ErrorCode } from '../errors/loader-error.ts';

/**
 * Names and payloads that cross the durable boundary.
 *
 * They live in histories and instance ids of runs in flight: a payload changes by a new `v`, never in place.
 * All are small JSON of references and counts, under 16 KiB, without keys, URLs or secrets.
 */
export const ORCHESTRATORS = {
  loadRun: 'loadRun',
  planner: 'planner',
  lane: 'lane',
  loadShard: 'loadShard',
  settler: 'settler',
} as const;

export const ACTIVITIES = {
  planPage: 'planPage',
  takeShard: 'takeShard',
  ingestUnit: 'ingestUnit',
  takePosted: 'takePosted',
  settleShard: 'settleShard',
  finishRun: 'finishRun',
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
}

export type TakePostedOutput =
  | { readonly kind: 'settle'; readonly shard: string }
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'stop' };

export interface SettleShardInput extends RunRef {
  readonly settler: number;
  readonly shard: string;
}

export type SettleShardOutput =
  | { readonly ok: true; readonly settled: boolean }
  | { readonly ok: false; readonly code: string };

/** What the orchestration of a run returns: its summary without keys and messages, which stand in blob storage. */
export type LoadRunOutput = Omit<RunSummary, 'failures' | 'slowest' | 'repostedUnproven' | 'problem'> & {
  readonly problem: ErrorCode | null;
  /** Objects by error code. */
  readonly failures: Readonly<Partial<Record<ErrorCode, number>>>;
  /** Objects that were posted again without proof; at most as many as the summary names. */
  readonly repostedUnproven: number;
};

export function runOutput(summary: RunSummary): LoadRunOutput {
  const { slowest: _, failures, repostedUnproven, problem, ...figures } = summary;
  const counts = Object.entries(failures).map(([code, { count }]) => [code, count]);
  return {
    ...figures,
    problem: problem?.code ?? null,
    failures: Object.fromEntries(counts) as LoadRunOutput['failures'],
    repostedUnproven: repostedUnproven.length,
  };
}
