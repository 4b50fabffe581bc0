import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeV1QueryAnswer } from '../../../dev/kusto/http/answers.ts';
import { KustoError } from '../../../dev/kusto/kusto-error.ts';
import { type KqlEndpoint, startKqlEndpoint } from './kql-endpoint.ts';

let kql: KqlEndpoint;
beforeAll(async () => {
  kql = await startKqlEndpoint();
  await kql.local.rows(
    '.create table V (b:bool, i:int, l:long, r:real, m:decimal, t:datetime, s:timespan, g:guid, d:dynamic, x:string)',
  );
  await kql.local.rows(`.ingest inline into table V <|
true,-2147483648,9007199254740993,1.5,12345678901234567890.12345678901234567,2024-01-02T03:04:05.1234567Z,-1.02:03:04.0000005,74BE27DE-1E4E-49D9-B579-FE0B331D3642,"{""b"":1,""2"":[9007199254740993,null],""1"":""x""}","a ""b"""
false,2147483647,-9223372036854775808,NaN,-0.5,0001-01-01T00:00:00Z,00:00:00,,[],
,,,Infinity,,9999-12-31T23:59:59.9999999Z,10675199.02:48:05.4775807,,,
,,,-Infinity,0,,,,5,`);
});
afterAll(() => kql.local.stop());

/** Column, and its cells in v2 from the first row to the last. */
const cells: readonly (readonly [column: string, rows: string])[] = [
  ['b', '[[true],[false],[null],[null]]'],
  ['i', '[[-2147483648],[2147483647],[null],[null]]'],
  ['l', '[[9007199254740993],[-9223372036854775808],[null],[null]]'],
  ['r', '[[1.5],["NaN"],["Infinity"],["-Infinity"]]'],
  ['m', '[["12345678901234567890.12345678901234567"],["-0.5"],[null],["0"]]'],
  [
    't',
    '[["2024-01-02T03:04:05.1234567Z"],["0001-01-01T00:00:00.0000000Z"],["9999-12-31T23:59:59.9999999Z"],[null]]',
  ],
  ['s', '[["-1.02:03:04.0000005"],["00:00:00"],["10675199.02:48:05.4775807"],[null]]'],
  ['g', '[["74be27de-1e4e-49d9-b579-fe0b331d3642"],[null],[null],[null]]'],
  ['d', '[[{"b":1,"2":[9007199254740993,null],"1":"x"}],[[]],[null],[5]]'],
  ['x', '[["a \\"b\\""],[""],[""],[""]]'],
];

const inOrder = 'V | extend n = case(r == 1.5, 0, isnan(r), 1, r > 0, 2, 3) | sort by n asc';

test.each(cases())('v2 carries %s as it is stored', async (column, rows) => {
  expect(await kql.rawRows(`${inOrder} | project ${column}`)).toBe(rows);
});

function cases() {
  return cells.map(([column, rows]): [string, string] => [column, rows]);
}

test('v1 carries a bool as 0 or 1 and a dynamic as text; the types have their .NET names', async () => {
  const { status, text } = await kql.post('v1', { csl: `${inOrder} | take 1` });
  expect(status).toBe(200);
  expect(text).toContain('9007199254740993,1.5,"12345678901234567890.12345678901234567"');
  const { Tables } = JSON.parse(text) as {
    Tables: {
      TableName: string;
      Columns: { ColumnName: string; DataType: string; ColumnType: string }[];
      Rows: unknown[][];
    }[];
  };
  expect(Tables.map((table) => table.TableName)).toEqual(['Table_0', 'Table_1', 'Table_2', 'Table_3']);
  const [data, , status_, contents] = Tables;
  expect(
    data?.Columns.slice(0, 10).map(
      (column) => `${column.ColumnName}:${column.DataType}:${column.ColumnType}`,
    ),
  ).toEqual([
    'b:SByte:bool',
    'i:Int32:int',
    'l:Int64:long',
    'r:Double:real',
    'm:SqlDecimal:decimal',
    't:DateTime:datetime',
    's:TimeSpan:timespan',
    'g:Guid:guid',
    'd:Object:dynamic',
    'x:String:string',
  ]);
  expect(data?.Rows[0]?.[0]).toBe(1);
  expect(data?.Rows[0]?.[8]).toBe('{"b":1,"2":[9007199254740993,null],"1":"x"}');
  expect(status_?.Columns.map((column) => column.ColumnName)).toContain('StatusDescription');
  expect(contents?.Rows.map((row) => row.slice(0, 3))).toEqual([
    [0, 'QueryResult', 'PrimaryResult'],
    [1, 'QueryProperties', '@ExtendedProperties'],
    [2, 'QueryStatus', 'QueryStatus'],
  ]);
});

