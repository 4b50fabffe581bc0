import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { RunningPart } from '../part.ts';
import { Operations } from './commands/operations.ts';
import { runCommand } from './commands/run-command.ts';
import { Faults } from './faults.ts';
import { handleControl, type KustoControl } from './http/control.ts';
import { startServer } from './http/server.ts';
import { makeTokenCheck, type TokenOptions } from './http/token-check.ts';
import { BatchLoader, type RetryPolicy } from './ingest/batch-loader.ts';
import { Batcher, defaultBatchingPolicy } from './ingest/batching.ts';
import { FaultyReporter } from './ingest/faulty-reporter.ts';
import { makeCounters } from './ingest/ingestion-counters.ts';
import { BlobQueuer } from './ingest/queue-blobs.ts';
import { QueueReader } from './ingest/queue-reader.ts';
import { StatusReporter } from './ingest/status-reports.ts';
import { ingestStream } from './ingest/streaming-ingestion.ts';
import { TrackedOperations } from './ingest/tracked-operations.ts';
import { makeQueryFunctions } from './kql/functions/index.ts';
import { KqlParser } from './kql/parser.ts';
import { MAX_ANSWER_ROWS, runQuery } from './kql/run-query.ts';
import type { BatchingPolicy } from './storage/catalog.ts';
import {
  IngestionResources,
  type ResourceProfile,
  readConnectionString,
  type StorageAccount,
} from './storage/ingestion-resources.ts';
import { Store } from './storage/store.ts';

const VISIBILITY_SECONDS = 300;
/** Renewing thousands of messages takes Azurite seconds: a shorter time would deliver messages twice under load. */
const MIN_VISIBILITY_SECONDS = 60;

export interface KustoOptions {
  /** Storage for queues, containers and the status table. */
  readonly azurite: { readonly connectionString: string };
  /** DuckDB file for rows and catalogue; created if missing, survives restarts. Default: in memory. */
  readonly folder?: string;
  /** Default: chosen by the operating system. */
  readonly port?: number;
  /** Database that exists from the start. Default `local`. */
  readonly database?: string;
  /** How many queues and containers are handed out. Default `multi`. */
  readonly profile?: ResourceProfile;
  /** Divides the batching time and the waits between retries. Default 1. */
  readonly batchingTimeScale?: number;
  /** Policy of tables without one. Default 5 min, 500 items, 1024 MB. */
  readonly batchingDefaults?: Partial<BatchingPolicy>;
  /** Retries of transient download failures. */
  readonly retry?: Partial<RetryPolicy>;
  /** Asks every request for a bearer token. Default: no check. */
  readonly token?: TokenOptions;
  /** Lifetime of the signatures in `.get ingestion resources`. Default 24 h. */
  readonly resourceLifetimeMs?: number;
}

export interface RunningKusto extends RunningPart {
  readonly settings: Readonly<{ endpoint: string; ingestEndpoint: string; database: string }>;
  readonly control: KustoControl;
}

/**
 * Starts a Kusto endpoint: engine and data management on one loopback port, rows in DuckDB, ingestion queues in
 * Azurite. Resolves when it answers and its parser is warm.
 *
 * @throws Error when Azurite does not answer, the port is taken or the file is no DuckDB database.
 */
export async function startKusto(options: KustoOptions): Promise<RunningKusto> {
  const timeScale = options.batchingTimeScale ?? 1;
  if (!(timeScale > 0)) throw new Error(`batchingTimeScale is ${timeScale}; it must be above 0.`);
  const account = readConnectionString(options.azurite.connectionString);
  const opened: Closable[] = [];
  try {
    return await start(options, { account, timeScale, opened });
  } catch (error) {
    for (const close of opened.reverse()) await close();
    throw error;
  }
}

type Closable = () => Promise<unknown>;

