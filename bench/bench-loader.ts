import { randomBytes } from 'node:crypto';

import type { Ingestion } from '../shared/ports/ingestion.ts';
import type { Loader } from '../shared/usecases/loader.ts';

const MINUTE = 60_000;

export interface BenchLoaderOptions {
  readonly state: Pick<Loader, 'documents' | 'ledger' | 'runs' | 'loads'>;
  readonly source: Loader['source'];
  /** Divides the pauses of idle parts and the time to the first look; 1 is as in production. */
  readonly timeScale: number;
}

/** A loader on real use cases whose cluster takes every message and has ingested it at once. */
export function createBenchLoader({ state, source, timeScale }: BenchLoaderOptions): Loader {
  const scaled = (ms: number) => ms / timeScale;
  const ingestion = createNoOpIngestion(scaled(10_000));
  return {
    appId: 'bench',
    timing: {
      urlLifetimeMs: 360 * MINUTE,
      downloadGraceMs: 60 * MINUTE,
      settleDeadlineMs: 30 * MINUTE,
      staleAfterMs: 10 * MINUTE,
      firstLookMs: scaled(10_000),
      lookEveryMs: scaled(30_000),
      lookAtMostEveryMs: scaled(5 * MINUTE),
      longestTimerMs: scaled(MINUTE),
    },
    timeScale,
    takeoverAfterMs: 3 * MINUTE,
    documents: state.documents,
    ledger: state.ledger,
    runs: state.runs,
    loads: state.loads,
    logger: { log: () => undefined },
    now: () => new Date(),
    randomSuffix: () => randomBytes(2).toString('hex'),
    random: Math.random,
    recorders: [],
    maxInFlightPerBucket: null,
    retention: { runsMs: 90 * 24 * 3_600_000, historyMs: 7 * 24 * 3_600_000 },
    startedAt: new Date(),
    source,
    ingestion: async () => ingestion,
  };
}

function createNoOpIngestion(batchingWindowMs: number): Ingestion {
  return {
    resolve: async () => [],
    signIn: async () => 'nobody',
    readRoles: async () => null,
    describeTable: async () => ({ batchingWindowMs }),
    warmUp: async () => undefined,
    post: async () => ({ result: 'accepted' }),
    readStatuses: async (sourceIds) =>
      new Map(
        sourceIds.map((id) => [
          id,
          { status: 'Succeeded', errorCode: null, failureStatus: null, details: null, updatedAt: null },
        ]),
      ),
    removeStatuses: async (sourceIds) => sourceIds.length,
    postRows: async () => ({ result: 'accepted' }) as const,
    countRowsByPath: async () => null,
    countRowsByTag: async () => null,
    listExtents: async () => [],
    dropExtents: async () => undefined,
    listDependents: async () => [],
  };
}

/** What a definition needs beside its bucket. */
export const BENCH_DEFINITION = {
  format: { type: 'json' },
  destination: { cluster: 'https://bench.kusto.windows.net', database: 'bench', table: 'Bench' },
} as const;
