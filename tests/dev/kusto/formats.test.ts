import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync, zstdCompress } from 'node:zlib';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { DuckDBInstance } from '@duckdb/node-api';
import avro from 'avsc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startS3 } from '../../../dev/s3/index.ts';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto();
});
afterAll(() => local.stop());

const serve = (path: string, body: Buffer | string) => {
  local.sources.answers.set(path, body);
  return `${local.sources.url}${path}?X-Amz-Signature=secret`;
};
/** Loads one source. @returns its final status. */
async function load(table: string, url: string, properties: Record<string, unknown>) {
  const id = await local.post(table, url, { properties });
  await local.load(1);
  return local.finalStatusOf(id);
}

type AvroSchema = Parameters<typeof avro.Type.forSchema>[0];
async function makeAvro(schema: AvroSchema, records: readonly object[], codec = 'null'): Promise<Buffer> {
  const encoder = new avro.streams.BlockEncoder(schema, {
    codec,
    writeHeader: 'always',
    codecs: {
      ...avro.streams.BlockEncoder.defaultCodecs(),
      // One literal of up to 60 bytes is the simplest block that snappy has; the checksum follows.
      snappy: (data, done) =>
        done(
          null,
          Buffer.concat([Buffer.from([data.length, (data.length - 1) << 2]), data, Buffer.alloc(4)]),
        ),
      zstandard: zstdCompress,
      xz: (data, done) => done(null, data),
    },
  });
  const chunks: Buffer[] = [];
  encoder.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise((resolve) => encoder.once('end', resolve));
  for (const record of records) encoder.write(record);
  encoder.end();
  await ended;
  return Buffer.concat(chunks);
}

interface ZipEntry {
  readonly name: string;
  readonly body: string;
  readonly method?: number;
  readonly flags?: number;
  readonly checksum?: number;
}

/** A zip archive with full control over what stands in its headers. */
function makeZip(entries: readonly ZipEntry[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, body, method = 8, flags = 0, checksum = crc32(body) } of entries) {
    const data = method === 0 ? Buffer.from(body) : deflateRawSync(body);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(flags, 2);
    shared.writeUInt16LE(method, 4);
    shared.writeUInt32LE(checksum, 10);
    shared.writeUInt32LE(data.length, 14);
    shared.writeUInt32LE(Buffer.byteLength(body), 18);
    shared.writeUInt16LE(name.length, 22);
    const header = Buffer.concat([Buffer.from('PK\x03\x04'), shared, Buffer.from(name), data]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\0'), shared, rest, Buffer.from(name)]));
    locals.push(header);
    offset += header.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(size, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, ...directory, Buffer.from('PK\x05\x06'), end]);
}

