import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { QueueClient } from '@azure/storage-queue';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto({ retry: { attempts: 3, firstDelayMs: 600 } });
});
afterAll(() => local.stop());

const serve = (path: string, body: Buffer | string | { status: number }) => {
  local.sources.answers.set(path, body);
  return `${local.sources.url}${path}?X-Amz-Signature=secret`;
};
const lastBatch = () => local.kusto.control.batches().sealed.at(-1);

test('a malformed JSON line is dropped, a value of another type is null, a string is never null', async () => {
  await local.rows('.create table Json (a:long, b:string, t:datetime, d:dynamic, A:real)');
  const url = serve(
    '/j.json',
    '{"a":1,"b":"x","t":"2024-01-02","d":{"q":1},"A":2.5}\n{broken\n[1]\n{"a":"no","b":7,"t":5,"d":"s"}\n{"a":9007199254740993}\n',
  );
  const id = await local.post('Json', url);
  await local.load(1);
  expect(await local.finalStatusOf(id)).toMatchObject({
    Status: 'Succeeded',
    Owner: 'the loader',
    IngestionSourcePath: `${local.sources.url}/j.json`,
  });
  expect(
    await local.rows('Json | order by b desc | project tostring(a), b, isnull(t), tostring(d), A'),
  ).toEqual([
    ['1', 'x', false, '{"q":1}', 2.5],
    ['', '7', true, 's', null],
    ['9007199254740993', '', true, '', null],
  ]);
});

test('of two messages with the same ingest-by tag only one is loaded, also at the same time', async () => {
  await local.rows('.create table Once (a:long)');
  const properties = { tags: '["ingest-by:once"]', ingestIfNotExists: '["once"]' };
  const url = serve('/once.json', '{"a":1}');
  const ids = await Promise.all(Array.from({ length: 6 }, () => local.post('Once', url, { properties })));
  await local.load(6);
  const states = await Promise.all(ids.map(async (id) => (await local.finalStatusOf(id))['Status']));
  expect(states.filter((state) => state === 'Succeeded')).toHaveLength(1);
  expect(states.filter((state) => state === 'Skipped')).toHaveLength(5);
  expect(await local.rows('Once | count')).toEqual([[1]]);
});

test('a message that comes twice is loaded twice', async () => {
  await local.rows('.create table Twice (a:long)');
  const url = serve('/twice.json', '{"a":1}\n');
  const id = randomUUID();
  await local.post('Twice', url, { id });
  await local.post('Twice', url, { id });
  await local.load(2);
  expect(await local.rows('Twice | count')).toEqual([[2]]);
});

test('one bad source does not touch the others of its batch', async () => {
  await local.rows('.create table Mixed (a:long)');
  const properties = { format: 'multijson', tags: '["drop-by:run1"]' };
  const good = await local.post('Mixed', serve('/good.json', '[{"a":1},{"a":2}]'), { properties });
  const bad = await local.post('Mixed', serve('/bad.json', '{"a":3} {"a":'), { properties });
  const gone = await local.post('Mixed', `${local.sources.url}/gone.json?sig=1`, { properties });
  const denied = await local.post('Mixed', serve('/denied.json', { status: 403 }), { properties });
  const empty = await local.post('Mixed', serve('/empty.json', ''), { properties });
  const broken = await local.post('Mixed', serve('/broken.json.gz', 'no gzip'), { properties });
  const zipped = await local.post('Mixed', serve('/fine.json.gz', gzipSync('{"a":4}')), { properties });
  await local.load(7);
  expect(await local.finalStatusOf(good)).toMatchObject({ Status: 'Succeeded' });
  expect(await local.finalStatusOf(zipped)).toMatchObject({ Status: 'Succeeded' });
  expect(await local.finalStatusOf(bad)).toMatchObject({
    Status: 'Failed',
    ErrorCode: 'BadRequest_InvalidBlob',
    FailureStatus: 'Permanent',
  });
  expect(await local.finalStatusOf(gone)).toMatchObject({
    ErrorCode: 'Download_SourceNotFound',
    FailureStatus: 'Permanent',
  });
  expect(await local.finalStatusOf(denied)).toMatchObject({
    ErrorCode: 'Download_Forbidden',
    FailureStatus: 'Permanent',
  });
  expect(await local.finalStatusOf(empty)).toMatchObject({ ErrorCode: 'BadRequest_EmptyBlob' });
  expect(await local.finalStatusOf(broken)).toMatchObject({ ErrorCode: 'BadRequest_InvalidBlob' });
  expect(await local.rows('Mixed | summarize count(), sum(a)')).toEqual([[3, 7]]);
  expect(
    await local.rows(
      ".show table Mixed extents where tags has 'drop-by:run1' | summarize sum(RowCount), count()",
    ),
  ).toEqual([[3, 1]]);
  expect(JSON.stringify([await local.statusOf(denied), local.kusto.control.batches()])).not.toContain(
    'secret',
  );
  await local.rows(".drop extents <| .show table Mixed extents where tags has 'drop-by:run1'");
  expect(await local.rows('Mixed | count')).toEqual([[0]]);
});

