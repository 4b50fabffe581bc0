import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RunningS3, startS3 } from '../../../dev/s3/index.ts';
import { type AwsSourceOptions, createAwsSource } from '../../../shared/adapters/s3/aws-source.ts';
import type { ListedPage, Source } from '../../../shared/ports/source.ts';
import { errorOf, type SourceUnderTest, testSource } from './source-contract.ts';

const BUCKET = 'contract';

async function startLocal(): Promise<{ part: RunningS3; client: S3Client; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 's3-contract-'));
  const part = await startS3({ folder, buckets: [BUCKET], publicBuckets: ['open-data'] });
  part.createBucket('open-data');
  const { accessKeyId, secretAccessKey, endpoint, region } = part.settings;
  const client = new S3Client({
    region,
    endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  const stop = async () => {
    client.destroy();
    await part.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { part, client, stop };
}

function connect(part: RunningS3, change: Partial<AwsSourceOptions> = {}) {
  const { accessKeyId, secretAccessKey, endpoint, region } = part.settings;
  return createAwsSource({
    bucket: BUCKET,
    region,
    endpoint,
    pathStyle: true,
    credentials: { kind: 'keys', accessKeyId, secretAccessKey },
    ...change,
  });
}

async function keepVersions(client: S3Client, bucket = BUCKET, Status: 'Enabled' | 'Suspended' = 'Enabled') {
  const VersioningConfiguration = { Status };
  await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
}

async function get(url: string) {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
}

async function startContract(pinVersions: boolean): Promise<SourceUnderTest> {
  const { part, client, stop } = await startLocal();
  if (pinVersions) await keepVersions(client);
  let kept: readonly string[] = [];
  return {
    source: connect(part, { pinVersions }),
    pinVersions,
    fill: async (keys) => {
      for (let start = 0; start < kept.length; start += 1000) {
        const Objects = kept.slice(start, start + 1000).map((Key) => ({ Key }));
        await client.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects } }));
      }
      kept = keys;
      await part.seedObjects(
        BUCKET,
        keys.map((key) => ({ key, body: 'x' })),
      );
    },
    overwrite: async (Key, sizeBytes) =>
      void (await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: 'y'.repeat(sizeBytes) }))),
    fetchBody: get,
    stop,
  };
}

testSource('the AWS adapter on the local S3 endpoint', () => startContract(false));
testSource('the AWS adapter on a bucket that keeps versions', () => startContract(true));

