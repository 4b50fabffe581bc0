import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningS3, startS3 } from '../../../dev/s3/index.ts';
import { type AwsSourceOptions, createAwsSource } from '../../../shared/adapters/s3/aws-source.ts';
import { errorOf, testSource } from './source-contract.ts';

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

async function get(url: string) {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
}

testSource('the AWS adapter on the local S3 endpoint', async () => {
  const { part, client, stop } = await startLocal();
  let kept: readonly string[] = [];
  return {
    source: connect(part),
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
