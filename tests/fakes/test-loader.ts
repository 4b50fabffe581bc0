import { createMemoryState } from '../../shared/adapters/state/memory-state.ts';
import type { LoadDefinition } from '../../shared/contracts/load-definition.ts';
import type { Timing } from '../../shared/domain/settle-timing.ts';
import type { Source } from '../../shared/ports/source.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { checkedLedger } from './checked-ledger.ts';
import {
  createMemoryIngestion,
  type MemoryIngestion,
  type MemoryIngestionOptions,
} from './memory-ingestion.ts';
import { createMemorySource, type MemorySource } from './memory-source.ts';

/** A clock that stands until a test moves it. */
export interface TestClock {
  now(): Date;
  advance(ms: number): void;
}

function createTestClock(start = '2026-01-31T12:00:00.000Z'): TestClock {
  let at = Date.parse(start);
  return {
    now: () => new Date(at),
    advance: (ms) => {
      at += ms;
    },
  };
}

export interface TestLoader {
  readonly loader: Loader;
  readonly clock: TestClock;
  readonly source: MemorySource;
  readonly ingestion: MemoryIngestion;
  readonly logged: readonly string[];
}

/** The product's own waiting times. */
const TIMING: Timing = {
  urlLifetimeMs: 6 * 3_600_000,
  downloadGraceMs: 3_600_000,
  settleDeadlineMs: 30 * 60_000,
  staleAfterMs: 10 * 60_000,
  firstLookMs: 10_000,
  lookEveryMs: 30_000,
  lookAtMostEveryMs: 5 * 60_000,
  longestTimerMs: 60_000,
};

/** Ids of runs are unique in the world, as they are in production: documents of runs are kept in memory by id. */
let suffix = 0;

/** A loader whose bucket, cluster, state and clock are in memory; its ledger is held to the table of transitions. */
export function createTestLoader(options: MemoryIngestionOptions = {}): TestLoader {
  const clock = createTestClock();
  const source = createMemorySource({ now: clock.now });
  const ingestion = createMemoryIngestion({ now: clock.now, ...options });
  const state = createMemoryState();
  const logged: string[] = [];
  const loader: Loader = {
    appId: 'test',
    timing: TIMING,
    timeScale: 1,
    takeoverAfterMs: 3 * 60_000,
    ...state,
    ledger: checkedLedger(state.ledger),
    logger: {
      log: (level, message, fields) => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    },
    recorders: [],
    now: clock.now,
    randomSuffix: () => String((suffix += 1)).padStart(4, '0'),
    random: () => 0.5,
    maxInFlightPerBucket: null,
    retention: { runsMs: 90 * 24 * 3_600_000, historyMs: 7 * 24 * 3_600_000 },
    startedAt: clock.now(),
    source: async ({ credentials, pinVersions }) => {
      if (credentials === 'anonymous') return asPublic(source);
      return pinVersions ? source.withVersions : source;
    },
    ingestion: async () => ingestion,
  };
  return { loader, clock, source, ingestion, logged };
}

/** A public bucket: its URLs need no signature and never expire. */
function asPublic(source: MemorySource): Source {
  return {
    ...source,
    presignGet: async (input) => ({ ...(await source.presignGet(input)), expiresAt: null }),
  };
}

/** A definition as a person would write it, with only what is needed. */
export function definitionOf(changes: Partial<{ [Field in keyof LoadDefinition]: unknown }> = {}) {
  return {
    source: { bucket: 'memory-bucket' },
    format: { type: 'json' },
    destination: { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'T' },
    ...changes,
  };
}
