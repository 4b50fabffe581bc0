import type { Faults } from '../faults.ts';
import type { BatchingPolicy } from '../storage/catalog.ts';
import type { IngestionResources } from '../storage/ingestion-resources.ts';
import type { Store } from '../storage/store.ts';
import { BatchLoader, type RetryPolicy } from './batch-loader.ts';
import { Batcher } from './batching.ts';
import { FaultyReporter } from './faulty-reporter.ts';
import { type IngestionCounters, makeCounters } from './ingestion-counters.ts';
import { BlobQueuer } from './queue-blobs.ts';
import { QueueReader } from './queue-reader.ts';
import { type IngestionReport, StatusReporter } from './status-reports.ts';
import { TrackedOperations } from './tracked-operations.ts';

const VISIBILITY_SECONDS = 300;
/** Renewing thousands of messages takes Azurite seconds: a shorter time would deliver messages twice under load. */
const MIN_VISIBILITY_SECONDS = 60;

export interface DataManagementOptions {
  readonly store: Store;
  readonly resources: IngestionResources;
  readonly faults: Faults;
  readonly batchingDefaults: BatchingPolicy;
  readonly retry: RetryPolicy;
  /** Divides the batching time and the waits between retries. */
  readonly timeScale: number;
  /** Folder for temporary files; it exists. */
  readonly folder: string;
}

/** The data management role: reads the ready queues, batches, loads, reports. */
export interface DataManagement {
  readonly counters: IngestionCounters;
  readonly tracked: TrackedOperations;
  readonly queuer: BlobQueuer;
  readonly batcher: Batcher;
  readonly loader: BatchLoader;
  readonly reader: QueueReader;
  /** Batches that are being appended finish: their messages would otherwise come twice. */
  stop(): Promise<void>;
}

export function startDataManagement(options: DataManagementOptions): DataManagement {
  const { store, resources, faults, timeScale } = options;
  const counters = makeCounters();
  const tracked = new TrackedOperations();
  let isStopping = false;
  const statusReporter = new StatusReporter({
    failedQueues: resources.failedQueues,
    succeededQueues: resources.succeededQueues,
    onLost: (report, reason) => {
      counters.statusReportsLost += 1;
      // One that the end of this endpoint cuts off is nobody's surprise, and there may be thousands.
      if (!isStopping) tellLost(report, reason);
    },
    onReport: (report) => tracked.report(report),
    onRetried: () => {
      counters.statusReportsRetried += 1;
    },
  });
  const reporter = new FaultyReporter(statusReporter, faults, counters);
  const loader = new BatchLoader({
    ...options,
    reporter,
    counters,
    onBegin: ({ message }) => tracked.begin(message),
    onRetry: (item, delayMs) => reader.retryLater(item, delayMs),
  });
  const batcher = new Batcher({
    timeScale,
    policyOf: (database, table) =>
      store.catalog.findTable(database, table)?.policies.ingestionbatching ??
      store.catalog.findDatabase(database)?.policies.ingestionbatching ??
      options.batchingDefaults,
    onSealed: (batch, reason) => loader.load(batch, reason),
  });
  const reader = new QueueReader({
    queues: resources.readyQueues,
    batcher,
    reporter,
    faults,
    counters,
    visibilitySeconds: Math.max(MIN_VISIBILITY_SECONDS, Math.round(VISIBILITY_SECONDS / timeScale)),
  });
  const stop = async () => {
    isStopping = true;
    const lostBefore = counters.statusReportsLost;
    statusReporter.stop();
    await reader.stop();
    await loader.stop();
    const unreported = counters.statusReportsLost - lostBefore;
    if (unreported > 0) console.error(`kusto: stopped before ${unreported} sources could be reported`);
  };
  const queuer = new BlobQueuer(resources.readyQueues, tracked);
  return { counters, tracked, queuer, batcher, loader, reader, stop };
}

function tellLost({ message, status }: IngestionReport, reason: string): void {
  console.error(
    `kusto: nobody was told that source ${message.id} (${message.sourcePath}) is ${status}: ${reason}`,
  );
}