describe('avro', () => {
  const schema: AvroSchema = {
    type: 'record',
    name: 'R',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'name', type: ['null', 'string'] },
      { name: 'raw', type: 'bytes' },
      {
        name: 'inner',
        type: {
          type: 'record',
          name: 'I',
          fields: [{ name: 'list', type: { type: 'array', items: 'int' } }],
        },
      },
      { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } },
      { name: 'price', type: { type: 'bytes', logicalType: 'decimal', precision: 20, scale: 4 } as never },
    ],
  };
  const record = (id: number) => ({
    id,
    name: `n${id}`,
    raw: Buffer.from([0, 255]),
    inner: { list: [1, 2] },
    at: 1_704_164_645_123_456,
    price: Buffer.from('ff85ee', 'hex'),
  });

  test('by name: longs to the last digit, unions, nested values, bytes only as base64', async () => {
    await local.rows(
      '.create table Avro (id:long, name:string, raw:string, inner:dynamic, at:datetime, code:string, n:long)',
    );
    const long = avro.types.LongType.__with({
      fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
      toBuffer: (value: bigint) => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigInt64LE(value);
        return bytes;
      },
      fromJSON: BigInt,
      toJSON: Number,
      isValid: (value: unknown) => typeof value === 'bigint',
      compare: () => 0,
    });
    const isLong = (part: unknown) => (part as { type?: unknown }).type === 'long';
    const type = avro.Type.forSchema(schema, {
      registry: { long },
      typeHook: (part) => (isLong(part) ? long : undefined),
    });
    const big = { ...record(1), id: 9_007_199_254_740_993n, name: null, at: 0n };
    const file = await makeAvro(type as unknown as AvroSchema, [big]);
    const mapping = [
      { Column: 'id', Properties: { Path: '$.id' } },
      { Column: 'name', Properties: { Field: 'name' } },
      { Column: 'raw', Properties: { Path: '$.raw' } },
      { Column: 'inner', Properties: { Path: '$.inner.list[1]' } },
      { Column: 'code', Properties: { Path: '$.raw', Transform: 'BytesAsBase64' } },
      { Column: 'at', Properties: { Path: '$.at', Transform: 'DateTimeFromUnixMicroseconds' } },
      { Column: 'n', Properties: { Transform: 'SourceLineNumber' } },
    ];
    await local.rows(
      `.create table Avro ingestion avro mapping 'm' '${JSON.stringify(mapping).replaceAll("'", "\\'")}'`,
    );
    expect(await load('Avro', serve('/a.avro', file), { format: 'avro' })).toMatchObject({
      Status: 'Succeeded',
    });
    const byMapping = { format: 'avro', ingestionMappingReference: 'm' };
    const deflated = await makeAvro(schema, [record(2), record(3)], 'deflate');
    expect(await load('Avro', serve('/b.avro', deflated), byMapping)).toMatchObject({ Status: 'Succeeded' });
    expect(
      await local.rows(
        'Avro | order by id asc | project tostring(id), name, raw, tostring(inner), tostring(at), code, n',
      ),
    ).toEqual([
      ['2', 'n2', '', '2', '2024-01-02T03:04:05.1234560Z', 'AP8=', 1],
      ['3', 'n3', '', '2', '2024-01-02T03:04:05.1234560Z', 'AP8=', 2],
      ['9007199254740993', '', '', '{"list":[1,2]}', '', '', null],
    ]);
  });

  test('logical types with apacheavro alone, snappy, zstd; what is broken or unknown fails', async () => {
    await local.rows('.create table Apache (id:long, at:datetime, price:decimal)');
    const small: AvroSchema = {
      ...(schema as object),
      fields: [0, 4, 5].map((index) => (schema as { fields: object[] }).fields[index]),
    } as never;
    const snappy = await makeAvro(small, [record(7)], 'snappy');
    expect(await load('Apache', serve('/s.avro', snappy), { format: 'apacheavro' })).toMatchObject({
      Status: 'Succeeded',
    });
    expect(await local.rows('Apache | project id, tostring(at), tostring(price)')).toEqual([
      [7, '2024-01-02T03:04:05.1234560Z', '-3.125'],
    ]);
    await load('Apache', serve('/z.avro', await makeAvro(small, [record(10)], 'zstandard')), {
      format: 'avro',
    });
    expect(await local.rows('Apache | where id == 10 | project isnull(at), isnull(price)')).toEqual([
      [true, true],
    ]);
    const plain = await makeAvro(small, [record(8), record(9)]);
    const codes = [];
    for (const [name, body, format] of [
      ['x.avro', await makeAvro(small, [record(8)], 'xz'), 'apacheavro'],
      ['cut.avro', plain.subarray(0, -20), 'avro'],
      ['none.avro', Buffer.from('not avro at all'), 'avro'],
      ['empty.avro', await makeAvro(small, []), 'avro'],
    ] as const) {
      codes.push((await load('Apache', serve(`/${name}`, body), { format }))['ErrorCode']);
    }
    expect(codes).toEqual([
      'BadRequest_FormatNotSupported',
      'BadRequest_InvalidBlob',
      'BadRequest_InvalidBlob',
      'BadRequest_NoRecordsOrWrongFormat',
    ]);
    expect(await local.rows('Apache | count')).toEqual([[2]]);
  });
});

