import path from 'node:path';

import { formatCount } from '../cli/format.ts';
import { startAzurite } from '../dev/azurite/index.ts';
import { startS3 } from '../dev/s3/index.ts';
import { createAwsSource } from '../shared/adapters/s3/aws-source.ts';
import { createAzureState } from '../shared/adapters/state/azure-state.ts';
import { putLoad } from '../shared/usecases/load-catalog.ts';
import { startRun } from '../shared/usecases/start-run.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { BENCH_DEFINITION, createBenchLoader } from './bench-loader.ts';
import {
  BUCKET,
  expectUnchanged,
  LOAD,
  NO_ORCHESTRATIONS,
  objectsOf,
  plan,
  seedLedger,
} from './unchanged-bucket.ts';

const OBJECTS = 100_000;
const MOST_S3_REQUESTS = 1.05;
const MOST_TABLE_REQUESTS = 2.5;

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

  await expectUnchanged(loader, runId, OBJECTS);
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