describe('the AWS adapter with version ids', () => {
  let local: Awaited<ReturnType<typeof startLocal>>;
  let source: Source;
  beforeAll(async () => {
    local = await startLocal();
    source = connect(local.part, { pinVersions: true });
  });
  afterAll(() => local?.stop());
  let folders = 0;
  let prefix: string;
  beforeEach(async () => {
    prefix = `${(folders += 1)}/`;
    await keepVersions(local.client);
  });

  const put = async (name: string, body: string) =>
    (await local.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: prefix + name, Body: body })))
      .VersionId;
  const remove = (name: string) =>
    local.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: prefix + name }));
  /** Writes keys as often as they are named. */
  const seed = (names: readonly string[]) =>
    local.part.seedObjects(
      BUCKET,
      names.map((name) => ({ key: prefix + name, body: 'x' })),
    );
  /** Pages as they come, with what each shows of names and sizes. */
  async function pages() {
    const all: { readonly names: readonly string[]; readonly upTo: string | undefined }[] = [];
    for (let startAfter: string | null = null; ; ) {
      const page: ListedPage = await source.listPage({ prefix, startAfter });
      all.push({
        names: page.objects.map(({ key }) => key.slice(prefix.length)),
        upTo: page.upTo?.slice(prefix.length),
      });
      if (page.isLast) return all;
      startAfter = page.upTo!;
    }
  }

  test('only the latest version of a key is listed, as HEAD names it, and no key that was deleted', async () => {
    await put('a', 'old');
    const latest = await put('a', 'newer');
    await put('b', 'x');
    await remove('b');
    await put('c', 'x');
    await remove('c');
    const again = await put('c', 'again');
    const { objects, isLast } = await source.listPage({ prefix, startAfter: null });
    expect([objects, isLast]).toMatchObject([
      [
        { key: `${prefix}a`, version: `v:${latest}`, sizeBytes: 5, storageClass: 'STANDARD' },
        { key: `${prefix}c`, version: `v:${again}`, sizeBytes: 5 },
      ],
      true,
    ]);
    for (const object of objects) expect(await source.head(object.key)).toEqual(object);
    expect(await source.head(`${prefix}b`)).toBeNull();
    expect((await source.listPage({ prefix, startAfter: `${prefix}a` })).objects).toEqual([objects[1]]);
  });

  test('older versions that do not fit into an answer are passed over, and no key behind them is lost', async () => {
    await seed(['a', ...Array.from({ length: 2500 }, () => 'b'), 'c', 'd', 'd']);
    local.part.resetRequestCounts();
    expect(await pages()).toEqual([
      { names: ['a', 'b'], upTo: 'b' },
      { names: ['c', 'd'], upTo: undefined },
    ]);
    expect(local.part.requestCounts()['ListObjectVersions']?.requests).toBe(2);
  });

  test.each([998, 999, 1000])(
    'an answer that ends at any version of a key loses none (%i versions before it)',
    async (before) => {
      await seed([...Array.from({ length: before }, () => 'a'), 'b', 'b', 'b', 'c']);
      expect((await pages()).flatMap(({ names }) => names)).toEqual(['a', 'b', 'c']);
    },
  );

  test('more deleted keys than an answer holds are passed over', async () => {
    const names = Array.from({ length: 600 }, (_, index) => String(index).padStart(5, '0'));
    await seed(names);
    const Objects = names.map((name) => ({ Key: prefix + name }));
    await local.client.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects } }));
    await seed(['z']);
    expect(await pages()).toEqual([{ names: ['z'], upTo: undefined }]);
  });

  test('a URL that was signed for a version gives its bytes after it was overwritten and deleted', async () => {
    await put('k +%ü', 'first');
    const [first] = (await source.listPage({ prefix, startAfter: null })).objects;
    const { url } = await source.presignGet({ ...first!, lifetimeMs: 60_000 });
    await put('k +%ü', 'second');
    const [second] = (await source.listPage({ prefix, startAfter: null })).objects;
    expect(await get(url)).toEqual({ status: 200, body: 'first' });
    await remove('k +%ü');
    expect(await get(url)).toEqual({ status: 200, body: 'first' });
    const later = await source.presignGet({ ...second!, lifetimeMs: 60_000 });
    expect(await get(later.url)).toEqual({ status: 200, body: 'second' });
    const [, VersionId] = first!.version.split('v:');
    await local.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: first!.key, VersionId }));
    expect((await get(url)).status).toBe(404);
    expect(await source.canRead(first!)).toBe(false);
  });

  test('what was written before versions were kept, or while that was suspended, is known by its ETag', async () => {
    const bucket = 'late-versions';
    local.part.createBucket(bucket);
    const late = connect(local.part, { bucket, pinVersions: true });
    const write = (Key: string, Body: string) =>
      local.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
    const same = async (versions: readonly RegExp[]) => {
      const { objects } = await late.listPage({ prefix: '', startAfter: null });
      expect(objects.map(({ version }) => version)).toEqual(
        versions.map((one) => expect.stringMatching(one)),
      );
      for (const object of objects) {
        expect(await late.head(object.key)).toEqual(object);
        expect(await late.canRead(object)).toBe(true);
        const { url } = await late.presignGet({ ...object, lifetimeMs: 60_000 });
        expect(url.includes('versionId=')).toBe(object.version.startsWith('v:'));
        expect((await get(url)).status).toBe(200);
      }
    };
    await write('a', '1');
    await write('b', '1');
    await same([/^e:/, /^e:/]);
    await keepVersions(local.client, bucket);
    await write('b', '2');
    await same([/^e:/, /^v:/]);
    await keepVersions(local.client, bucket, 'Suspended');
    await write('b', '3');
    await write('c', '1');
    await same([/^e:/, /^e:/, /^e:/]);
  });

  test('a bucket without any object is empty', async () => {
    expect(await source.listPage({ prefix: 'nothing/', startAfter: null })).toEqual({
      objects: [],
      isLast: true,
    });
  });
});

