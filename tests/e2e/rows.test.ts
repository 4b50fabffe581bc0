import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

let under: StackUnderTest;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-rows-'));
  under = await startStackUnderTest();
}, 60_000);

afterAll(async () => {
  await under?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A Parquet file of rows `{line, n}`. */
async function parquetFile(rows: number): Promise<Buffer> {
  const file = path.join(folder, `${rows}.parquet`);
  const connection = await DuckDBConnection.create();
  await connection.run(`copy (select 'x' as line, range as n from range(${rows})) to '${file}'`);
  connection.closeSync();
  return readFile(file);
}

/** A table with a column that its mapping fills with the path of the object. */
async function createTable(name: string, kind: 'json' | 'parquet'): Promise<void> {
  await under.createTable(name);
  await under.kusto.command(`.alter-merge table ${name} (Source:string)`);
  const columns = ['line', 'n'].map((Column) => ({ Column, Properties: { Path: `$.${Column}` } }));
  const mapping = [...columns, { Column: 'Source', Properties: { Transform: 'SourceLocation' } }];
  await under.kusto.command(
    `.create table ${name} ingestion ${kind} mapping 'm' '${JSON.stringify(mapping)}'`,
  );
}

const odd = ['plain', 'a b+c', 'größe', "it's 100%", 'k=v#1', 'f;g', 'a//b'];

test('what ADX made twice is found, and shown by object', async () => {
  await createTable('Twice', 'parquet');
  await under.upload(
    await Promise.all(
      odd.map(async (name, index) => ({ key: `twice/${name}.parquet`, body: await parquetFile(index + 1) })),
    ),
  );
  const load = {
    format: { type: 'parquet' },
    reconcile: { parquetFooters: true, sourcePathColumn: 'Source' },
    destination: { table: 'Twice', mapping: 'm' },
  };
  await under.putLoad('twice', load);
  under.stack.kusto.control.faults.addIngestionFault({ match: 'k%3Dv', action: 'deliverTwice', count: 1 });
  const { runId, summary } = await under.run('twice');
  expect(summary).toMatchObject({
    state: 'completedWithDiscrepancy',
    objects: { ingested: odd.length },
    rows: {
      tagged: 33,
      expected: 28,
      agrees: false,
      byObject: { differing: 1, differences: [{ key: 'twice/k=v#1.parquet', expected: 5, found: 10 }] },
    },
  });
  const recounted = await under.app.request('GET', `/api/runs/${runId}/rows`);
  expect(recounted.body).toEqual(summary!.rows);

  // Undone and loaded again, they agree.
  const undo = await under.app.request('POST', `/api/runs/${runId}/undo`);
  await expect
    .poll(
      async () => (await under.app.request('GET', `/api/operations/${undo.body.operationId}`)).body.state,
      {
        timeout: 60_000,
      },
    )
    .toBe('succeeded');
  const afterUndo = await under.app.request('GET', `/api/runs/${runId}/rows`);
  expect(afterUndo.body).toMatchObject({ tagged: 0, expected: 0, agrees: true, byObject: null });
  const again = await under.run('twice');
  expect(again.summary).toMatchObject({
    state: 'completed',
    rows: { tagged: 28, expected: 28, agrees: true, byObject: { differing: 0 } },
  });
});

test('lines that ADX drops without a word are not made up: the rows are not known, unless an object has none left', async () => {
  await createTable('Dropped', 'json');
  await under.upload([
    { key: 'dropped/good.json', body: Buffer.from('{"line":"x","n":1}\n') },
    { key: 'dropped/bad.json', body: Buffer.from('{"line":"x","n":\n{"line":"y","n":2}\n') },
  ]);
  await under.putLoad('dropped', {
    reconcile: { sourcePathColumn: 'Source' },
    destination: { table: 'Dropped', mapping: 'm' },
  });
  const { runId, summary } = await under.run('dropped');
  expect(summary).toMatchObject({
    state: 'completed',
    objects: { ingested: 2 },
    rows: { tagged: 2, expected: null, agrees: null, byObject: { differing: 0, differences: [] } },
  });
  // As when somebody purges them.
  await under.kusto.command('.drop extents <| .show table Dropped extents');
  expect((await under.app.request('GET', `/api/runs/${runId}/rows`)).body).toMatchObject({
    tagged: 0,
    expected: null,
    byObject: { differing: 2 },
  });
});

test('a column that is not there, and footers of what is no Parquet, are told before anything is loaded', async () => {
  await createTable('Column', 'json');
  await under.upload([{ key: 'column/a.json', body: Buffer.from('{"line":"x","n":1}\n') }]);
  await under.putLoad('column', {
    reconcile: { sourcePathColumn: 'Sauce' },
    destination: { table: 'Column', mapping: 'm' },
  });
  const { summary } = await under.run('column');
  expect(summary).toMatchObject({ state: 'failed', problem: { code: 'columnNotFound' } });
  expect(summary!.problem!.message).toContain('"Sauce"');
  const refused = await under.app.request('PUT', '/api/loads/column', {
    source: { bucket: 'e2e' },
    format: { type: 'json' },
    destination: { cluster: 'https://x.kusto.windows.net', database: 'd', table: 'T' },
    reconcile: { parquetFooters: true },
  });
  expect(refused.status).toBe(400);
  expect(refused.body.problems).toEqual([
    { field: 'reconcile.parquetFooters', message: expect.stringContaining('must be false unless') },
  ]);
});
