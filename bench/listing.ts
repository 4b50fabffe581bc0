import path from 'node:path';

import { formatCount } from '../cli/format.ts';
import { startAzurite } from '../dev/azurite/index.ts';
import { startS3 } from '../dev/s3/index.ts';
import { createAwsSource } from '../shared/adapters/s3/aws-source.ts';
import { createAzureState } from '../shared/adapters/state/azure-state.ts';
import { PAYLOAD_VERSION } from '../shared/contracts/durable.ts';
import type { LedgerEntry } from '../shared/domain/ledger-entry.ts';
import type { S3Object } from '../shared/domain/s3-object.ts';
import type { Orchestrations } from '../shared/ports/orchestrations.ts';
import type { Source } from '../shared/ports/source.ts';
import { putLoad } from '../shared/usecases/load-catalog.ts';
import type { Loader } from '../shared/usecases/loader.ts';
import { planPage } from '../shared/usecases/plan-page.ts';
import { planOfRun } from '../shared/usecases/run-totals.ts';
import { startRun } from '../shared/usecases/start-run.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { BENCH_DEFINITION, createBenchLoader } from './bench-loader.ts';

const OBJECTS = 100_000;
const BUCKET = 'bench';
const LOAD = 'bench';
const MOST_S3_REQUESTS = 1.05;
const MOST_TABLE_REQUESTS = 2.5;
const SEEDED_AT_ONCE = 10_000;

/** The parts that plan are called directly. */
const NO_ORCHESTRATIONS: Orchestrations = {
  startRun: async () => true,
  startOperation: async () => true,
  status: async () => 'active',
  purge: async () => 0,
  terminate: async () => undefined,
};

/** What a run costs that finds nothing to do: every key listed and compared with the ledger. */
export async function listing(run: BenchRun): Promise<BenchResult> {
  const [azurite, s3] = await Promise.all([
    run.start(() => startAzurite({ folder: path.join(run.folder, 'azurite'), inMemory: true })),
    run.start(() => startS3({ folder: path.join(run.folder, 's3'), buckets: [BUCKET] })),
  ]);
  const requests = { table: 0, blob: 0 };
  const state = createAzureState({
    storage: { connectionString: azurite.connectionString },
    namePrefix: 'bench',
    onRequest: (kind) => {
      requests[kind] += 1;
    },
  });
  await state.ensureCreated();
  const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings;
  const source = createAwsSource({
    bucket: BUCKET,
    region,
    endpoint,
    pathStyle: true,
    credentials: { kind: 'keys', accessKeyId, secretAccessKey },
  });
  const loader = createBenchLoader({ state, source: async () => source, timeScale: 1 });
  await putLoad(loader, LOAD, { source: { bucket: BUCKET }, ...BENCH_DEFINITION });

  run.say(`${formatCount(OBJECTS)} objects into the bucket`);
  await s3.seedObjects(BUCKET, objectsOf(OBJECTS));
  run.say(`${formatCount(OBJECTS)} entries into the ledger`);
  await seedLedger(run, loader, source);

  run.say('the run');
  const { runId } = await startRun(loader, NO_ORCHESTRATIONS, { load: LOAD, trigger: 'manual' });
  s3.resetRequestCounts();
  requests.table = 0;
  requests.blob = 0;
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const pages = await plan(loader, runId);
  const wallMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);

  const planned = planOfRun((await loader.runs.readRun(runId))!);
  if (planned.skipped.unchanged !== OBJECTS)
    throw new Error(`The run was to find ${OBJECTS} unchanged objects: ${JSON.stringify(planned)}`);
  const s3Requests = Object.values(s3.requestCounts()).reduce((sum, { requests: count }) => sum + count, 0);
  const perThousand = (count: number) => (count * 1000) / OBJECTS;
  return {
    figures: [
      {
        name: 'S3 requests per 1,000 objects',
        value: perThousand(s3Requests),
        unit: 'ratio',
        most: MOST_S3_REQUESTS,
      },
      {
        name: 'table requests per 1,000 objects',
        value: perThousand(requests.table),
        unit: 'ratio',
        most: MOST_TABLE_REQUESTS,
      },
      { name: 'blob requests', value: requests.blob, unit: 'count' },
      { name: 'plan pages', value: pages, unit: 'count' },
      { name: 'wall', value: wallMs, unit: 'ms' },
      { name: 'CPU, S3 endpoint included', value: (user + system) / 1000, unit: 'ms' },
    ],
    notes: [
      'All requests of planning are counted as they go out, retries included: listing, ledger, rows and documents of the run. The start of the run is not counted.',
    ],
  };
}

function* objectsOf(count: number): Generator<{ key: string; body: string }> {
  for (let index = 0; index < count; index += 1) {
    const folder = String(Math.floor(index / 1000)).padStart(4, '0');
    yield { key: `data/${folder}/part-${String(index).padStart(8, '0')}.json`, body: '{}' };
  }
}

/** The ledger as it is after a run that has ingested everything. */
async function seedLedger({ signal }: BenchRun, { ledger }: Loader, source: Source): Promise<void> {
  const at = new Date().toISOString();
  let entries: LedgerEntry[] = [];
  let isLast = false;
  let startAfter: string | null = null;
  while (!isLast) {
    signal.throwIfAborted();
    const page: Awaited<ReturnType<Source['listPage']>> = await source.listPage({ prefix: '', startAfter });
    entries.push(...page.objects.map((object) => ingested(object, at)));
    startAfter = page.objects.at(-1)?.key ?? startAfter;
    ({ isLast } = page);
    if (entries.length < SEEDED_AT_ONCE && !isLast) continue;
    await ledger.write(
      { load: LOAD, generation: 1 },
      entries.map((entry) => ({ entry, etag: null })),
    );
    entries = [];
  }
}

function ingested({ key, version, sizeBytes }: S3Object, at: string): LedgerEntry {
  return {
    key,
    version,
    sizeBytes,
    state: 'ingested',
    runId: 'bench-20260101T000000Z-0000',
    epoch: 1,
    sourceId: '00000000-0000-4000-8000-000000000000',
    attemptSeq: 1,
    attempts: 1,
    intentAt: at,
    queuedAt: at,
    settledAt: at,
    urlExpiresAt: at,
    errorCode: null,
    errorMessage: null,
    tag: null,
    repostedUnproven: false,
  };
}

/** Plans as the orchestrator does; returns how many pages there were. */
async function plan(loader: Loader, runId: string): Promise<number> {
  for (let page = 0; ; ) {
    const answer = await planPage(loader, { v: PAYLOAD_VERSION, runId, epoch: 1, page, attempt: 0 });
    if (answer.kind === 'stop') return page + 1;
    if (answer.kind !== 'page') throw new Error(`Planning was to go on: ${JSON.stringify(answer)}`);
    page = answer.next;
  }
}