test('dynamics keep the order of their keys and every digit of a long through functions', async () => {
  const json = '{"z":9007199254740993,"10":[1.50,{"b":null}],"2":"\\u00e9"}';
  expect(await kql.rawRows(`print parse_json(${JSON.stringify(json)})`)).toBe(
    '[[{"z":9007199254740993,"10":[1.5,{"b":null}],"2":"é"}]]',
  );
  expect(await kql.rawRows(`print bag_keys(parse_json(${JSON.stringify(json)}))`)).toBe('[[["z","10","2"]]]');
  expect(await kql.rawRows(`print tostring(parse_json(${JSON.stringify(json)}).z)`)).toBe(
    '[["9007199254740993"]]',
  );
});

test('what a query made can be stored and read again', async () => {
  await kql.local.rows(`.set W <| ${inOrder} | project-away n`);
  const again = 'W | extend n = case(r == 1.5, 0, isnan(r), 1, r > 0, 2, 3) | sort by n asc';
  // The JSON reader of ingestion moves keys that look like numbers to the front.
  for (const [column, rows] of cells.filter(([name]) => name !== 'd'))
    expect(await kql.rawRows(`${again} | project ${column}`)).toBe(rows);
});

test('query parameters are values of their type', async () => {
  const query =
    'declare query_parameters(n:long, s:string = "none", t:datetime = datetime(2024-01-01), d:dynamic = dynamic([]), b:bool = false); print n, s, t, d, b';
  expect(await kql.rawRows(query, { n: '9007199254740993' })).toBe(
    '[[9007199254740993,"none","2024-01-01T00:00:00.0000000Z",[],false]]',
  );
  const given = {
    n: 'long(5)',
    s: 'it\'s "so"',
    t: 'datetime(2024-02-03 04:05)',
    d: 'dynamic(["x"])',
    b: 'true',
  };
  expect(await kql.rawRows(query, given)).toBe(
    '[[5,"it\'s \\"so\\"","2024-02-03T04:05:00.0000000Z",["x"],true]]',
  );
  expect(await kql.rawRows(query, { n: 7, s: '"quoted"' })).toContain('[[7,"quoted"');
  expect(await kql.error(query, { n: 'five' })).toMatchObject({ status: 400, '@permanent': true });
  expect(String((await kql.error(query, {}))['@message'])).toContain("'n'");
});

test('a query of more than 500,000 rows is cut and reported as failed', async () => {
  const { status, text } = await kql.post('v2', { csl: 'range x from 1 to 500001 step 1' });
  const completion = text.slice(text.lastIndexOf('{"FrameType"'));
  expect({ status, rows: text.split('],[').length }).toEqual({ status: 200, rows: 500_000 });
  expect(completion).toMatch(/"HasErrors":true.*"code":"LimitsExceeded".*E_QUERY_RESULT_SET_TOO_LARGE/);
});

test('v1 reports a cut query in its status, as an error', () => {
  const limit = new KustoError('LimitsExceeded', 'too many');
  const answer = makeV1QueryAnswer({ columns: [], rows: [], limit }, 'activity', 'request');
  expect(JSON.stringify(answer)).toMatch(/,2,"Error",-?\d+,"too many"/);
});