describe('zip', () => {
  test('every file of an archive, each with its header; the pattern chooses', async () => {
    await local.rows('.create table Zip (a:long, b:string)');
    const archive = makeZip([
      { name: 'one.csv', body: 'a,b\n1,x\n' },
      { name: 'folder/', body: '', method: 0 },
      { name: 'folder/two.csv', body: 'a,b\n2,y\n', method: 0 },
      { name: 'readme.txt', body: 'a,b\n3,z\n' },
    ]);
    const properties = { format: 'csv', ignoreFirstRecord: true };
    await load('Zip', serve('/all.zip', archive), properties);
    expect(await local.rows('Zip | order by a asc | project a')).toEqual([[1], [2], [3]]);
    await local.rows('.clear table Zip data');
    await load('Zip', serve('/some.csv.zip', archive), { ...properties, zipPattern: '*.csv' });
    await load('Zip', serve('/some.csv.zip', archive), { ...properties, zipPattern: '^readme' });
    expect(await local.rows('Zip | order by a asc | project a')).toEqual([[1], [2], [3]]);
  });

  test('an archive that can not be read, or has nothing to read, has a code of its own', async () => {
    const body = '1,x\n';
    const cases: readonly (readonly [string, Buffer, object?])[] = [
      ['encrypted', makeZip([{ name: 'a.csv', body, flags: 1 }])],
      ['deflate64', makeZip([{ name: 'a.csv', body, method: 9 }])],
      ['checksum', makeZip([{ name: 'a.csv', body, checksum: 1 }])],
      ['cut', makeZip([{ name: 'a.csv', body }]).subarray(0, 40)],
      ['empty', makeZip([])],
      ['nothing', makeZip([{ name: 'a.csv', body }]), { zipPattern: 'b.csv' }],
    ];
    const codes = [];
    for (const [name, bytes, properties] of cases)
      codes.push(
        (await load('Zip', serve(`/${name}.zip`, bytes), { format: 'csv', ...properties }))['ErrorCode'],
      );
    expect(codes).toEqual([
      ...Array.from({ length: 4 }, () => 'BadRequest_InvalidArchive'),
      'BadRequest_EmptyArchive',
      'BadRequest_EmptyArchive',
    ]);
    // The suffix alone decides: without it the archive is read as text.
    await load('Zip', serve('/hidden', makeZip([{ name: 'a.csv', body }])), { format: 'csv' });
    expect(await local.rows('Zip | where isnull(a) | count')).not.toEqual([[0]]);
  });
});