test('what a table, database, mapping or format lacks is named', async () => {
  await local.rows('.create table Named (a:long)');
  const url = serve('/named.json', '{"a":1}');
  const table = await local.post('NoSuchTable', url);
  const database = await local.post('Named', url, { database: 'nosuch' });
  const mapping = await local.post('Named', url, { properties: { ingestionMappingReference: 'nope' } });
  const format = await local.post('Named', url, { properties: { format: 'orc' } });
  const kind = await local.post('Named', url, {
    properties: { ingestionMappingType: 'Csv', ingestionMappingReference: 'm' },
  });
  const tags = await local.post('Named', url, { properties: { tags: 'not json' } });
  await local.load(6);
  const codes = await Promise.all(
    [table, database, mapping, format, kind, tags].map(
      async (id) => (await local.finalStatusOf(id))['ErrorCode'],
    ),
  );
  expect(codes).toEqual([
    'BadRequest_TableNotExist',
    'BadRequest_DatabaseNotExist',
    'BadRequest_MappingReferenceWasNotFound',
    'BadRequest_FormatNotSupported',
    'BadRequest_InconsistentMapping',
    'BadRequest_MalformedIngestionProperty',
  ]);
});

test('a message whose properties are wrong is reported without being loaded', async () => {
  await local.rows('.create table Props (a:long)');
  const url = serve('/p.json', '{"a":1}');
  const mapping = '[{"Column":"a","Properties":{"Path":"$.a"}}]';
  const cases: readonly (readonly [string, string, object])[] = [
    ['BadRequest_EmptyBlobUri', '', {}],
    ['BadRequest_InvalidBlobUri', 'ftp://host/x', {}],
    ['BadRequest_DuplicateMapping', url, { ingestionMapping: mapping, ingestionMappingReference: 'm' }],
    ['BadRequest_MalformedIngestionProperty', url, { creationTime: 'yesterday' }],
    ['BadRequest_MalformedIngestionProperty', url, { ValidationPolicy: '[' }],
    ['BadRequest_MalformedIngestionProperty', url, { ingestIfNotExists: 'no list' }],
    ['BadRequest_InvalidMapping', url, { ingestionMapping: 'no JSON' }],
    ['BadRequest_FormatNotSupported', url, { format: 'w3clogfile' }],
  ];
  const ids = [];
  for (const [, source, properties] of cases)
    ids.push(await local.post('Props', source, { properties: { ...properties } }));
  await local.load(cases.length);
  const codes = await Promise.all(ids.map(async (id) => (await local.finalStatusOf(id))['ErrorCode']));
  expect(codes).toEqual(cases.map(([code]) => code));
  expect(await local.rows('Props | count')).toEqual([[0]]);
});

