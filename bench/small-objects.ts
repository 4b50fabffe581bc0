import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { formatCount } from '../cli/format.ts';
import { createAppClient } from '../dev/app-client.ts';
import { createKustoClient, type KustoClient } from '../dev/kusto-client.ts';
import { type Stack, startStack } from '../dev/stack.ts';
import type { StorageFaultRule } from '../dev/storage-proxy/index.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { buildApp } from './build-app.ts';
import { loadPlainly } from './plain-load.ts';

const OBJECT_BYTES = 4096;
const BUCKET = 'bench';
/**
 * Azurite rebuilds the index of all messages at each deletion of one, 2.5 us for each that waits: with 20,000 waiting it
 * would answer nobody else.
 */
const MAX_IN_FLIGHT = 4000;
/** ADX's shortest window; the app's waiting times are those of production. */
const BATCHING = JSON.stringify({
  MaximumBatchingTimeSpan: '00:00:10',
  MaximumNumberOfItems: 1000,
  MaximumRawDataSizeMB: 1024,
});
const STATE_READ = 'table: state read';
/**
 * What planning, the ledger, settling and the account of a run may take beside a loop that keeps nothing. Until the rows are
 * there a run sends 3.3 requests to storage for an object, and the loop two: it reads what was reported behind its time.
 */
const MOST_BESIDE_LOOP = 5 / 3;
const POLL_MS = 1000;
const TIMEOUT_MS = 20 * 60_000;

/** Requests of the app by what they are for. The cluster's own, which takes messages and reports, are none of them. */
const KINDS: readonly {
  readonly name: string;
  readonly methods: readonly string[];
  readonly rule: Omit<StorageFaultRule, 'action' | 'method'>;
}[] = [
  { name: 'queue: messages to ADX', methods: ['POST'], rule: { service: 'queue', path: '-ready-' } },
  { name: 'table: status entities written', methods: ['POST'], rule: { service: 'table', path: 'status' } },
  { name: 'table: status entities read', methods: ['GET'], rule: { service: 'table', path: 'status' } },
  { name: 'table: transactions and inserts', methods: ['POST'], rule: { service: 'table' } },
  { name: 'table: single rows replaced', methods: ['PUT', 'DELETE'], rule: { service: 'table' } },
  { name: STATE_READ, methods: ['GET'], rule: { service: 'table' } },
  { name: 'blob: written', methods: ['PUT'], rule: { service: 'blob' } },
  { name: 'blob: read', methods: ['GET'], rule: { service: 'blob' } },
];

export function requests(run: BenchRun): Promise<BenchResult> {
  return loadSmallObjects(run, { objects: 2000, inMemory: true });
}

/**
 * Azurite keeps its files: in memory it frees the contents of all deleted messages in one go, rebuilding an index for each,
 * and answers nobody meanwhile.
 */
export function largeRequests(run: BenchRun): Promise<BenchResult> {
  return loadSmallObjects(run, { objects: 20_000, inMemory: false, most: MOST_BESIDE_LOOP });
}

/** A run of small objects on the whole stack: how fast rows come, where the time goes, and what it asks of storage. */
async function loadSmallObjects(
  run: BenchRun,
  {
    objects,
    inMemory,
    most,
  }: { readonly objects: number; readonly inMemory: boolean; readonly most?: number },
): Promise<BenchResult> {
  const appFolder = path.join(run.folder, 'app');
  await buildApp(appFolder);
  const stack = await run.start(() =>
    startStack({
      folder: path.join(run.folder, 'stack'),
      inMemory,
      buckets: [BUCKET],
      settings: { LOADER_LOADS_FOLDER: 'no-such-folder' },
      host: { appFolder, logLevel: 'error', onLog: (line) => run.say(line) },
    }),
  );
  const kusto = await createKustoClient(stack.kusto.settings);
  for (const table of ['Bench', 'Plain']) {
    await kusto.command(`.create table ${table} (n:long, text:string)`);
    await kusto.command(`.alter table ${table} policy ingestionbatching '${BATCHING}'`);
  }
  run.say(`${formatCount(objects)} objects into the bucket`);
  const text = randomBytes(OBJECT_BYTES)
    .toString('base64')
    .slice(0, OBJECT_BYTES - 40);
  const keys = Array.from({ length: objects }, (_, n) => `in/${n}.json`);
  await stack.s3.seedObjects(
    BUCKET,
    keys.map((key, n) => ({ key, body: JSON.stringify({ n, text }) })),
  );

  run.say('the plain loop');
  const { signal } = run;
  const plainS = await loadPlainly(stack, kusto, {
    bucket: BUCKET,
    keys,
    table: 'Plain',
    maxInFlight: MAX_IN_FLIGHT,
    signal,
  });
  run.say('the run');
  const { stages, figures } = await measureRun(run, stack, kusto, objects);
  kusto.close();
  return {
    figures: [
      { name: 'objects, until all rows are there', value: objects / stages.rows, unit: 'per second' },
      { name: 'objects of the plain loop, until then', value: objects / plainS, unit: 'per second' },
      {
        name: 'time beside the plain loop',
        value: stages.rows / plainS,
        unit: 'ratio',
        ...(most === undefined ? {} : { most }),
      },
      { name: 'planning', value: stages.planned, unit: 's' },
      { name: 'posting, from then on', value: stages.posted - stages.planned, unit: 's' },
      { name: 'rows, from then on', value: Math.max(0, stages.rows - stages.posted), unit: 's' },
      {
        name: 'end of the run, from then on',
        value: stages.ended - Math.max(stages.rows, stages.posted),
        unit: 's',
      },
      ...figures,
    ],
    notes: [
      `${formatCount(objects)} JSON objects of 4 KiB on the whole local stack, with ADX's shortest batching window, 10 s, and at most ${formatCount(MAX_IN_FLIGHT)} in flight. All parts share the processors, and Azurite does most of the work: the plain loop, which only posts and waits, is what it allows.`,
      "Requests are those that the app sends, counted by the storage proxy; Durable's own are not among them, for the local host keeps its state in a file. The GETs of S3 are ADX's.",
    ],
  };
}