test('parquet: what each type becomes in each column type, and what it does not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kusto-parquet-'));
  try {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const file = join(folder, 'x.parquet');
    await connection.run(
      `copy (select 7::tinyint i8, 18446744073709551615::ubigint u64, 2.5::double f, true b, 1.5::decimal(9,2) di, 2.5::decimal(38,2) df,
        timestamp_ns '2024-01-02 03:04:05.123456789' ns, date '2024-01-02' as "day", timestamp '20000-01-01' far, '12' s, 'x' w, '{"a":1}'::json j, uuid '11111111-2222-3333-4444-555555555555' u,
        1.23456789012345678901::decimal(38,20) lossy, [1,2] l, {'a': {'b': 5}, 'c': 'y'} st, time '10:00' t, 'ab'::blob bl) to '${file}'`,
    );
    connection.closeSync();
    instance.closeSync();
    const url = serve('/x.parquet', await readFile(file));
    const u64 = '18446744073709551615';
    const day = '2024-01-02T00:00:00.0000000Z';
    const ns = '2024-01-02T03:04:05.1234567Z';
    const guid = '11111111-2222-3333-4444-555555555555';
    // In the order bool, int, long, real, decimal, datetime, guid, dynamic, string, timespan.
    const expected: Readonly<Record<string, readonly unknown[]>> = {
      i8: [true, 7, 7, 7, '7', '', '', '', '7', true],
      u64: [true, null, null, null, u64, '', '', '', u64, true],
      f: [true, 2, 2, 2.5, '2.5', '', '', '', '2.5', true],
      b: [true, null, null, null, '1', '', '', '', 'true', true],
      di: [true, 1, 1, 1.5, '1.5', '', '', '', '1.50', true],
      df: [null, null, 2, 2.5, '2.5', '', '', '', '2.50', true],
      ns: [null, null, null, null, '', ns, '', '', ns, true],
      day: [null, null, null, null, '', day, '', '', day, true],
      far: [null, null, null, null, '', '', '', '', '20000-01-01T00:00:00.0000000Z', true],
      s: [null, 12, 12, 12, '12', '', '', '12', '12', true],
      w: [null, null, null, null, '', '', '', 'x', 'x', true],
      j: [null, null, null, null, '', '', '', '{"a":1}', '{"a":1}', true],
      u: [null, null, null, null, '', '', guid, '', guid, true],
      l: [null, null, null, null, '', '', '', '[1,2]', '', true],
      st: [null, null, null, null, '', '', '', '{"a":{"b":5},"c":"y"}', '', true],
      t: [null, null, null, null, '', '', '', '', '', true],
      bl: [null, null, null, null, '', '', '', '', '', true],
      'st.a.b': [true, 5, 5, 5, '5', '', '', '', '5', true],
      'l[1]': [true, 2, 2, 2, '2', '', '', '', '2', true],
      'st.nope': [null, null, null, null, '', '', '', '', '', true],
    };
    const types = [
      'bool',
      'int',
      'long',
      'real',
      'decimal',
      'datetime',
      'guid',
      'dynamic',
      'string',
      'timespan',
    ];
    await local.rows(
      `.create table Pq (path:string, ${types.map((type) => `${type}_:${type}`).join(', ')}, n:long)`,
    );
    for (const path of Object.keys(expected)) {
      const mapping = [
        { Column: 'path', Properties: { ConstValue: path } },
        ...types.map((type) => ({ Column: `${type}_`, Properties: { Path: `$.${path}` } })),
        { Column: 'n', Properties: { Transform: 'SourceLineNumber' } },
      ];
      await local.post('Pq', url, {
        properties: { format: 'parquet', ingestionMapping: JSON.stringify(mapping) },
      });
    }
    await local.load(Object.keys(expected).length);
    const rows = await local.rows(
      'Pq | project path, bool_, int_, long_, real_, tostring(decimal_), tostring(datetime_), tostring(guid_), tostring(dynamic_), string_, isnull(timespan_), n',
    );
    const lossy = [{ Column: 'decimal_', Properties: { Path: '$.lossy' } }];
    expect(
      await load('Pq', url, { format: 'parquet', ingestionMapping: JSON.stringify(lossy) }),
    ).toMatchObject({
      ErrorCode: 'BadRequest_InvalidBlob',
      Details: expect.stringContaining('17 after the point') as string,
    });
    expect(Object.fromEntries(rows.map(([path, ...cells]) => [path, cells]))).toEqual(
      Object.fromEntries(Object.entries(expected).map(([path, cells]) => [path, [...cells, 1]])),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test(';AwsCredentials= is signed as S3 asks for it; a wrong key and an expired URL are forbidden', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kusto-s3-'));
  const s3 = await startS3({ folder, buckets: ['bucket'] });
  try {
    await s3.seedObjects('bucket', [{ key: "a b/it's (1)+ü!.json", body: '{"a":5}' }]);
    await local.rows('.create table Signed (a:long)');
    const { endpoint, accessKeyId, secretAccessKey } = s3.settings;
    const url = `${endpoint}/bucket/${encodeURIComponent("a b/it's (1)+ü!.json").replaceAll('%2F', '/')}`;
    const good = await load('Signed', `${url};AwsCredentials=${accessKeyId},${secretAccessKey}`, {});
    expect(good).toMatchObject({ Status: 'Succeeded', IngestionSourcePath: url });
    expect(await local.rows('Signed')).toEqual([[5]]);
    const wrong = await load('Signed', `${url};AwsCredentials=${accessKeyId},wrong`, {});
    expect(wrong).toMatchObject({ ErrorCode: 'Download_Forbidden', FailureStatus: 'Permanent' });
    const client = new S3Client({
      endpoint,
      region: s3.settings.region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
    const command = new GetObjectCommand({ Bucket: 'bucket', Key: "a b/it's (1)+ü!.json" });
    const expired = await getSignedUrl(client, command, {
      expiresIn: 60,
      signingDate: new Date(Date.now() - 3_600_000),
    });
    expect(await load('Signed', await getSignedUrl(client, command), {})).toMatchObject({
      Status: 'Succeeded',
    });
    expect(await load('Signed', expired, {})).toMatchObject({
      ErrorCode: 'Download_Forbidden',
      FailureStatus: 'Permanent',
    });
    client.destroy();
    const odd = await load('Signed', `${url};AwsCredentials=a,b,token`, {});
    expect(odd).toMatchObject({ ErrorCode: 'BadRequest_InvalidBlobUri' });
    expect(JSON.stringify([good, wrong, odd])).not.toMatch(/AwsCredentials=(?!ID)/);
  } finally {
    await s3.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

test('transforms of records: bags from arrays, what is not mapped, where it came from', async () => {
  await local.rows('.create table Bags (bag:dynamic, rest:dynamic, src:string, line:long, c:real)');
  const mapping = [
    { Column: 'bag', Properties: { Path: '$.pairs', Transform: 'PropertyBagArrayToDictionary' } },
    { Column: 'rest', Properties: { Path: '$', Transform: 'DropMappedFields' } },
    { Column: 'src', Properties: { Transform: 'SourceLocation' } },
    { Column: 'line', Properties: { Transform: 'SourceLineNumber' } },
    { Column: 'c', Properties: { ConstValue: '2.5' } },
  ];
  const pairs = [
    { Key: 'x', Value: 1 },
    { Key: 'y', Value: [2] },
  ];
  const record = { pairs, other: 'o', big: 1 };
  const lines = `${JSON.stringify(record)}\n\n${JSON.stringify({ other: 9 })}\n`.replace(
    '1}\n',
    '9007199254740993}\n',
  );
  const properties = { format: 'json', ingestionMapping: JSON.stringify(mapping) };
  expect(await load('Bags', serve('/bags.json', lines), properties)).toMatchObject({ Status: 'Succeeded' });
  expect(
    await local.rows('Bags | order by line asc | project tostring(bag), tostring(rest), src, line, c'),
  ).toEqual([
    ['{"x":1,"y":[2]}', '{"other":"o","big":9007199254740993}', `${local.sources.url}/bags.json`, 1, 2.5],
    ['', '{"other":9}', `${local.sources.url}/bags.json`, 2, 2.5],
  ]);
});

test('mappings: what a kind does not have, and types that the column can not take', async () => {
  await local.rows('.create table Map (a:long, s:string)');
  const url = serve('/map.json', '{"a":1,"s":"x"}');
  const csv = serve('/map.csv', '1,x\n');
  const code = async (format: string, mapping: object[]) =>
    (await load('Map', format === 'json' ? url : csv, { format, ingestionMapping: JSON.stringify(mapping) }))[
      'ErrorCode'
    ];
  expect(await code('csv', [{ Column: 'a', Properties: { Transform: 'SourceLineNumber' } }])).toBe(
    'BadRequest_InvalidMapping',
  );
  expect(await code('json', [{ Column: 's', Properties: { Transform: 'SourceLineNumber' } }])).toBe(
    'BadRequest_InvalidMapping',
  );
  expect(await code('json', [{ Column: 'a', Properties: { Transform: 'SourceLocation' } }])).toBe(
    'BadRequest_InvalidMapping',
  );
  expect(await code('json', [{ Column: 's', Properties: { Field: 's' } }])).toBe('BadRequest_InvalidMapping');
  expect(await code('json', [{ Column: 's', Properties: { Path: '$.s', Transform: 'BytesAsBase64' } }])).toBe(
    'BadRequest_InvalidMapping',
  );
  expect(await code('json', [{ Column: 's', Properties: { Path: '$..s' } }])).toBe(
    'BadRequest_InvalidMapping',
  );
  expect(await code('json', [{ Column: 'a', DataType: 'string', Properties: { Path: '$.a' } }])).toBe(
    'BadRequest_InconsistentMapping',
  );
  expect(await code('txt', [{ Column: 's', Properties: { Ordinal: '1' } }])).toBe(
    'BadRequest_InvalidMapping',
  );
  expect(await local.rows('Map | count')).toEqual([[0]]);
});

test('unix times keep 100 ns, decimals that can not be stored exactly fail their source', async () => {
  await local.rows('.create table Exact (t:datetime, d:decimal)');
  const mapping = [
    { Column: 't', Properties: { Path: '$.t', Transform: 'DateTimeFromUnixNanoseconds' } },
    { Column: 'd', Properties: { Path: '$.d' } },
  ];
  const properties = { format: 'json', ingestionMapping: JSON.stringify(mapping) };
  await load(
    'Exact',
    serve('/e.json', '{"t":1704164645123456789,"d":"12345678901234567890.12345678901234567"}'),
    properties,
  );
  expect(await local.rows('Exact | project tostring(t), tostring(d)')).toEqual([
    ['2024-01-02T03:04:05.1234567Z', '12345678901234567890.12345678901234567'],
  ]);
  for (const text of ['0.123456789012345678', '1e22'])
    expect(await load('Exact', serve('/f.json', `{"d":"${text}"}`), properties)).toMatchObject({
      ErrorCode: 'BadRequest_NotSupportedLocally',
    });
  expect(await local.rows('Exact | count')).toEqual([[1]]);
});

test('multijson: objects and arrays across pieces of the download, escapes, and what is neither', async () => {
  await local.rows('.create table Multi (a:long, s:string)');
  const good = '[{"a":1,"s":"x]}\\\\"},\n{"a":2,"s":"\\"{"}]{"a":3}{"a":4,"s":{"k":[1,{}]}}';
  // A long text puts the next object beyond the first piece.
  const long = `{"a":5,"s":"${'\\"'.repeat(400_000)}"}[{"a":6}]`;
  const properties = { format: 'multijson' };
  expect(await load('Multi', serve('/good.json', good + long), properties)).toMatchObject({
    Status: 'Succeeded',
  });
  expect(
    await local.rows('Multi | order by a asc | project a, s = substring(s, 0, 12), n = strlen(s)'),
  ).toEqual([
    [1, 'x]}\\', 4],
    [2, '"{', 2],
    [3, '', 0],
    [4, '{"k":[1,{}]}', 12],
    [5, '"'.repeat(12), 400_000],
    [6, '', 0],
  ]);
  for (const bad of ['[1]', '[{"a":1}', '{"a":1', '{"a":1}]', '"text"', '[[{"a":1}]]', '{"a":nope}'])
    expect([bad, await load('Multi', serve('/bad.json', bad), properties)]).toMatchObject([
      bad,
      { ErrorCode: 'BadRequest_InvalidBlob' },
    ]);
  const single = { format: 'singlejson' };
  expect(await load('Multi', serve('/two.json', '{"a":7}{"a":8}'), single)).toMatchObject({
    Status: 'Failed',
  });
  expect(await local.rows('Multi | count')).toEqual([[6]]);
});

test('limits: a source of more than 6 GB, a record of more than 64 MB, cells of more than 1 MiB', async () => {
  await local.rows('.create table Limits (s:string, d:dynamic)');
  const huge = await local.post('Limits', serve('/small.json', '{"s":"x"}'), { rawSize: 7 * 1024 ** 3 });
  await local.load(1);
  expect(await local.finalStatusOf(huge)).toMatchObject({ ErrorCode: 'BadRequest_FileTooLarge' });
  const record = serve('/record.txt', Buffer.alloc(65 * 1024 * 1024, 'x'));
  expect(await load('Limits', record, { format: 'raw' })).toMatchObject({
    ErrorCode: 'Stream_InputStreamTooLarge',
  });
  const cell = 'y'.repeat(1024 * 1024 + 1);
  await load('Limits', serve('/cell.json', JSON.stringify({ s: cell, d: [cell] })), {});
  expect(await local.rows('Limits | project strlen(s), isnull(d)')).toEqual([[1024 * 1024, true]]);
});