test('csv: quotes, line breaks, header, uneven records, ordinal mapping with constant and source', async () => {
  await local.rows('.create table Csv (a:long, b:string, c:real)');
  const body = 'a,b,c\r\n1,"x, ""y""\r\nz",1.5\r\n2,short\r\n\r\n3,long,2,more\r\n';
  await local.post('Csv', serve('/c.csv', body), { properties: { format: 'csv', ignoreFirstRecord: true } });
  await local.load(1);
  expect(await local.rows('Csv | order by a asc')).toEqual([
    [1, 'x, "y"\r\nz', 1.5],
    [2, 'short', null],
    [3, 'long', 2],
  ]);
  const strict = { format: 'csv', ValidationPolicy: '{"ValidationOptions":1,"ValidationImplications":0}' };
  const uneven = await local.post('Csv', serve('/u.csv', '1,a,2\n2,b\n'), { properties: strict });
  const open = await local.post('Csv', serve('/q.csv', '1,"never closed\n2,b\n'), {
    properties: { format: 'csv' },
  });
  const mapping = [
    { Column: 'b', Properties: { Ordinal: '0' } },
    { column: 'a', ConstValue: '42' },
    { Column: 'src', DataType: 'string', Properties: { Transform: 'SourceLocation' } },
  ];
  await local.post('Csv', serve('/m.tsv', 'mapped\tx\n'), {
    properties: { format: 'tsv', ingestionMapping: JSON.stringify(mapping) },
  });
  await local.load(3);
  expect(await local.finalStatusOf(uneven)).toMatchObject({ ErrorCode: 'Stream_WrongNumberOfFields' });
  expect(await local.finalStatusOf(open)).toMatchObject({ ErrorCode: 'Stream_ClosingQuoteMissing' });
  expect(await local.rows('Csv | where a == 42')).toEqual([
    [42, 'mapped', null, `${local.sources.url}/m.tsv`],
  ]);
  expect(await local.rows('Csv | count')).toEqual([[4]]);
});

test('json mapping by reference: paths, transforms, and the column it adds', async () => {
  await local.rows('.create table Mapped (id:long, at:datetime)');
  const mapping = [
    { Column: 'id', Properties: { Path: "$['the id']" } },
    { Column: 'at', Properties: { Path: '$.ts.ms', Transform: 'DateTimeFromUnixMilliseconds' } },
    { Column: 'firstName', DataType: 'string', Properties: { Path: '$.list[0].name' } },
    { Column: 'all', DataType: 'dynamic', Properties: { Path: '$' } },
  ];
  await local.rows(
    `.create table Mapped ingestion json mapping 'm' '${JSON.stringify(mapping).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`,
  );
  const url = serve('/m.json', '{"the id":7,"ts":{"ms":1704164645123},"list":[{"name":"n"}]}\n');
  await local.post('Mapped', url, { properties: { ingestionMappingReference: 'm' } });
  await local.load(1);
  expect(await local.rows('Mapped | project id, tostring(at), firstName, tolong(all["the id"])')).toEqual([
    [7, '2024-01-02T03:04:05.1230000Z', 'n', 7],
  ]);
});

