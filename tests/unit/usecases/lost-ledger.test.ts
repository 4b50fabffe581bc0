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
async function afterLoss() {
  const before = createTestLoader();
  for (const key of KEYS) {
    before.source.put({ key });
    before.source.setParquetRows(key, 1);
  }
  await putLoad(before.loader, 'flights', definitionOf());
  const orchestrations = createMemoryOrchestrations();
  const first = await runLoad(before, orchestrations);
  expect(first.objects.ingested).toBe(KEYS.length);
  const after: TestLoader = { ...before, loader: { ...before.loader, ...createMemoryState() } };
  await putLoad(after.loader, 'flights', definitionOf());
  return { before, after, orchestrations, first };
}

const rowsIn = ({ ingestion }: TestLoader) => ingestion.rows.length;

test('a run with a new ledger loads everything, however old reports of the cluster read', async () => {
  const { after, before, orchestrations, first } = await afterLoss();
  await startUndo(before.loader, orchestrations, first.runId);
  await driveOperation(before.loader, before.clock, orchestrations);
  expect(rowsIn(after)).toBe(0);
  expect(await runLoad(after, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: KEYS.length },
  });
  expect(rowsIn(after)).toBe(KEYS.length);
});

test('rows that were there are there twice, until the run with the new ledger is undone', async () => {
  const { after, orchestrations } = await afterLoss();
  const { runId } = await runLoad(after, orchestrations);
  expect(rowsIn(after)).toBe(2 * KEYS.length);
  await startUndo(after.loader, orchestrations, runId);
  expect(await driveOperation(after.loader, after.clock, orchestrations)).toMatchObject({
    state: 'succeeded',
  });
  expect(rowsIn(after)).toBe(KEYS.length);
});

test('modifiedAfter keeps a new ledger to what came behind the loss', async () => {
  const { after, orchestrations } = await afterLoss();
  const lostAt = after.clock.now();
  const source = { ...(definitionOf().source as object), modifiedAfter: lostAt.toISOString() };
  await putLoad(after.loader, 'flights', definitionOf({ source }));
  after.clock.advance(60_000);
  after.source.put({ key: 'in/d', lastModified: after.clock.now().toISOString() });
  expect(await runLoad(after, orchestrations)).toMatchObject({ objects: { ingested: 1 } });
  expect(rowsIn(after)).toBe(KEYS.length + 1);
});

test('where only the ledger is older, an undo of the runs that it does not know takes their rows out, and the next run loads them', async () => {
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
  expect(rowsIn(older)).toBe(KEYS.length);
});

test('two apps with one load of one name each load every object', async () => {
  const { before, after, orchestrations } = await afterLoss();
  const other: TestLoader = { ...after, loader: { ...after.loader, appId: `${before.loader.appId}-2` } };
  expect(await runLoad(other, orchestrations)).toMatchObject({ objects: { ingested: KEYS.length } });
  expect(rowsIn(other)).toBe(2 * KEYS.length);
});

test('a reset of the new ledger has nothing to forget of objects that it does not know', async () => {
  const { after, orchestrations } = await afterLoss();
  await startReset(after.loader, orchestrations, { load: 'flights', prefix: '' });
  expect(await driveOperation(after.loader, after.clock, orchestrations)).toMatchObject({
    state: 'succeeded',
  });
  await runLoad(after, orchestrations);
  expect(rowsIn(after)).toBe(2 * KEYS.length);
});
