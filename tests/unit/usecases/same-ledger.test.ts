import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { putObjects, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

const prepare = () => ({ ...createTestLoader(), orchestrations: createMemoryOrchestrations() });
const cluster = 'https://test.kusto.windows.net';
const destination = { cluster, database: 'db', table: 'T' };
let under: ReturnType<typeof prepare>;

beforeEach(async () => {
  vi.stubEnv('LOADER_ALLOWED_ENDPOINTS', 'aws,kusto,minio.example.com');
  under = prepare();
  putObjects(under, 5);
  await putLoad(under.loader, 'flights', definitionOf({ destination }));
  await runLoad(under, under.orchestrations);
});

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  ['a slash', { destination: { ...destination, cluster: `${cluster}/` } }],
  ['its port', { destination: { ...destination, cluster: `${cluster}:443` } }],
  [
    'its ingestion endpoint',
    { destination: { ...destination, cluster: 'https://ingest-test.kusto.windows.net' } },
  ],
  ['capitals', { destination: { ...destination, cluster: 'https://Test.Kusto.Windows.Net' } }],
  ['capitals in the name of its database', { destination: { ...destination, database: 'Db' } }],
  [
    "AWS's own endpoint",
    { source: { bucket: 'memory-bucket', endpoint: 'https://s3.us-east-1.amazonaws.com' } },
  ],
])('a place that is written with %s is the same: nothing is loaded again', async (_, changes) => {
  await putLoad(under.loader, 'flights', definitionOf({ destination, ...changes }));
  expect(await runLoad(under, under.orchestrations)).toMatchObject({
    plan: { selected: 0, skipped: { unchanged: 5 } },
  });
});

test.each([
  ['cluster', { destination: { ...destination, cluster: 'https://other.kusto.windows.net' } }],
  ['database', { destination: { ...destination, database: 'other' } }],
  ['table', { destination: { ...destination, table: 'U' } }],
  ['table, if only by its capitals,', { destination: { ...destination, table: 't' } }],
  ['service', { source: { bucket: 'memory-bucket', endpoint: 'https://minio.example.com' } }],
])('another %s begins a new ledger: everything is loaded', async (_, changes) => {
  await putLoad(under.loader, 'flights', definitionOf({ destination, ...changes }));
  expect(await runLoad(under, under.orchestrations)).toMatchObject({ objects: { ingested: 5 } });
});
