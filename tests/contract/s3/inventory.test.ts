import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type RunningS3, startS3 } from '../../../dev/s3/index.ts';
import { createAwsSource } from '../../../shared/adapters/s3/aws-source.ts';
import {
  type InventoryBucket,
  readInventory,
  splitCsv,
  upTo,
} from '../../../shared/adapters/s3/inventory.ts';
import type { S3Object } from '../../../shared/domain/s3-object.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import type { InventoryList, Source } from '../../../shared/ports/source.ts';
import { errorOf } from './source-contract.ts';

/** Lists as S3 makes them, in a bucket of their own beside the one that they are about. */
const SCHEMA = 'Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass';
const FOLDER = 'lists/data/daily/';
const KEYS = ['plain.json', 'a b+c%.json', 'größe/ä.json', 'line\nbreak', 'comma,"quote"', "it's"];

let folder: string;
let s3: RunningS3;
let source: Source;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3-inventory-'));
  s3 = await startS3({ folder: join(folder, 's3'), buckets: ['lists'] });
  const { accessKeyId, secretAccessKey, endpoint, region } = s3.settings;
  source = createAwsSource({
    bucket: 'lists',
    region,
    endpoint,
    pathStyle: true,
    credentials: { kind: 'keys', accessKeyId, secretAccessKey },
  });
});

afterAll(async () => {
  await s3?.stop();
  await rm(folder, { recursive: true, force: true });
});

const put = (key: string, body: Buffer | string) => s3.seedObjects('lists', [{ key, body }]);

function putManifest(date: string, changes: object = {}) {
  const manifest = {
    sourceBucket: 'data',
    destinationBucket: 'arn:aws:s3:::lists',
    version: '2016-11-30',
    creationTimestamp: '1767225600000',
    fileFormat: 'CSV',
    fileSchema: SCHEMA,
    files: [{ key: 'lists/data/daily/data/1.csv.gz', size: 1, MD5checksum: 'x' }],
    ...changes,
  };
  return put(`${FOLDER}${date}/manifest.json`, JSON.stringify(manifest));
}

const find = (location: string) => source.findInventory({ location, ofBucket: 'data' });

async function readAll(list: InventoryList, most: number): Promise<readonly S3Object[]> {
  const objects: S3Object[] = [];
  for (let at: { file: number; row: number } | null = { file: 0, row: 0 }; at !== null; ) {
    const page = await source.readInventory({ list, ...at, most });
    objects.push(...page.objects);
    at = page.next;
  }
  return objects;
}

const expected = (keys: readonly string[]) =>
  keys.map((key, index) => ({
    key,
    version: `e:etag${index}`,
    sizeBytes: index * 10,
    lastModified: '2026-01-31T12:00:00.000Z',
    storageClass: 'STANDARD',
  }));

const csvRow = (values: readonly string[]) => `${values.map((value) => `"${value}"`).join(',')}\n`;
const csvKey = (key: string) => encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/');
const csvOf = (keys: readonly string[], from = 0) =>
  keys
    .map((key, index) => {
      const [size, etag] = [String((from + index) * 10), `etag${from + index}`];
      const about = ['data', csvKey(key), '', 'true', 'false', size, '2026-01-31T12:00:00.000Z', etag];
      return csvRow([...about, 'STANDARD']);
    })
    .join('');