/** Seconds from the start at which all objects were planned, posted, there as rows, and the run was over. */
interface Stages {
  planned: number;
  posted: number;
  rows: number;
  ended: number;
}

async function measureRun(
  run: BenchRun,
  stack: Stack,
  kusto: KustoClient,
  objects: number,
): Promise<{ readonly stages: Stages; readonly figures: readonly Figure[] }> {
  const app = createAppClient(stack.host);
  const put = await app.request('PUT', '/api/loads/bench', {
    source: { bucket: BUCKET, endpoint: stack.s3.settings.endpoint, pathStyle: true },
    format: { type: 'json' },
    concurrency: { maxInFlight: MAX_IN_FLIGHT },
    destination: {
      cluster: stack.kusto.settings.endpoint,
      database: stack.kusto.settings.database,
      table: 'Bench',
    },
  });
  if (put.status !== 201) throw new Error(`PUT: ${put.status} ${JSON.stringify(put.body)}`);

  const proxy = stack.storage;
  // A delay of nothing: the rule counts what it would hold up.
  const action = { kind: 'delay', delayMs: 0 } as const;
  const ids = KINDS.map(({ methods, rule }) =>
    methods.map((method) => proxy.injectFault({ ...rule, method, count: Number.MAX_SAFE_INTEGER, action })),
  );
  stack.s3.resetRequestCounts();
  const startedAt = performance.now();
  const runId = await app.startRun('bench');
  const stages: Stages = { planned: 0, posted: 0, rows: 0, ended: 0 };
  let looks = 0;
  for (const until = Date.now() + TIMEOUT_MS; stages.ended === 0; ) {
    run.signal.throwIfAborted();
    if (Date.now() > until) throw new Error('The run has not ended.');
    const { progress, summary } = await app.readRun(runId);
    looks += 1;
    const now = (performance.now() - startedAt) / 1000;
    if (stages.planned === 0 && progress.planningEnded) stages.planned = now;
    if (stages.posted === 0 && progress.planningEnded && progress.objectsPosted >= objects)
      stages.posted = now;
    if (stages.rows === 0 && (await kusto.countRows('Bench')) >= objects) stages.rows = now;
    if (summary !== null) {
      if (summary.objects.ingested !== objects)
        throw new Error(`${summary.state}: ${JSON.stringify(summary.objects)}`);
      stages.ended = now;
    }
    await sleep(POLL_MS);
  }
  const hits = new Map(proxy.faults().map((fault) => [fault.id, fault.hits]));
  // Each look of this bench at the run is one read of its state.
  const countOf = (name: string, rules: readonly number[]) =>
    rules.reduce((sum, id) => sum + (hits.get(id) ?? 0), name === STATE_READ ? -looks : 0);
  const s3 = Object.entries(stack.s3.requestCounts()).filter(([operation]) => operation !== 'GetObject');
  const perThousand = (name: string, count: number): Figure => ({
    name: `${name}, per 1,000 objects`,
    value: (1000 * count) / objects,
    unit: 'ratio',
  });
  return {
    stages,
    figures: [
      ...KINDS.map(({ name }, index) => perThousand(name, countOf(name, ids[index]!))),
      ...s3.map(([operation, { requests }]) => perThousand(`S3: ${operation}`, requests)),
    ],
  };
}