/** Every part that is open is added to `opened`, so that a failed start leaves nothing behind. */
async function start(
  options: KustoOptions,
  { account, timeScale, opened }: { account: StorageAccount; timeScale: number; opened: Closable[] },
): Promise<RunningKusto> {
  const parser = new KqlParser();
  opened.push(() => parser.stop());
  if (options.folder !== undefined) await mkdir(dirname(options.folder), { recursive: true });
  const store = await Store.open(options.folder);
  opened.push(() => store.close());
  store.register(makeQueryFunctions());
  const databaseName = options.database ?? 'local';
  if (store.catalog.findDatabase(databaseName) === undefined) {
    const change = store.catalog.addDatabase(databaseName);
    await store.write((transaction) => transaction.saveCatalog(change));
  }
  const temporaryFolder = await mkdtemp(join(tmpdir(), 'kusto-ingest-'));
  opened.push(() => rm(temporaryFolder, { recursive: true, force: true }));
  const resources = new IngestionResources(account, options.profile ?? 'multi', store.catalog.instanceId);
  await resources.create();

  const faults = new Faults();
  const counters = makeCounters();
  const requestCounts = new Map<string, number>();
  const batchingDefaults: BatchingPolicy = { ...defaultBatchingPolicy, ...options.batchingDefaults };
  const tracked = new TrackedOperations();
  const operations = new Operations();
  const queuer = new BlobQueuer(resources.readyQueues, tracked);
  const stopped = new AbortController();
  const statusReporter = new StatusReporter({
    failedQueues: resources.failedQueues,
    succeededQueues: resources.succeededQueues,
    onLost: ({ message, status }, reason) => {
      counters.statusReportsLost += 1;
      // One that the end of this endpoint cuts off is nobody's surprise, and there may be thousands.
      if (!stopped.signal.aborted)
        console.error(
          `kusto: nobody was told that source ${message.id} (${message.sourcePath}) is ${status}: ${reason}`,
        );
    },
    onReport: (report) => tracked.report(report),
    onRetried: () => {
      counters.statusReportsRetried += 1;
    },
  });
  const reporter = new FaultyReporter(statusReporter, faults, counters);
  const loader = new BatchLoader({
    store,
    resources,
    reporter,
    faults,
    counters,
    timeScale,
    retry: { attempts: 6, firstDelayMs: 60_000, maxDelayMs: 600_000, ...options.retry },
    folder: temporaryFolder,
    onBegin: ({ message }) => tracked.begin(message),
    onRetry: (item, delayMs) => reader.retryLater(item, delayMs),
  });
  const batcher = new Batcher({
    timeScale,
    policyOf: (database, table) =>
      store.catalog.findTable(database, table)?.policies.ingestionbatching ??
      store.catalog.findDatabase(database)?.policies.ingestionbatching ??
      batchingDefaults,
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
  opened.push(() => reader.stop());
  const control: KustoControl = {
    faults,
    flush: () => batcher.flush(),
    batches: () => ({
      open: batcher.openBatches.map((batch) => ({
        id: batch.id,
        database: batch.database,
        table: batch.table,
        openedAt: new Date(batch.openedAtMs).toISOString(),
        rawSizeBytes: batch.rawSizeBytes,
        items: batch.items.length,
      })),
      sealed: loader.records,
    }),
    stats: () => ({
      ...counters,
      requests: Object.fromEntries(requestCounts),
      heldMessages: reader.heldCount,
      openBatches: batcher.openBatches.length,
      dropped: reader.dropped,
    }),
    idle: async () => {
      while (reader.heldCount > 0) await new Promise((resolve) => setTimeout(resolve, 20));
      await loader.idle();
    },
  };

  /** Clients that name no database send `NetDefaultDB`. */
  const resolveDatabase = (name: string) =>
    name === '' || /^NetDefaultDB$/i.test(name) ? databaseName : name;
  const resourceLifetimeMs = options.resourceLifetimeMs ?? 24 * 3_600_000;
  const started = await startServer({
    port: options.port ?? 0,
    faults,
    requestCounts,
    token: options.token && makeTokenCheck(options.token),
    runQuery: (database, text, parameters) =>
      runQuery({
        store,
        parser,
        database: resolveDatabase(database),
        text,
        parameters,
        maxRows: MAX_ANSWER_ROWS,
      }),
    resolveDatabase,
    rest: { queuer, operations: tracked, resources, resourceLifetimeMs },
    ingestStream: async (request) => {
      const { answer, rowCount } = await ingestStream(
        { ...request, database: resolveDatabase(request.database) },
        {
          store,
          folder: temporaryFolder,
          ownsBlob: (url) => resources.ownsBlob(url),
          signal: stopped.signal,
        },
      );
      counters.streamsLoaded += 1;
      counters.rowsLoaded += rowCount;
      return answer;
    },
    runCommand: (database, text, clientRequestId) =>
      runCommand(text, {
        store,
        parser,
        resources,
        faults,
        batchingDefaults,
        database: resolveDatabase(database),
        resourceLifetimeMs,
        clientRequestId,
        operations,
        tracked,
        queuer,
        folder: temporaryFolder,
        signal: stopped.signal,
      }),
    control: async (method, path, body) => handleControl(control, method, path, body),
  });
  await parser.ready;

  const endpoint = `http://127.0.0.1:${started.port}`;
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    const closed = new Promise<void>((resolve) => started.server.close(() => resolve()));
    started.server.closeAllConnections();
    await closed;
    stopped.abort();
    await operations.idle();
    const lostBefore = counters.statusReportsLost;
    statusReporter.stop();
    await reader.stop();
    // Batches that are being appended finish: their messages would otherwise come twice.
    await loader.stop();
    const unreported = counters.statusReportsLost - lostBefore;
    if (unreported > 0) console.error(`kusto: stopped before ${unreported} sources could be reported`);
    if (options.folder === undefined) await resources.remove();
    else await reader.release();
    await parser.stop();
    await store.close();
    await rm(temporaryFolder, { recursive: true, force: true });
  };
  return {
    name: 'kusto',
    settings: { endpoint, ingestEndpoint: endpoint, database: databaseName },
    control,
    status: async () => (stopping === undefined ? 'running' : 'stopped'),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}
