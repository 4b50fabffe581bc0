import {
  DeleteObjectCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

const BUCKET = 'versioned';

let under: StackUnderTest;
let client: S3Client;

beforeAll(async () => {
  under = await startStackUnderTest();
  const { endpoint, region, accessKeyId, secretAccessKey } = under.stack.s3.settings;
  client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  under.stack.s3.createBucket(BUCKET);
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await client.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration }));
}, 60_000);

afterAll(async () => {
  client?.destroy();
  await under?.stop();
});

const source = { bucket: BUCKET, pinVersions: true };
const put = async (key: string, body: string | Uint8Array) =>
  (await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }))).VersionId!;
const lineOf = (line: string) => `${JSON.stringify({ line, n: 1000 })}\n`;
const linesOf = async (table: string) =>
  (await under.kusto.query(`${table} | where n == 1000 | order by line asc`)).map((row) => row['line']);
/** Has the key overwritten at the moment at which ADX asks for it. */
const overwriteWhenRead = (key: string, line: string) =>
  under.stack.s3.injectFault({
    operation: 'GetObject',
    bucket: BUCKET,
    key,
    action: { kind: 'replace', body: lineOf(line) },
  });

test('what was listed is what ADX reads, also of a key that is overwritten just before; the next run loads what it holds then', async () => {
  await under.createTable('Pinned');
  await under.putLoad('pinned', { source, destination: { table: 'Pinned' }, changed: 'reload' });
  for (const { key, body } of jsonObjects('pinned', 40)) await put(key, body);
  const key = 'pinned/overwritten.json';
  await put(key, lineOf('first'));
  await put('pinned/deleted.json', lineOf('deleted before the run'));
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'pinned/deleted.json' }));
  overwriteWhenRead(key, 'second');
  const first = await under.run('pinned');
  expect(first.summary).toMatchObject({
    state: 'completed',
    objects: { ingested: 41, changed: 0 },
    plan: { listed: 41 },
  });
  expect(await linesOf('Pinned')).toEqual(['first']);

  const second = await under.run('pinned');
  expect(second.summary).toMatchObject({
    state: 'completed',
    objects: { ingested: 1 },
    plan: { skipped: { unchanged: 40 } },
    repostedUnproven: [],
  });
  expect(await linesOf('Pinned')).toEqual(['first', 'second']);
  const present = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
  const { body } = await under.app.request('GET', `/api/runs/${second.runId}/objects`);
  expect(body.objects).toMatchObject([{ key, version: `v:${present.VersionId}` }]);
  expect((await under.run('pinned')).summary).toMatchObject({ plan: { skipped: { unchanged: 41 } } });
  expect(await under.kusto.countRows('Pinned')).toBe(42);
});

test('without version ids nobody knows what ADX has read of such a key, and the run says so', async () => {
  await under.createTable('Unpinned');
  await under.putLoad('unpinned', {
    source: { ...source, pinVersions: false },
    destination: { table: 'Unpinned' },
  });
  const key = 'unpinned/overwritten.json';
  await put(key, lineOf('first'));
  overwriteWhenRead(key, 'second');
  expect((await under.run('unpinned')).summary).toMatchObject({
    state: 'completedWithDiscrepancy',
    objects: { changed: 1 },
  });
});

test('a version that was deleted for good before ADX read it is gone', async () => {
  await under.createTable('Deleted');
  await under.putLoad('deleted', { source, destination: { table: 'Deleted' }, changed: 'reload' });
  const key = 'deleted/a.json';
  const VersionId = await put(key, lineOf('first'));
  // The listing shows the version, and no read ever does.
  under.stack.s3.injectFault({
    operation: 'GetObject',
    bucket: BUCKET,
    key,
    times: 100,
    action: { kind: 'error', code: 'NoSuchVersion' },
  });
  expect((await under.run('deleted')).summary).toMatchObject({ state: 'completed', objects: { gone: 1 } });
  under.stack.s3.clearFaults();
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key, VersionId }));
  await put(key, lineOf('second'));
  expect((await under.run('deleted')).summary).toMatchObject({ objects: { ingested: 1 } });
  expect(await linesOf('Deleted')).toEqual(['second']);
});

test('a load whose ledger knows ETags is not put with version ids, and the other way round', async () => {
  await under.createTable('Kept');
  await under.createTable('Other');
  await under.putLoad('kept', { source, destination: { table: 'Kept' } });
  const { body: load } = await under.app.request('GET', '/api/loads/kept');
  expect(load.source.pinVersions).toBe(true);
  const { generation, updatedAt: _, warnings: __, ...definition } = load;
  const etags = { ...definition, source: { ...definition.source, pinVersions: false } };
  expect(await under.app.request('PUT', '/api/loads/kept', etags)).toMatchObject({
    status: 400,
    body: {
      code: 'invalidDefinition',
      problems: [{ field: 'source.pinVersions', message: expect.stringContaining('must stay true') }],
    },
  });
  const elsewhere = { ...etags, destination: { ...definition.destination, table: 'Other' } };
  expect(await under.app.request('PUT', '/api/loads/kept', elsewhere)).toMatchObject({
    status: 200,
    body: { generation: generation + 1, source: { pinVersions: false } },
  });
  expect(
    await under.app.request('PUT', '/api/loads/kept', { ...elsewhere, ...{ source: definition.source } }),
  ).toMatchObject({
    status: 400,
    body: {
      problems: [{ field: 'source.pinVersions', message: expect.stringContaining('must stay false') }],
    },
  });
});

test('the connection test reads the first byte of a version', async () => {
  await put('tested/a.json', lineOf('a'));
  const { endpoint } = under.stack.s3.settings;
  const { body } = await under.app.request('POST', '/api/connections/test', {
    source: { ...source, endpoint, pathStyle: true, prefix: 'tested/' },
  });
  expect(body.source.steps).toMatchObject([
    { step: 'resolve', result: 'ok' },
    { step: 'signIn', result: 'ok' },
    { step: 'list', result: 'ok', message: '1 keys begin with the prefix.' },
    { step: 'read', result: 'ok' },
  ]);
});
