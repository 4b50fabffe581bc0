import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { type AppClient, createAppClient } from '../../dev/app-client.ts';
import type { SeedObject } from '../../dev/data/seed.ts';
import type { FunctionsHostOptions } from '../../dev/functions-host/index.ts';
import { createKustoClient, type KustoClient } from '../../dev/kusto-client.ts';
import { PROJECT_FOLDER, type Stack, startStack } from '../../dev/stack.ts';
import { upload } from '../../dev/upload.ts';
import type { RunStatus } from '../../shared/usecases/read-run.ts';

/** All waiting times of app and cluster are divided by this: ADX's least batching window of 10 s becomes one second. */
const TIME_SCALE = 10;
const POLL_MS = 100;

export const TEST_BUCKET = 'e2e';

export interface StackUnderTest {
  readonly stack: Stack;
  /** Talks to the host that is running now. */
  readonly app: AppClient;
  readonly kusto: KustoClient;
  upload(objects: readonly SeedObject[]): Promise<void>;
  /** Creates a table of one text column `line` and one number `n`, with the shortest batching window. */
  createTable(name: string): Promise<void>;
  /** Creates the tables of the app's history, with the shortest batching window. */
  createHistoryTables(): Promise<void>;
  putLoad(name: string, changes?: LoadChanges): Promise<void>;
  /** Waits for the end of a run. */
  waitForEnd(runId: string, timeoutMs?: number): Promise<RunStatus>;
  /** Starts a run and waits for its end. */
  run(load: string, body?: unknown): Promise<RunStatus>;
  /** @param look - what is to be done with the stack's folder before it is removed. */
  stop(look?: (folder: string) => void): Promise<void>;
}

export interface LoadChanges {
  readonly source?: Record<string, unknown>;
  readonly destination?: Record<string, unknown>;
  readonly [field: string]: unknown;
}

export interface StackUnderTestOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly host?: Partial<FunctionsHostOptions>;
  /** The app writes its history into the local cluster. Default false. */
  readonly history?: boolean;
  /** Divides how long sessions in AWS last. Default 1. */
  readonly sessionTimeScale?: number;
  /** Divides all waiting times of app and cluster. Default 10. */
  readonly timeScale?: number;
}

/** A local stack of its own for one test file. */
export async function startStackUnderTest(options: StackUnderTestOptions = {}): Promise<StackUnderTest> {
  const { timeScale = TIME_SCALE } = options;
  const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-e2e-'));
  const stack = await startStack({
    folder,
    inMemory: true,
    history: options.history ?? false,
    sessionTimeScale: options.sessionTimeScale ?? 1,
    buckets: [TEST_BUCKET],
    batchingTimeScale: timeScale,
    settings: {
      LOADER_TIME_SCALE: String(timeScale),
      LOADER_LOADS_FOLDER: 'no-such-folder',
      ...options.settings,
    },
    host: { logLevel: 'error', ...options.host },
  });
  const endpoint = String(stack.kusto.settings.endpoint);
  const database = String(stack.kusto.settings.database);
  const kusto = await createKustoClient(stack.kusto.settings);
  // The host changes when a test restarts it.
  const app: AppClient = {
    request: (...args) => createAppClient(stack.host).request(...args),
    startRun: (...args) => createAppClient(stack.host).startRun(...args),
    readRun: (...args) => createAppClient(stack.host).readRun(...args),
  };

  const waitForEnd = async (runId: string, timeoutMs = 240_000) => {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const status = await app.readRun(runId);
      if (status.summary !== null) return status;
      if (Date.now() > until) throw new Error(`The run ${runId} has not ended: ${JSON.stringify(status)}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };

  return {
    stack,
    app,
    kusto,
    waitForEnd,
    upload: (objects) => upload(stack.s3, TEST_BUCKET, objects),
    createTable: async (name) => {
      await kusto.command(`.create table ${name} (line:string, n:long)`);
      await kusto.command(
        `.alter table ${name} policy ingestionbatching '{"MaximumBatchingTimeSpan":"00:00:10","MaximumNumberOfItems":500,"MaximumRawDataSizeMB":1024}'`,
      );
    },
    createHistoryTables: async () => {
      const script = await readFile(path.join(PROJECT_FOLDER, 'infra', 'history-tables.kql'), 'utf8');
      const commands = script.split('\n').filter((line) => line.startsWith('.'));
      // As an older version made them: they get the columns that they lack.
      for (const command of commands) await kusto.command(command.replace(', AppId: string', ''));
      for (const command of commands) await kusto.command(command);
      for (const table of ['LoaderRuns', 'LoaderObjects'])
        await kusto.command(
          `.alter table ${table} policy ingestionbatching '{"MaximumBatchingTimeSpan":"00:00:10"}'`,
        );
    },
    putLoad: async (name, { source, destination, ...changes } = {}) => {
      const definition = {
        source: {
          bucket: TEST_BUCKET,
          prefix: `${name}/`,
          endpoint: stack.s3.settings.endpoint,
          pathStyle: true,
          ...source,
        },
        format: { type: 'json' },
        destination: { cluster: endpoint, database, table: 'T', ...destination },
        ...changes,
      };
      const answer = await app.request('PUT', `/api/loads/${name}`, definition);
      if (answer.status >= 300)
        throw new Error(`PUT ${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
    },
    run: async (load, body) => waitForEnd(await app.startRun(load, body)),
    stop: async (look) => {
      kusto.close();
      await stack.stop();
      look?.(folder);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Objects of one JSON line each: `{line: <key>, n: <index>}`. */
export function jsonObjects(prefix: string, count: number): readonly SeedObject[] {
  return Array.from({ length: count }, (_, n) => {
    const key = `${prefix}/${String(n).padStart(5, '0')}.json`;
    return { key, body: Buffer.from(`${JSON.stringify({ line: key, n })}\n`) };
  });
}
