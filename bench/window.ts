import path from 'node:path';

import { formatCount } from '../cli/format.ts';
import { createAppClient } from '../dev/app-client.ts';
import { createKustoClient } from '../dev/kusto-client.ts';
import { startStack } from '../dev/stack.ts';
import type { RunSummary } from '../shared/domain/run-summary.ts';
import type { RunStatus } from '../shared/usecases/read-run.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { buildApp } from './build-app.ts';

const OBJECTS = 2000;
const BUCKET = 'bench';
/** ADX's default. */
const WINDOW_S = 300;
const MOST_S = WINDOW_S + 90;
const POLL_MS = 1000;
const TIMEOUT_S = 2 * MOST_S;

/** More items than the run has: every batch stays open for the whole window. */
const BATCHING = JSON.stringify({
  MaximumBatchingTimeSpan: '00:05:00',
  MaximumNumberOfItems: 10_000,
  MaximumRawDataSizeMB: 1024,
});

/** Lanes post, settlers wait: a run of many shards lasts one batching window, not one for each. */
export async function window(run: BenchRun): Promise<BenchResult> {
  const appFolder = path.join(run.folder, 'app');
  await buildApp(appFolder);
  const stack = await run.start(() =>
    startStack({
      folder: path.join(run.folder, 'stack'),
      inMemory: true,
      buckets: [BUCKET],
      settings: { LOADER_LOADS_FOLDER: 'no-such-folder' },
      host: { appFolder, logLevel: 'error', onLog: (line) => run.say(line) },
    }),
  );
  const endpoint = String(stack.kusto.settings.endpoint);
  const database = String(stack.kusto.settings.database);
  const kusto = await createKustoClient(stack.kusto.settings);
  await kusto.command('.create table Bench (n:long)');
  await kusto.command(`.alter table Bench policy ingestionbatching '${BATCHING}'`);
  await stack.s3.seedObjects(
    BUCKET,
    Array.from({ length: OBJECTS }, (_, n) => ({ key: `in/${n}.json`, body: JSON.stringify({ n }) })),
  );

  const app = createAppClient(stack.host);
  const put = await app.request('PUT', '/api/loads/bench', {
    source: { bucket: BUCKET, endpoint: stack.s3.settings.endpoint, pathStyle: true },
    format: { type: 'json' },
    destination: { cluster: endpoint, database, table: 'Bench' },
  });
  if (put.status !== 201) throw new Error(`PUT: ${put.status} ${JSON.stringify(put.body)}`);
  const startedAt = performance.now();
  const runId = await app.startRun('bench');
  const summary = await waitForEnd(run, () => app.readRun(runId));
  const wallS = (performance.now() - startedAt) / 1000;
  const rows = await kusto.countRows('Bench');
  kusto.close();
  if (summary.state !== 'completed' || summary.objects.ingested !== OBJECTS || rows !== OBJECTS)
    throw new Error(`${summary.state}, ${rows} rows: ${JSON.stringify(summary.objects)}`);
  if (wallS < WINDOW_S) throw new Error(`A run of ${wallS} s has not waited for the batching window.`);
  return {
    figures: [
      { name: `wall, ${formatCount(OBJECTS)} objects`, value: wallS, unit: 's', most: MOST_S },
      { name: 'wall beyond the window', value: wallS - WINDOW_S, unit: 's' },
    ],
    notes: [
      'The whole local stack with the waiting times of production. Batches end after 5 minutes or 10,000 items, so that nothing but the window ends a batch.',
    ],
  };
}

async function waitForEnd(run: BenchRun, read: () => Promise<RunStatus>): Promise<RunSummary> {
  const until = Date.now() + TIMEOUT_S * 1000;
  for (let poll = 0; Date.now() < until; poll += 1) {
    run.signal.throwIfAborted();
    const { state, summary } = await read();
    if (summary !== null) return summary;
    if (poll % 60 === 0) run.say(`${state}, minute ${poll / 60}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`The run has not ended in ${TIMEOUT_S} s.`);
}