test('3 million rows of parquet by column name', async () => {
  await local.rows(
    '.create table Flights (date:datetime, delay:long, origin:string, Distance:int, distance:real)',
  );
  const file = new URL('../../../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url);
  const good = await local.post('Flights', serve('/f.parquet', await readFile(file)), {
    properties: { format: 'parquet' },
  });
  const bad = await local.post('Flights', serve('/bad.parquet', 'PAR1 is only how it begins'), {
    properties: { format: 'parquet' },
  });
  await local.load(2);
  expect(await local.finalStatusOf(good)).toMatchObject({ Status: 'Succeeded' });
  expect(await local.finalStatusOf(bad)).toMatchObject({ ErrorCode: 'BadRequest_InvalidBlob' });
  const [row] = await local.rows(
    "Flights | summarize count(), countif(isnull(['date'])), countif(isnull(Distance)), countif(distance > 0)",
  );
  expect(row).toEqual([3_000_000, 0, 3_000_000, 3_000_000]);
});

test('batches seal by count, time and the early reasons', async () => {
  await local.rows('.create table Batched (a:long)');
  await local.rows(
    `.alter table Batched policy ingestionbatching '{"MaximumBatchingTimeSpan":"00:00:10","MaximumNumberOfItems":2}'`,
  );
  const url = serve('/b.json', '{"a":1}');
  const post = (options: object) => local.post('Batched', url, options);
  const ids = [
    await post({}),
    await post({}),
    await post({ rawSize: null }),
    await post({ properties: { tags: '["ingest-by:x"]' } }),
    await post({ flushImmediately: true }),
    await post({}),
  ];
  // Ten seconds of batching, divided by 60.
  for (const id of ids) expect(await local.finalStatusOf(id)).toMatchObject({ Status: 'Succeeded' });
  await local.load(6);
  const sealed = local.kusto.control.batches().sealed.filter((batch) => batch.table === 'Batched');
  expect(sealed.map((batch) => batch.sealReason).sort()).toEqual([
    'count',
    'flushImmediately',
    'ingestByTag',
    'time',
    'unknownSize',
  ]);
  const skipped = await post({ properties: { ingestIfNotExists: '["x"]' } });
  await local.load(1);
  expect(await local.finalStatusOf(skipped)).toMatchObject({ Status: 'Skipped' });
  expect(await local.rows('Batched | count')).toEqual([[6]]);
});

test('a transient failure is tried again, and given up in the end', async () => {
  await local.rows('.create table Transient (a:long)');
  const url = serve('/t.json', { status: 503 });
  const recovers = await local.post('Transient', url);
  await local.load(0);
  while (local.kusto.control.stats().transientRetries === 0) {
    local.kusto.control.flush();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  serve('/t.json', '{"a":1}');
  expect(await local.finalStatusOf(recovers)).toMatchObject({ Status: 'Succeeded' });
  const exhausted = await local.post('Transient', serve('/e.json', { status: 500 }));
  await local.load(2);
  expect(await local.finalStatusOf(exhausted)).toMatchObject({
    Status: 'Failed',
    ErrorCode: 'General_RetryAttemptsExceeded',
    FailureStatus: 'Exhausted',
  });
  expect(local.sources.requests.filter((path) => path === '/e.json')).toHaveLength(3);
});

test('a body that breaks off is tried again, and none of its rows stays', async () => {
  await local.rows('.create table Cut (a:long)');
  local.sources.answers.set('/cut.json', { cut: '{"a":1}\n'.repeat(1_000) });
  const id = await local.post('Cut', `${local.sources.url}/cut.json?sig=1`);
  await local.load(1);
  expect(await local.finalStatusOf(id)).toMatchObject({
    ErrorCode: 'General_RetryAttemptsExceeded',
    Details: expect.stringContaining('Download_UnknownError') as string,
  });
  expect(await local.rows('Cut | count')).toEqual([[0]]);
});

test('status goes to the queues when the message says so, and only failures when it says that', async () => {
  await local.rows('.create table Reported (a:long)');
  const resources = await local.rows('.get ingestion resources');
  const read = async (kind: string) => {
    const found: Record<string, unknown>[] = [];
    for (const [, url] of resources.filter(([name]) => name === kind)) {
      const { receivedMessageItems } = await new QueueClient(String(url)).receiveMessages({
        numberOfMessages: 32,
      });
      found.push(
        ...receivedMessageItems.map(
          (item) =>
            JSON.parse(Buffer.from(item.messageText, 'base64').toString('utf8')) as Record<string, unknown>,
        ),
      );
    }
    return found;
  };
  const url = serve('/r.json', '{"a":1}');
  const all = await local.post('Reported', url, { reportMethod: 0, reportLevel: 2 });
  await local.post('Reported', url, { reportMethod: 0, reportLevel: 0 });
  await local.post('Reported', url, { reportMethod: 0, reportLevel: 1 });
  const failed = await local.post('Reported', `${local.sources.url}/missing.json?x`, {
    reportMethod: 0,
    reportLevel: 0,
  });
  await local.load(4);
  expect((await read('SuccessfulIngestionsQueue')).map((message) => message['IngestionSourceId'])).toEqual([
    all,
  ]);
  expect(await read('FailedIngestionsQueue')).toEqual([
    expect.objectContaining({
      IngestionSourceId: failed,
      ErrorCode: 'Download_SourceNotFound',
      FailureStatus: 'Permanent',
      Table: 'Reported',
      ShouldRetry: false,
    }),
  ]);
});

test('an unreadable message is dropped, a missing status entity is not created', async () => {
  await local.rows('.create table Odd (a:long)');
  const [, queueUrl] =
    (await local.rows('.get ingestion resources')).find(
      ([name]) => name === 'SecuredReadyForAggregationQueue',
    ) ?? [];
  await new QueueClient(String(queueUrl)).sendMessage('this is not base64 of JSON');
  const id = await local.post('Odd', serve('/o.json', '{"a":1}'), { withEntity: false });
  await local.load(2);
  expect(local.kusto.control.stats().dropped.at(-1)?.reason).toMatch(/not base64/);
  expect(local.kusto.control.stats().statusReportsLost).toBe(1);
  await expect(local.statusOf(id)).rejects.toMatchObject({ statusCode: 404 });
  expect(lastBatch()).toMatchObject({ state: 'committed', rows: 1 });
});