describe('a list in CSV', () => {
  test('is read whole, over several files and in pages of any size, without versions that are not the present ones', async () => {
    const old = csvRow([
      'data',
      'old',
      'v',
      'false',
      'false',
      '1',
      '2026-01-31T12:00:00.000Z',
      'x',
      'STANDARD',
    ]);
    const deleted = csvRow(['data', 'deleted', 'v', 'true', 'true', '', '2026-01-31T12:00:00.000Z', '', '']);
    await put(`${FOLDER}data/1.csv.gz`, gzipSync(csvOf(KEYS.slice(0, 4)) + old + deleted));
    await put(`${FOLDER}data/2.csv.gz`, gzipSync(csvOf(KEYS.slice(4), 4)));
    await put(`${FOLDER}data/3.csv.gz`, gzipSync(''));
    const files = [1, 2, 3].map((number) => ({ key: `${FOLDER}data/${number}.csv.gz` }));
    await putManifest('2026-01-01T01-00Z', { files });
    const list = await find(`${FOLDER}2026-01-01T01-00Z/manifest.json`);
    expect(list.createdAt).toBe('2026-01-01T00:00:00.000Z');
    for (const most of [1, 2, 3, 100]) expect(await readAll(list, most)).toEqual(expected(KEYS));
  });

  test('of all dates the newest is taken that is ready', async () => {
    await putManifest('2026-01-02T01-00Z', { creationTimestamp: '1767315600000' });
    await put(`${FOLDER}2026-01-03T01-00Z/manifest.checksum`, 'is being made');
    await put(`${FOLDER}hive/dt=2026-01-04/symlink.txt`, 'x');
    expect((await find(FOLDER)).createdAt).toBe('2026-01-02T01:00:00.000Z');
  });

  test.each([
    ['of another bucket', { sourceBucket: 'other' }, 'about the bucket "other"'],
    ['in ORC', { fileFormat: 'ORC' }, 'must be CSV or Parquet'],
    ['without ETags', { fileSchema: 'Bucket, Key, Size, LastModifiedDate' }, 'lacks the fields ETag'],
  ])('%s is refused', async (name, changes, reason) => {
    const date = `2025-01-0${name.length % 9}T01-00Z`;
    await putManifest(date, changes);
    const error = await errorOf(find(`${FOLDER}${date}/manifest.json`));
    expect(error.code).toBe('inventoryNotUsable');
    expect(error.message).toContain(reason);
  });

  test('that is not there, is no JSON, or whose file is gone or cut off is an error that says so', async () => {
    expect((await errorOf(find('nowhere/manifest.json'))).message).toContain('no manifest.json');
    expect((await errorOf(find('nowhere/'))).code).toBe('inventoryNotUsable');
    await put('broken/manifest.json', '{');
    expect((await errorOf(find('broken/manifest.json'))).message).toContain('no JSON');
    const list: InventoryList = {
      format: 'CSV',
      columns: SCHEMA.split(', '),
      files: ['gone.csv.gz'],
      createdAt: '',
    };
    expect((await errorOf(readAll(list, 10))).message).toContain('gone.csv.gz is not there');
    await put('cut.csv.gz', gzipSync(csvOf(KEYS)).subarray(0, 60));
    expect((await errorOf(readAll({ ...list, files: ['cut.csv.gz'] }, 10))).message).toContain('is damaged');
  });
});

describe('a list in Parquet', () => {
  test.each(['snappy', 'gzip', 'zstd', 'uncompressed'])(
    'is read whole, in pages of any size (%s)',
    async (codec) => {
      const file = join(folder, `${codec}.parquet`);
      const connection = await DuckDBConnection.create();
      await connection.run(
        'create or replace table list (bucket text, key text, version_id text, is_latest boolean, is_delete_marker boolean, size bigint, last_modified_date timestamp_ms, e_tag text, storage_class text)',
      );
      for (const [index, key] of KEYS.entries())
        await connection.run('insert into list values (?, ?, null, true, false, ?, ?::timestamp_ms, ?, ?)', [
          'data',
          key,
          BigInt(index * 10),
          '2026-01-31 12:00:00',
          `etag${index}`,
          'STANDARD',
        ]);
      await connection.run(
        "insert into list values ('data', 'old', 'v', false, false, 1, '2026-01-31', 'x', 'STANDARD')",
      );
      await connection.run(`copy list to '${file}' (format parquet, codec ${codec})`);
      connection.closeSync();
      await put(`${codec}.parquet`, await readFile(file));
      await putManifest(`2026-02-0${codec.length % 9}T01-00Z`, {
        fileFormat: 'Parquet',
        fileSchema: 'message s3.inventory { required binary bucket (STRING); }',
        files: [{ key: `${codec}.parquet` }],
      });
      const list = await find(`${FOLDER}2026-02-0${codec.length % 9}T01-00Z/manifest.json`);
      for (const most of [1, 4, 100]) expect(await readAll(list, most)).toEqual(expected(KEYS));
    },
  );
});

