import path from 'node:path';

import { TableClient } from '@azure/data-tables';

import { formatCount } from '../cli/format.ts';
import { startAzurite } from '../dev/azurite/index.ts';
import { startS3 } from '../dev/s3/index.ts';
import { azureEntityTable } from '../shared/adapters/state/azure-entity-table.ts';
import { createAzureState } from '../shared/adapters/state/azure-state.ts';
import { openTableClient } from '../shared/adapters/state/azure-storage-clients.ts';
import { ledgerTable } from '../shared/adapters/state/ledger-table.ts';
import { LEDGER_PARTITIONS } from '../shared/domain/ledger-key.ts';
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
  sourceOf,
} from './unchanged-bucket.ts';

const MOST_S3_REQUESTS = 1.05;
const STATE_PREFIX = 'bench';
const LEDGER_TABLE = `${STATE_PREFIX}ledger`;

/** What a run costs that finds nothing to do: every key listed and compared with the ledger. */
export function listing(run: BenchRun): Promise<BenchResult> {
  return listUnchanged(run, { objects: 100_000, mostTableRequests: 2.5 });
}

/** The same for a million: the fixed requests of a plan page are shared by more keys. */
export function largeListing(run: BenchRun): Promise<BenchResult> {
  return listUnchanged(run, { objects: 1_000_000, mostTableRequests: 1.5 });
}

interface ListingTask {
  readonly objects: number;
  /** Of the ledger. Default: as many as in production. */
  readonly partitions?: number;
}

interface MeasuredListing {
  readonly s3Requests: number;
  readonly requests: { readonly table: number; readonly blob: number };
  readonly pages: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly scanMs: number;
  readonly writingMs: number;
}

/** Plans a run over so many objects that are all in the ledger, unchanged, with a storage of its own. */
export async function measureListing(
  run: BenchRun,
  { objects, partitions = LEDGER_PARTITIONS }: ListingTask,
): Promise<MeasuredListing> {
  const [azurite, s3] = await Promise.all([
    run.start(() => startAzurite({ folder: path.join(run.folder, `azurite-${partitions}`), inMemory: true })),
    run.start(() => startS3({ folder: path.join(run.folder, `s3-${partitions}`), buckets: [BUCKET] })),
  ]);
  const requests = { table: 0, blob: 0 };
  const onRequest = (kind: keyof typeof requests) => {
    requests[kind] += 1;
  };
  const storage = { connectionString: azurite.connectionString };
  const azureState = createAzureState({ storage, namePrefix: STATE_PREFIX, onRequest });
  await azureState.ensureCreated();
  const table = await openTableClient(storage, LEDGER_TABLE, onRequest);
  const ledger = ledgerTable(
    azureEntityTable(LEDGER_TABLE, async () => table),
    partitions,
  );
  const state = { ...azureState, ledger };
  const source = sourceOf(s3.settings);
  const loader = createBenchLoader({ state, source: async () => source, timeScale: 1 });
  await putLoad(loader, LOAD, { source: { bucket: BUCKET }, ...BENCH_DEFINITION });

  run.say(`${formatCount(objects)} objects into the bucket`);
  await s3.seedObjects(BUCKET, objectsOf(objects));
  run.say(`${formatCount(objects)} entries into the ledger`);
  const writingMs = await seedLedger(run, loader, source);

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
  const planning = { ...requests };

  await expectUnchanged(loader, runId, objects);
  run.say("Azurite's own scan");
  const scanMs = await scanLedger(run, azurite.connectionString, objects);
  const s3Requests = Object.values(s3.requestCounts()).reduce((sum, { requests: count }) => sum + count, 0);
  for (const part of [azurite, s3]) await part.stop();
  return { s3Requests, requests: planning, pages, wallMs, cpuMs: (user + system) / 1000, scanMs, writingMs };
}

async function listUnchanged(
  run: BenchRun,
  { objects, mostTableRequests }: { readonly objects: number; readonly mostTableRequests: number },
): Promise<BenchResult> {
  const measured = await measureListing(run, { objects });
  const { s3Requests, requests, pages, wallMs, cpuMs, scanMs, writingMs } = measured;
  const perThousand = (count: number) => (count * 1000) / objects;
  const perSecond = (ms: number) => (objects * 1000) / ms;
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
        most: mostTableRequests,
      },
      { name: 'blob requests', value: requests.blob, unit: 'count' },
      { name: 'plan pages', value: pages, unit: 'count' },
      { name: 'wall', value: wallMs, unit: 'ms' },
      { name: "wall of Azurite's own scan of the ledger", value: scanMs, unit: 'ms' },
      { name: "wall beside Azurite's own scan", value: wallMs / scanMs, unit: 'ratio' },
      { name: 'entities read by the scan', value: perSecond(scanMs), unit: 'per second' },
      { name: 'entities written to load the ledger', value: perSecond(writingMs), unit: 'per second' },
      { name: 'CPU, S3 endpoint included', value: cpuMs, unit: 'ms' },
    ],
    notes: [
      'All requests of planning are counted as they go out, retries included: listing, ledger, rows and documents of the run. The start of the run is not counted.',
      'The ledger is loaded before, in transactions of up to 100 entities of one partition, 16 at a time.',
      "Azurite's own scan: every entity of the ledger once, by @azure/data-tables alone, a page of 1,000 after the other.",
    ],
  };
}

/** Reads the ledger as a plain loop over the SDK would; returns how long that took, in milliseconds. */
async function scanLedger(run: BenchRun, connectionString: string, entries: number): Promise<number> {
  const client = TableClient.fromConnectionString(connectionString, LEDGER_TABLE, {
    allowInsecureConnection: true,
  });
  const startedAt = performance.now();
  let read = 0;
  for await (const page of client.listEntities().byPage({ maxPageSize: 1000 })) {
    run.signal.throwIfAborted();
    read += page.length;
  }
  if (read !== entries) throw new Error(`The ledger was to have ${entries} entries: ${read}`);
  return performance.now() - startedAt;
}