describe('the AWS adapter and Parquet files', () => {
  let local: Awaited<ReturnType<typeof startLocal>>;
  const folder = mkdtemp(join(tmpdir(), 's3-parquet-'));
  beforeAll(async () => {
    local = await startLocal();
  });
  afterAll(async () => {
    await local?.stop();
    await rm(await folder, { recursive: true, force: true });
  });

  async function parquetFile(query: string): Promise<Buffer> {
    const file = join(await folder, `${randomUUID()}.parquet`);
    const connection = await DuckDBConnection.create();
    await connection.run(`copy (${query}) to '${file}' (format parquet, row_group_size 2048)`);
    connection.closeSync();
    return readFile(file);
  }
  const put = async (key: string, body: Buffer | string) => {
    await local.part.seedObjects(BUCKET, [{ key, body }]);
    const source = connect(local.part);
    return { source, key, version: (await source.head(key))!.version };
  };

  test('rows are counted by the footer, in one request', async () => {
    const { source, ...object } = await put(
      'small ä+1.parquet',
      await parquetFile('select 1 as a from range(1234)'),
    );
    expect(await source.countParquetRows(object)).toBe(1234);
  });

  test('a footer that is longer than the first read is read whole', async () => {
    const columns = Array.from({ length: 60 }, (_, index) => `range + ${index} as column_${index}`).join(
      ', ',
    );
    const body = await parquetFile(`select ${columns} from range(40960)`);
    expect(body.readUInt32LE(body.length - 8)).toBeGreaterThan(64 * 1024);
    const { source, ...object } = await put('wide.parquet', body);
    expect(await source.countParquetRows(object)).toBe(40_960);
  });

  test('what is gone, another version, empty, damaged or no Parquet file has no known rows', async () => {
    const body = await parquetFile('select 1 as a');
    const { source, ...object } = await put('a.parquet', body);
    await put('a.parquet', Buffer.concat([body.subarray(0, 4), body]));
    expect(await source.countParquetRows(object)).toBeNull();
    expect(await source.countParquetRows({ ...object, key: 'none.parquet' })).toBeNull();
    const damaged = Buffer.from(body);
    damaged.fill(0xff, damaged.length - 40, damaged.length - 8);
    const tooLong = Buffer.from(body);
    tooLong.writeUInt32LE(0xffff_ffff, body.length - 8);
    for (const [name, content] of Object.entries({
      empty: '',
      text: 'a,b\n1,2\n',
      short: 'PAR1',
      damaged,
      tooLong,
    })) {
      const { source: _, ...bad } = await put(name, content);
      expect(await source.countParquetRows(bad), name).toBeNull();
    }
  });
});

describe('the AWS adapter and what the endpoint refuses', () => {
  let local: Awaited<ReturnType<typeof startLocal>>;
  beforeAll(async () => {
    local = await startLocal();
    await local.part.seedObjects('open-data', [{ key: 'a', body: 'open' }]);
  });
  afterAll(() => local?.stop());
  const codeOfListing = async (change: Partial<AwsSourceOptions>) =>
    (await errorOf(connect(local.part, change).listPage({ prefix: '', startAfter: null }))).code;

  test('wrong secret, unknown key, missing bucket and wrong region have codes of their own', async () => {
    const { accessKeyId } = local.part.settings;
    const keys = { kind: 'keys', accessKeyId, secretAccessKey: 'wrong' } as const;
    expect(await codeOfListing({ credentials: keys })).toBe('sourceAccessDenied');
    expect(await codeOfListing({ credentials: { ...keys, accessKeyId: 'AKIDNOSUCH' } })).toBe(
      'sourceAccessDenied',
    );
    expect(await codeOfListing({ bucket: 'no-such-bucket' })).toBe('bucketNotFound');
    expect(await codeOfListing({ region: 'eu-west-3' })).toBe('sourceWrongRegion');
    expect(await codeOfListing({ credentials: { kind: 'anonymous' } })).toBe('sourceAccessDenied');
  });

  test('a public bucket is read without keys', async () => {
    const source = connect(local.part, { bucket: 'open-data', credentials: { kind: 'anonymous' } });
    expect((await source.listPage({ prefix: '', startAfter: null })).objects).toHaveLength(1);
    const { url } = await source.presignGet({ key: 'a', version: 'e:x', lifetimeMs: 1000 });
    expect(await get(url)).toEqual({ status: 200, body: 'open' });
  });

  test('a signed URL is refused after its end and for another key', async () => {
    await local.part.seedObjects(BUCKET, [{ key: 'k', body: 'x' }]);
    const past = connect(local.part, { now: () => new Date(Date.now() - 60_000) });
    const { url } = await past.presignGet({ key: 'k', version: 'e:x', lifetimeMs: 30_000 });
    expect((await get(url)).status).toBe(403);
    const fresh = await connect(local.part).presignGet({ key: 'k', version: 'e:x', lifetimeMs: 30_000 });
    expect((await get(fresh.url)).status).toBe(200);
    expect((await get(fresh.url.replace('/k?', '/l?'))).status).toBe(403);
  });
});
