import { randomBytes } from 'node:crypto';
import path from 'node:path';

import { formatCount } from '../cli/format.ts';
import { createAppClient } from '../dev/app-client.ts';
import { createKustoClient } from '../dev/kusto-client.ts';
import { startStack } from '../dev/stack.ts';
import type { StorageFaultRule } from '../dev/storage-proxy/index.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { buildApp } from './build-app.ts';

/**
 * Azurite rebuilds the index of its queues at each message: with thousands that wait it answers nobody for half a minute,
 * and what is measured is Azurite.
 */
const OBJECTS = 2000;
const OBJECT_BYTES = 4096;
const BUCKET = 'bench';
/** ADX's shortest window; the app's waiting times are those of production. */
const BATCHING = JSON.stringify({
  MaximumBatchingTimeSpan: '00:00:10',
  MaximumNumberOfItems: 1000,
  MaximumRawDataSizeMB: 1024,
});
const POLL_MS = 1000;
const TIMEOUT_MS = 10 * 60_000;

/** Requests of the app by what they are for. The cluster's own, which takes messages and reports, are none of them. */
const KINDS: readonly { readonly name: string; readonly rule: Omit<StorageFaultRule, 'action'> }[] = [
  { name: 'queue: messages to ADX', rule: { service: 'queue', method: 'POST', path: '-ready-' } },
  { name: 'table: status entities written', rule: { service: 'table', method: 'POST', path: 'status' } },
  { name: 'table: status entities read', rule: { service: 'table', method: 'GET', path: 'status' } },
  { name: 'table: state written', rule: { service: 'table', method: 'POST' } },
  { name: 'table: state read', rule: { service: 'table', method: 'GET' } },
  { name: 'blob: written', rule: { service: 'blob', method: 'PUT' } },
  { name: 'blob: read', rule: { service: 'blob', method: 'GET' } },
];

/** A run of small objects on the whole stack: how fast rows come, where the time goes, and what it asks of storage. */
export async function storageRequests(run: BenchRun): Promise<BenchResult> {
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
  await kusto.command('.create table Bench (n:long, text:string)');
  await kusto.command(`.alter table Bench policy ingestionbatching '${BATCHING}'`);
  run.say(`${formatCount(OBJECTS)} objects into the bucket`);
  const text = randomBytes(OBJECT_BYTES)
    .toString('base64')
    .slice(0, OBJECT_BYTES - 40);
  await stack.s3.seedObjects(
    BUCKET,
    Array.from({ length: OBJECTS }, (_, n) => ({ key: `in/${n}.json`, body: JSON.stringify({ n, text }) })),
  );
  const app = createAppClient(stack.host);
  const put = await app.request('PUT', '/api/loads/bench', {
    source: { bucket: BUCKET, endpoint: stack.s3.settings.endpoint, pathStyle: true },
    format: { type: 'json' },
    destination: { cluster: endpoint, database, table: 'Bench' },
  });
  if (put.status !== 201) throw new Error(`PUT: ${put.status} ${JSON.stringify(put.body)}`);

  const proxy = stack.storage;
  // A delay of nothing: the rule counts what it would hold up.
  const ids = KINDS.map(({ rule }) =>
    proxy.injectFault({ ...rule, count: Number.MAX_SAFE_INTEGER, action: { kind: 'delay', delayMs: 0 } }),
  );
  run.say('the run');
  stack.s3.resetRequestCounts();
  const startedAt = performance.now();
  const runId = await app.startRun('bench');
  const stages = { planned: 0, posted: 0, rows: 0, ended: 0 };
  for (const until = Date.now() + TIMEOUT_MS; stages.ended === 0; ) {
    run.signal.throwIfAborted();
    if (Date.now() > until) throw new Error('The run has not ended.');
    const { progress, summary } = await app.readRun(runId);
    const now = (performance.now() - startedAt) / 1000;
    if (stages.planned === 0 && progress.planningEnded) stages.planned = now;
    if (stages.posted === 0 && progress.planningEnded && progress.objectsPosted >= OBJECTS)
      stages.posted = now;
    if (stages.rows === 0 && (await kusto.countRows('Bench')) >= OBJECTS) stages.rows = now;
    if (summary !== null) {
      if (summary.objects.ingested !== OBJECTS)
        throw new Error(`${summary.state}: ${JSON.stringify(summary.objects)}`);
      stages.ended = now;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  kusto.close();
  const counted = new Map(proxy.faults().map(({ id, hits }) => [id, hits]));
  const s3 = Object.entries(stack.s3.requestCounts());
  const perThousand = (requests: number) => (1000 * requests) / OBJECTS;
  return {
    figures: [
      { name: 'objects, until all rows are there', value: OBJECTS / stages.rows, unit: 'per second' },
      { name: 'planning', value: stages.planned, unit: 's' },
      { name: 'posting, from then on', value: stages.posted - stages.planned, unit: 's' },
      { name: 'rows, from then on', value: Math.max(0, stages.rows - stages.posted), unit: 's' },
      {
        name: 'end of the run, from then on',
        value: stages.ended - Math.max(stages.rows, stages.posted),
        unit: 's',
      },
      ...KINDS.map(
        ({ name }, index): Figure => ({
          name: `${name}, per 1,000 objects`,
          value: perThousand(counted.get(ids[index]!) ?? 0),
          unit: 'ratio',
        }),
      ),
      ...s3
        .filter(([operation]) => operation !== 'GetObject')
        .map(
          ([operation, { requests }]): Figure => ({
            name: `S3: ${operation}, per 1,000 objects`,
            value: perThousand(requests),
            unit: 'ratio',
          }),
        ),
    ],
    notes: [
      `${formatCount(OBJECTS)} JSON objects of 4 KiB on the whole local stack, with ADX's shortest batching window, 10 s. All parts share the processors, and Azurite does most of the work.`,
      "Requests are those that the app sends, counted by the storage proxy; Durable's own are not among them, for the local host keeps its state in a file. The GETs of S3 are ADX's.",
    ],
  };
}
