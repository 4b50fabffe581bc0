import { expect, test } from 'vitest';

import { createMemoryState } from '../../../shared/adapters/state/memory-state.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { startReset } from '../../../shared/usecases/reset-ledger.ts';
import { startUndo } from '../../../shared/usecases/undo-run.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { runLoad } from '../../fakes/run-load.ts';
import { driveOperation } from '../../fakes/run-operation.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

/**
 * What docs/OPERATIONS.md says of a ledger that is lost, or restored from an older copy, while table, bucket and the reports
 * of Azure Data Explorer are what they were.
 */
const KEYS = ['in/a', 'in/b', 'in/c'];

/** Three objects that are loaded, and then a storage that knows nothing of it. */
async function afterLoss(definition = definitionOf()) {
  const before = createTestLoader();
  for (const key of KEYS) {
    before.source.put({ key });
    before.source.setParquetRows(key, 1);
  }
  await putLoad(before.loader, 'flights', definition);
  const orchestrations = createMemoryOrchestrations();
  const first = await runLoad(before, orchestrations);
  expect(first.objects.ingested).toBe(KEYS.length);
  const after: TestLoader = { ...before, loader: { ...before.loader, ...createMemoryState() } };
  await putLoad(after.loader, 'flights', definition);
  return { before, after, orchestrations, first };
}

const rowsIn = ({ ingestion }: TestLoader) => ingestion.rows.length;

test('a run finds the old reports: it counts the objects as ingested and posts none of them again', async () => {
  const { after, orchestrations } = await afterLoss();
  const summary = await runLoad(after, orchestrations);
  expect(summary).toMatchObject({ state: 'completed', objects: { ingested: KEYS.length } });
  expect(rowsIn(after)).toBe(KEYS.length);
});

test('it does so, too, when the rows are gone: only another name, or a reset, loads them', async () => {
  const { before, after, orchestrations, first } = await afterLoss();
  await startUndo(before.loader, orchestrations, first.runId);
  await driveOperation(before.loader, before.clock, orchestrations);
  expect(rowsIn(after)).toBe(0);
  expect(await runLoad(after, orchestrations)).toMatchObject({ objects: { ingested: KEYS.length } });
  expect(rowsIn(after)).toBe(0);

  await putLoad(after.loader, 'flights-2', definitionOf());
  await runLoad(after, orchestrations, { load: 'flights-2' });
  expect(rowsIn(after)).toBe(KEYS.length);

  await startReset(after.loader, orchestrations, { load: 'flights', prefix: '' });
  await driveOperation(after.loader, after.clock, orchestrations);
  await runLoad(after, orchestrations);
  expect(rowsIn(after)).toBe(2 * KEYS.length);
});

test('where only the ledger is older, an undo takes rows out that only a reset behind the next run brings back', async () => {
  const { before, orchestrations, first } = await afterLoss();
  const older: TestLoader = {
    ...before,
    loader: { ...before.loader, ledger: createMemoryState().ledger },
  };
  await startUndo(older.loader, orchestrations, first.runId);
  expect(await driveOperation(older.loader, older.clock, orchestrations)).toMatchObject({
    state: 'succeeded',
  });
  expect(rowsIn(older)).toBe(0);
  expect(await runLoad(older, orchestrations)).toMatchObject({ objects: { ingested: KEYS.length } });
  expect(rowsIn(older)).toBe(0);
  await startReset(older.loader, orchestrations, { load: 'flights', prefix: '' });
  await driveOperation(older.loader, older.clock, orchestrations);
  await runLoad(older, orchestrations);
  expect(rowsIn(older)).toBe(KEYS.length);
});

test('an undo of the run that found the old reports is refused, for its rows have another tag', async () => {
  const { after, orchestrations } = await afterLoss();
  const { runId } = await runLoad(after, orchestrations);
  await startUndo(after.loader, orchestrations, runId);
  expect(await driveOperation(after.loader, after.clock, orchestrations)).toMatchObject({
    state: 'failed',
    problem: { code: 'undoInexact' },
  });
  expect(rowsIn(after)).toBe(KEYS.length);
});

test('a load that reads Parquet footers says that rows are missing', async () => {
  const parquet = definitionOf({ format: { type: 'parquet' }, reconcile: { parquetFooters: true } });
  const { after, orchestrations } = await afterLoss(parquet);
  expect(await runLoad(after, orchestrations)).toMatchObject({
    state: 'completedWithDiscrepancy',
    rows: { tagged: 0, expected: KEYS.length, agrees: false },
  });
});
