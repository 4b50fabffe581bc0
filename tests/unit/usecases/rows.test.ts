import { beforeEach, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { recountRows } from '../../../shared/usecases/count-rows.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { putObjects, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

const start = () => ({ test: createTestLoader(), orchestrations: createMemoryOrchestrations() });
let under: ReturnType<typeof start>;

beforeEach(() => {
  under = start();
});

const COLUMN = { sourcePathColumn: 'Source' };
const FOOTERS = { parquetFooters: true };

function load(reconcile: object, more: object = {}, format = 'parquet') {
  return putLoad(
    under.test.loader,
    'flights',
    definitionOf({ format: { type: format }, reconcile, ...more }),
  );
}

/** Puts `in/000` and so on, each of so many rows by its footer, and as many that arrive. */
function putParquet(...rows: readonly number[]): void {
  putObjects(under.test, rows.length);
  for (const [index, count] of rows.entries()) {
    const key = `in/${String(index).padStart(3, '0')}`;
    under.test.source.setParquetRows(key, count);
    under.test.ingestion.setRowsOf(`/${key}`, count);
  }
}

const rowsOfOutcomes = async (runId: string) => {
  const { objects } = await listObjects(under.test.loader, runId, { state: null, limit: 100, after: null });
  return Object.fromEntries(objects.map(({ key, rows }) => [key, rows]));
};

test('rows in the table are compared with those of the footers', async () => {
  await load(FOOTERS);
  putParquet(10, 20, 30);
  const summary = await runLoad(under.test, under.orchestrations);
  expect(summary.state).toBe('completed');
  expect(summary.rows).toMatchObject({
    tagged: 60,
    expected: 60,
    ofThisRun: 60,
    agrees: true,
    byObject: null,
  });
  expect(await rowsOfOutcomes(summary.runId)).toEqual({ 'in/000': 10, 'in/001': 20, 'in/002': 30 });
});

test('rows that came twice, or not at all, are a discrepancy', async () => {
  await load(FOOTERS);
  putParquet(10, 20, 30);
  under.test.ingestion.setRowsOf('/in/001', 40);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    state: 'completedWithDiscrepancy',
    rows: { tagged: 80, expected: 60, agrees: false },
  });
});

test('where the footer of one object is not known, no number is made up', async () => {
  await load(FOOTERS);
  putParquet(10, 20);
  under.test.source.put({ key: 'in/more' });
  under.test.ingestion.setRowsOf('/in/more', 5);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    state: 'completed',
    rows: { tagged: 35, expected: null, ofThisRun: null, agrees: null },
  });
});

test('footers that can not be read are tried again; for good, they keep nothing from being accounted for, and are told', async () => {
  await load(FOOTERS);
  putParquet(10, 20);
  under.test.source.failNext('countParquetRows', new LoaderError('sourceUnavailable', 'HTTP 503'));
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({ rows: { expected: 30 } });
  expect(under.test.logged.join('\n')).not.toContain('footersNotRead');
  under.test.source.put({ key: 'in/more' });
  under.test.source.failNext('countParquetRows', new LoaderError('sourceUnavailable', 'HTTP 503'), 1000);
  const summary = await runLoad(under.test, under.orchestrations);
  expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 1 }, rows: { expected: null } });
  expect(under.test.logged.join('\n')).toContain('footersNotRead');
});

test('without a way to know it, nothing is read from the bucket', async () => {
  await load({});
  putParquet(10, 20);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    rows: { tagged: 30, expected: null },
  });
  expect(under.test.source.callCounts.countParquetRows).toBe(0);
});

test('with a column for the path a difference is shown by object', async () => {
  await load({ ...FOOTERS, ...COLUMN });
  putParquet(10, 20, 30);
  under.test.ingestion.setRowsOf('/in/001', 40);
  under.test.ingestion.setRowsOf('/in/002', 10);
  const { state, rows } = await runLoad(under.test, under.orchestrations);
  // The sums agree by chance.
  expect(rows).toMatchObject({ tagged: 60, expected: 60, agrees: true });
  expect(rows.byObject?.differing).toBe(2);
  expect([...rows.byObject!.differences].sort((a, b) => a.found - b.found)).toEqual([
    { key: 'in/002', expected: 30, found: 10 },
    { key: 'in/001', expected: 20, found: 40 },
  ]);
  expect(state).toBe('completedWithDiscrepancy');
});

