import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, KustoConnectionStringBuilder } from 'azure-kusto-data';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startKusto } from '../../../dev/kusto/index.ts';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto();
});
afterAll(() => local.stop());

const rows = (text: string) => local.rows(text);

test('tables: create, merge, show, drop; names keep their case and their blanks', async () => {
  await rows(".create table Foo (a:long, b:string) with (folder='f', docstring='d')");
  await rows('.create table foo (A:int)');
  await rows(".create table ['a table'] (['a b']:string, a:real)");
  expect(await rows('.show tables')).toEqual([
    ['Foo', 'local', 'f', 'd'],
    ['a table', 'local', '', ''],
    ['foo', 'local', '', ''],
  ]);
  await expect(rows('.create table Foo (a:long)')).rejects.toThrow(/BadRequest_EntityAlreadyExists/);
  await rows('.create-merge table Foo (b:string, c:datetime)');
  await rows('.alter-merge table Foo (e:dynamic)');
  await expect(rows('.alter-merge table Nope (e:dynamic)')).rejects.toThrow(/BadRequest_EntityNotFound/);
  await expect(rows('.create-merge table Foo (a:string)')).rejects.toThrow(/'a'.*'long'/);
  await expect(rows('.create table Bad (a:nonsense)')).rejects.toThrow(/nonsense/);
  expect((await rows('.show table Foo cslschema'))[0]?.[1]).toBe('a:long,b:string,c:datetime,e:dynamic');
  expect(JSON.parse(String((await rows('.show table foo schema as json'))[0]?.[1]))).toEqual({
    Name: 'foo',
    OrderedColumns: [{ Name: 'A', Type: 'System.Int32', CslType: 'int' }],
  });
  await rows(".ingest inline into table ['a table'] <| x y,1.5");
  expect(await rows("['a table'] | project ['a b'], a")).toEqual([['x y', 1.5]]);
  const schema = JSON.parse(String((await rows('.show database local schema as json'))[0]?.[0])) as {
    Databases: Record<string, { Tables: object }>;
  };
  expect(Object.keys(schema.Databases['local']?.Tables ?? {})).toEqual(['Foo', 'a table', 'foo']);
  await rows('.drop table foo');
  await rows('.drop table foo ifexists');
  await expect(rows('.drop table foo')).rejects.toThrow(/'foo'.*not found/);
  expect(await rows('.show tables | where TableName startswith "f" | count')).toEqual([[1]]);
});

test('there are no update policies and no materialized views, and the endpoint says so', async () => {
  await rows('.create table ["no policy"] (a:long)');
  expect(await rows('.show table * policy update | where EntityName == "[local].[no policy]"')).toEqual([
    ['UpdatePolicy', '[local].[no policy]', 'null', '', 'Table'],
  ]);
  expect(await rows('.show materialized-views')).toEqual([]);
});

test('mappings: create, replace, show, drop', async () => {
  await rows('.create table M (a:long)');
  const mapping = `[{"Column":"a","Properties":{"Path":"$.a"}}]`;
  await rows(`.create table M ingestion json mapping "m" '${mapping}'`);
  await expect(rows(`.create table M ingestion json mapping "m" '${mapping}'`)).rejects.toThrow(
    /AlreadyExists/,
  );
  await rows(`.create-or-alter table M ingestion json mapping "m" '${mapping.replace('$.a', '$.b')}'`);
  expect(await rows('.show table M ingestion json mapping "m" | project Name, Kind, Table')).toEqual([
    ['m', 'Json', 'M'],
  ]);
  expect(String((await rows('.show table M ingestion json mapping "m"'))[0]?.[2])).toContain('$.b');
  await expect(rows(`.create table M ingestion json mapping "bad" '[{"Column":"a"}]'`)).rejects.toThrow(
    /BadRequest_InvalidMapping.*'a'/,
  );
  await rows('.drop table M ingestion json mapping "m"');
  expect(await rows('.show table M ingestion mappings')).toEqual([]);
  await expect(rows('.show table M ingestion json mapping "m"')).rejects.toThrow(/EntityNotFound/);
});

test('policies: alter, merge, delete, and their ranges', async () => {
  await rows('.create table P (a:long)');
  await rows(
    `.alter table P policy ingestionbatching '{"MaximumBatchingTimeSpan":"00:00:30","MaximumNumberOfItems":10}'`,
  );
  await rows(`.alter-merge table P policy ingestionbatching '{"MaximumRawDataSizeMB":200}'`);
  const [row] = await rows('.show table P policy ingestionbatching');
  expect(JSON.parse(String(row?.[2]))).toEqual({
    MaximumBatchingTimeSpan: '00:00:30',
    MaximumNumberOfItems: 10,
    MaximumRawDataSizeMB: 200,
  });
  await expect(
    rows(`.alter table P policy ingestionbatching '{"MaximumBatchingTimeSpan":"00:00:05"}'`),
  ).rejects.toThrow(/MaximumBatchingTimeSpan/);
  await rows('.alter table P policy streamingingestion enable');
  expect(String((await rows('.show table P policy streamingingestion'))[0]?.[2])).toContain(
    '"IsEnabled":true',
  );
  await rows('.delete table P policy ingestionbatching');
  expect((await rows('.show table P policy ingestionbatching'))[0]?.[2]).toBe('null');
});

