import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { RunningPart } from '../part.ts';
import type { CommandContext } from './commands/command-context.ts';
import { Operations } from './commands/operations.ts';
import { runCommand } from './commands/run-command.ts';
import { Faults } from './faults.ts';
import { makeAccessCheck, type TokenOptions } from './http/access.ts';
import { handleControl, type KustoControl, makeControl } from './http/control.ts';
import { type ServerHandlers, startServer } from './http/server.ts';
import type { RetryPolicy } from './ingest/batch-loader.ts';
import { defaultBatchingPolicy } from './ingest/batching.ts';
import { type DataManagement, startDataManagement } from './ingest/data-management.ts';
import { ingestStream } from './ingest/streaming-ingestion.ts';
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

export type { DatabaseRole, TokenOptions } from './http/access.ts';

export interface KustoOptions {
  /** Storage for queues, containers and status tables. Without a second account `multi` has all of them in one. */
  readonly azurite: {
    readonly connectionString: string;
    readonly secondConnectionString?: string;
  };
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
  /** Whose bearer tokens are taken, and what their holders may do. Default: nobody is asked. */
  readonly token?: TokenOptions;
  /** Lifetime of the signatures in `.get ingestion resources`. Default 24 h. */
  readonly resourceLifetimeMs?: number;
}

export interface RunningKusto extends RunningPart {
  readonly settings: Readonly<{
    endpoint: string;
    ingestEndpoint: string;
    database: string;
    /** Of an administrator; empty when nobody is asked for a token. */
    token: string;
  }>;
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
  const { connectionString, secondConnectionString } = options.azurite;
  const accounts = [connectionString, secondConnectionString ?? []].flat().map(readConnectionString);
  const opened: Closable[] = [];
  try {
    return await start(options, { accounts, timeScale, opened });
  } catch (error) {
    for (const close of opened.reverse()) await close();
    throw error;
  }
}

type Closable = () => Promise<unknown>;

/** The engine role: rows, names and the parser, and what the other role shares with it. */
interface Engine {
  readonly store: Store;
  readonly parser: KqlParser;
  readonly resources: IngestionResources;
  readonly temporaryFolder: string;
  readonly database: string;
}

/** Every part that is open is added to `opened`, so that a failed start leaves nothing behind. */
async function openEngine(
  options: KustoOptions,
  { accounts, opened }: { accounts: readonly StorageAccount[]; opened: Closable[] },
): Promise<Engine> {
  const parser = new KqlParser();
  opened.push(() => parser.stop());
  if (options.folder !== undefined) await mkdir(dirname(options.folder), { recursive: true });
  const store = await Store.open(options.folder);
  opened.push(() => store.close());
  store.register(makeQueryFunctions());
  const database = options.database ?? 'local';
  if (store.catalog.findDatabase(database) === undefined) {
    const change = store.catalog.addDatabase(database);
    await store.write((transaction) => transaction.saveCatalog(change));
  }
  const temporaryFolder = await mkdtemp(join(tmpdir(), 'kusto-ingest-'));
  opened.push(() => rm(temporaryFolder, { recursive: true, force: true }));
  const resources = new IngestionResources(accounts, options.profile ?? 'multi', store.catalog.instanceId);
  await resources.create();
  return { store, parser, resources, temporaryFolder, database };
}

async function start(
  options: KustoOptions,
  context: { accounts: readonly StorageAccount[]; timeScale: number; opened: Closable[] },
): Promise<RunningKusto> {
  const engine = await openEngine(options, context);
  const { store, parser, resources, temporaryFolder } = engine;
  const faults = new Faults();
  const batchingDefaults: BatchingPolicy = { ...defaultBatchingPolicy, ...options.batchingDefaults };
  const management = startDataManagement({
    store,
    resources,
    faults,
    batchingDefaults,
    retry: { attempts: 6, firstDelayMs: 60_000, maxDelayMs: 600_000, ...options.retry },
    timeScale: context.timeScale,
    folder: temporaryFolder,
  });
  context.opened.push(() => management.stop());
  const operations = new Operations();
  const stopped = new AbortController();
  const requestCounts = new Map<string, number>();
  const control = makeControl(management, faults, requestCounts);
  const resourceLifetimeMs = options.resourceLifetimeMs ?? 24 * 3_600_000;
  const { server, port } = await startServer({
    port: options.port ?? 0,
    faults,
    requestCounts,
    access: makeAccessCheck(options.token),
    rest: { queuer: management.queuer, operations: management.tracked, resources, resourceLifetimeMs },
    control: async (method, path, body) => handleControl(control, method, path, body),
    ...makeHandlers(engine, management, {
      faults,
      batchingDefaults,
      resourceLifetimeMs,
      operations,
      signal: stopped.signal,
    }),
  });
  await parser.ready;

  const endpoint = `http://127.0.0.1:${port}`;
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    stopped.abort();
    await operations.idle();
    await management.stop();
    if (options.folder === undefined) await resources.remove();
    else await management.reader.release();
    await parser.stop();
    await store.close();
    await rm(temporaryFolder, { recursive: true, force: true });
  };
  return {
    name: 'kusto',
    settings: {
      endpoint,
      ingestEndpoint: endpoint,
      database: engine.database,
      token: options.token?.value ?? '',
    },
    control,
    status: async () => (stopping === undefined ? 'running' : 'stopped'),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** What the HTTP side hands on: queries, commands, streams. */
function makeHandlers(
  { store, parser, resources, temporaryFolder, database: defaultDatabase }: Engine,
  { counters, tracked, queuer }: DataManagement,
  shared: Pick<
    CommandContext,
    'faults' | 'batchingDefaults' | 'resourceLifetimeMs' | 'operations' | 'signal'
  >,
): Omit<ServerHandlers, 'control'> {
  /** Clients that name no database send `NetDefaultDB`. */
  const resolveDatabase = (name: string) =>
    name === '' || /^NetDefaultDB$/i.test(name) ? defaultDatabase : name;
  return {
    resolveDatabase,
    runQuery: (database, text, parameters) =>
      runQuery({
        store,
        parser,
        database: resolveDatabase(database),
        text,
        parameters,
        maxRows: MAX_ANSWER_ROWS,
      }),
    runCommand: (database, text, { clientRequestId, caller }) =>
      runCommand(text, {
        ...shared,
        store,
        parser,
        resources,
        tracked,
        queuer,
        database: resolveDatabase(database),
        clientRequestId,
        caller,
        folder: temporaryFolder,
      }),
    ingestStream: async (request) => {
      const { answer, rowCount } = await ingestStream(
        { ...request, database: resolveDatabase(request.database) },
        {
          store,
          folder: temporaryFolder,
          ownsBlob: (url) => resources.ownsBlob(url),
          signal: shared.signal,
        },
      );
      counters.streamsLoaded += 1;
      counters.rowsLoaded += rowCount;
      return answer;
    },
  };
}