describe('a file of Parquet that can not be read makes the list unusable', () => {
  const listOf = (file: string): InventoryList => ({
    format: 'Parquet',
    columns: [],
    files: [file],
    createdAt: '',
  });
  let whole: Buffer;

  beforeAll(async () => {
    const file = join(folder, 'whole.parquet');
    const connection = await DuckDBConnection.create();
    await connection.run(
      `copy (select 'key' || hash(i) as key, i::bigint as size, '2026-01-31'::timestamp_ms as last_modified_date, 'x' as e_tag from range(2000) t(i)) to '${file}' (format parquet, codec gzip)`,
    );
    connection.closeSync();
    whole = await readFile(file);
  });

  test.each<[string, () => Buffer]>([
    ['is none', () => Buffer.from('x'.repeat(200))],
    ['is empty', () => Buffer.alloc(0)],
    ['is cut off', () => whole.subarray(0, whole.length / 2)],
    ['has lost its beginning', () => whole.subarray(-(whole.readUInt32LE(whole.length - 8) + 8 + 100))],
    [
      'has damaged pages',
      () => Buffer.concat([whole.subarray(0, 4), Buffer.alloc(2000, 0xff), whole.subarray(2004)]),
    ],
    [
      'has a damaged footer',
      () => Buffer.concat([whole.subarray(0, -300), Buffer.alloc(200, 0xff), whole.subarray(-100)]),
    ],
  ])('when it %s', async (name, bodyOf) => {
    const key = `${name.replaceAll(' ', '-')}.parquet`;
    await put(key, bodyOf());
    const error = await errorOf(readAll(listOf(key), 5000));
    expect(error).toMatchObject({ code: 'inventoryNotUsable' });
    expect(error.message).toContain(`${key} is damaged`);
  });

  const bucketOf = (readRange: InventoryBucket['readRange']): InventoryBucket => ({
    bucket: 'lists',
    open: async () => null,
    folders: async () => [],
    sizeOf: async () => whole.length,
    readRange,
  });
  const readFrom = (bucket: InventoryBucket) =>
    errorOf(readInventory(bucket, { list: listOf('a.parquet'), file: 0, row: 0, most: 10 }));

  test('when it goes while it is read', async () => {
    const footerOnly = bucketOf(async (_, start, end) =>
      end === whole.length ? whole.subarray(start, end) : null,
    );
    for (const bucket of [bucketOf(async () => null), footerOnly]) {
      const error = await readFrom(bucket);
      expect(error.code).toBe('inventoryNotUsable');
      expect(error.message).toContain('a.parquet is not there');
    }
  });

  test('but not when S3 only asks for fewer requests', async () => {
    const busy = new LoaderError('sourceThrottled', 'SlowDown');
    expect(await readFrom(bucketOf(() => Promise.reject(busy)))).toBe(busy);
  });
});

describe('a list that unpacks to far more than S3 writes is refused', () => {
  const FILE = { fileFormat: 'Parquet', fileSchema: 'message s3.inventory {}' };
  const read = async (name: string, changes: object) => {
    await putManifest('2026-03-01T01-00Z', { files: [{ key: name }], ...changes });
    const list = await find(`${FOLDER}2026-03-01T01-00Z/manifest.json`);
    return errorOf(source.readInventory({ list, file: 0, row: 0, most: 10 }));
  };

  test('a line without an end', async () => {
    await put('endless.csv.gz', gzipSync('x'.repeat(10_000_000)));
    expect(await read('endless.csv.gz', {})).toMatchObject({ code: 'inventoryNotUsable' });
  });

  test('a file of CSV', async () => {
    const chunks = async function* () {
      for (let count = 0; count < 5; count += 1) yield new Uint8Array(1000);
    };
    const taken: number[] = [];
    const take = async (most: number) => {
      for await (const chunk of upTo(most, chunks(), 'too much')) taken.push(chunk.length);
    };
    await take(5000);
    expect(taken).toHaveLength(5);
    expect(await errorOf(take(4999))).toMatchObject({ code: 'inventoryNotUsable' });
    expect(taken).toHaveLength(9);
  });

  test.each(['snappy', 'gzip', 'zstd'])('a page of Parquet (%s)', async (codec) => {
    const file = join(folder, `bomb-${codec}.parquet`);
    const connection = await DuckDBConnection.create();
    await connection.run(
      `copy (select repeat('x', 80000000) as key, 1::bigint as size, '2026-01-31'::timestamp_ms as last_modified_date, 'x' as e_tag) to '${file}' (format parquet, codec ${codec})`,
    );
    connection.closeSync();
    const body = await readFile(file);
    await put(`bomb-${codec}.parquet`, body);
    expect(body.length).toBeLessThan(10_000_000);
    const failure = await read(`bomb-${codec}.parquet`, FILE);
    expect(failure).toMatchObject({ code: 'inventoryNotUsable' });
    expect(failure.message).toContain('unpacks');
  });
});

test('lines of CSV are split at commas outside of quotes', () => {
  expect(splitCsv('"a","b,c","d""e",,f')).toEqual(['a', 'b,c', 'd"e', '', 'f']);
  expect(splitCsv('"a",""')).toEqual(['a', '']);
  expect(splitCsv('a,')).toEqual(['a', '']);
});