test('extents: tags, has and contains, drop, clear, details', async () => {
  await rows('.create table E (a:long)');
  await rows(`.ingest inline into table E with (tags='["drop-by:Run1","x"]') <| 1\n2`);
  await rows(`.ingest inline into table E with (tags='["drop-by:run2"]') <| 3`);
  expect(await rows(".show table E extents where tags has 'drop-by:run1' | count")).toEqual([[0]]);
  expect(await rows(".show table E extents where tags contains 'RUN' | summarize sum(RowCount)")).toEqual([
    [3],
  ]);
  expect(
    await rows(".show table E extents where tags has 'x' and tags has 'drop-by:Run1' | project RowCount"),
  ).toEqual([[2]]);
  expect(await rows('E | where extent_tags() has "run2" | project a')).toEqual([[3]]);
  expect(await rows('.show table E details | project TotalExtents, TotalRowCount')).toEqual([[2, 3]]);
  expect(await rows(".drop extents <| .show table E extents where tags has 'x'")).toHaveLength(1);
  expect(await rows('E')).toEqual([[3]]);
  await rows('.clear table E data');
  expect(await rows('E | count')).toEqual([[0]]);
  expect(await rows('.show table E extents | summarize sum(RowCount)')).toEqual([[0]]);
});

test('set-or-append and set-or-replace', async () => {
  await rows('.set-or-append Made <| print a=1, t=datetime(2024-01-02), d=dynamic([1])');
  await rows('.set-or-append Made <| print a=2, t=datetime(null), d=dynamic(null)');
  expect(await rows('Made | order by a asc | project a, tostring(t), tostring(d)')).toEqual([
    [1, '2024-01-02T00:00:00.0000000Z', '[1]'],
    [2, '', ''],
  ]);
  await rows('.set-or-replace Made <| Made | where a == 2 | extend a = a + 1');
  expect(await rows('Made | project a')).toEqual([[3]]);
  await expect(rows('.set-or-append Made <| print "x"')).rejects.toThrow(/schema does not match/);
});

test('what is not implemented is refused by name', async () => {
  await expect(rows('.create function f() { 1 }')).rejects.toThrow(/'.create function f'/);
  await expect(rows('.show journal')).rejects.toThrow(/'.show journal'/);
  await expect(rows('.show journal | where secret')).rejects.toThrow(/^(?!.*secret)/);
});

test('a file survives a restart: rows, names, mappings, policies, extents, queues', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kusto-file-'));
  const file = join(folder, 'db', 'kusto.duckdb');
  const start = () => startKusto({ azurite: local.azurite.settings, folder: file, profile: 'single' });
  const run = async (endpoint: string, text: string) => {
    const client = new Client(new KustoConnectionStringBuilder(endpoint));
    const [table] = (await client.execute('local', text)).primaryResults;
    client.close();
    return table?._rows.map((row) => row as unknown[]);
  };
  try {
    const first = await start();
    const { endpoint } = first.settings;
    await run(endpoint, '.create table Kept (a:long, A:string)');
    await run(
      endpoint,
      `.create table Kept ingestion csv mapping "m" '[{"Column":"a","Properties":{"Ordinal":"0"}}]'`,
    );
    await run(endpoint, `.alter table Kept policy ingestionbatching '{"MaximumNumberOfItems":7}'`);
    await run(endpoint, `.ingest inline into table Kept with (tags='["drop-by:k"]') <| 1,x`);
    const [queue] = (await run(endpoint, '.get ingestion resources')) ?? [];
    await first.stop();
    const second = await start();
    try {
      const again = second.settings.endpoint;
      await run(again, '.create-merge table Kept (b:real)');
      await run(again, '.ingest inline into table Kept <| 2,y,1.5');
      expect(await run(again, 'Kept | order by a asc | project a, A, b, tostring(extent_tags())')).toEqual([
        [1, 'x', null, '["drop-by:k"]'],
        [2, 'y', 1.5, '[]'],
      ]);
      expect(await run(again, '.show table Kept ingestion csv mapping "m"')).toHaveLength(1);
      expect(String((await run(again, '.show table Kept policy ingestionbatching'))?.[0]?.[2])).toContain(
        ':7',
      );
      const [queueAgain] = (await run(again, '.get ingestion resources')) ?? [];
      expect(String(queueAgain?.[1]).split('?')[0]).toBe(String(queue?.[1]).split('?')[0]);
    } finally {
      await second.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