test('rows of an object that has failed are shown by object, for a later run brings them again', async () => {
  await load({ ...FOOTERS, ...COLUMN });
  putParquet(10, 20);
  const idOf = (key: string) =>
    under.test.ingestion.messages.find(({ url }) => new URL(url).pathname.endsWith(key))!.sourceId;
  const { runId, state, rows } = await runLoad(under.test, under.orchestrations, {
    whenIdle: () => {
      under.test.ingestion.setStatus(idOf('in/001'), { status: 'Failed', failureStatus: 'Permanent' });
      under.test.ingestion.settleAll();
    },
  });
  expect([state, rows.byObject]).toEqual(['completedWithFailures', { differing: 0, differences: [] }]);
  // A second delivery of the same message inside ADX, after the first had been reported as failed.
  under.test.ingestion.setStatus(idOf('in/001'), { status: 'Succeeded' });
  expect((await recountRows(under.test.loader, runId)).byObject).toEqual({
    differing: 1,
    differences: [{ key: 'in/001', expected: 0, found: 20 }],
  });
});

test('an object of unknown rows that holds data and has none in the table is a discrepancy', async () => {
  await load(COLUMN, {}, 'json');
  putParquet(10, 0);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    state: 'completedWithDiscrepancy',
    rows: {
      expected: null,
      byObject: { differing: 1, differences: [{ key: 'in/001', expected: null, found: 0 }] },
    },
  });
});

test('a header alone makes no row, and is no discrepancy', async () => {
  await putLoad(
    under.test.loader,
    'flights',
    definitionOf({ format: { type: 'csv', ignoreFirstRecord: true }, reconcile: COLUMN }),
  );
  putParquet(10, 0);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    state: 'completed',
    rows: { byObject: { differing: 0 } },
  });
});

test('runs that share a tag are compared with what all of them have loaded', async () => {
  await load(FOOTERS, { tagWindow: 'day' });
  putParquet(10);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    rows: { tagged: 10, expected: 10, agrees: true },
  });
  under.test.source.put({ key: 'in/later' });
  under.test.source.setParquetRows('in/later', 7);
  under.test.ingestion.setRowsOf('/in/later', 7);
  expect(await runLoad(under.test, under.orchestrations)).toMatchObject({
    rows: { tagIsThisRunOnly: false, ofThisRun: 7, tagged: 17, expected: 17, agrees: true },
  });
});

test('the rows of an old run are counted again without a look at the runs since', async () => {
  await load(FOOTERS, { tagWindow: 'day' });
  putParquet(10);
  const { runId } = await runLoad(under.test, under.orchestrations);
  under.test.clock.advance(2 * 3_600_000);
  under.test.source.put({ key: 'in/later' });
  under.test.source.setParquetRows('in/later', 7);
  under.test.ingestion.setRowsOf('/in/later', 7);
  const { runId: sameDay } = await runLoad(under.test, under.orchestrations);
  for (let day = 0; day < 5; day += 1) {
    under.test.clock.advance(25 * 3_600_000);
    await runLoad(under.test, under.orchestrations);
  }
  const { runs } = under.test.loader;
  const seen: string[] = [];
  const listRuns: typeof runs.listRuns = async (options) => {
    const page = await runs.listRuns(options);
    seen.push(...page.runs.map((run) => run.runId));
    return page;
  };
  const loader = { ...under.test.loader, runs: { ...runs, listRuns } };
  expect(await recountRows(loader, runId)).toMatchObject({ tagged: 17, expected: 17, agrees: true });
  expect(seen).toEqual([sameDay, runId]);
});

test('the rows of an ended run can be counted again', async () => {
  await load(FOOTERS);
  putParquet(10, 20);
  const { runId, rows } = await runLoad(under.test, under.orchestrations);
  expect(await recountRows(under.test.loader, runId)).toEqual(rows);
  under.test.ingestion.setRowsOf('/in/000', 20);
  expect(await recountRows(under.test.loader, runId)).toMatchObject({
    tagged: 40,
    expected: 30,
    agrees: false,
  });
  await expect(recountRows(under.test.loader, 'flights-20260131T000000Z-none')).rejects.toMatchObject({
    code: 'runNotFound',
  });
});
