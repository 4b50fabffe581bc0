import { beforeEach, describe, expect, test } from 'vitest';

import { partitionOf } from '../../../shared/domain/ledger-key.ts';
import { ERROR_KINDS, LoaderError } from '../../../shared/errors/loader-error.ts';
import { advanceOperation } from '../../../shared/usecases/advance-operation.ts';
import { cancelOperation } from '../../../shared/usecases/cancel-operation.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { ingestUnit } from '../../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { readOperation } from '../../../shared/usecases/operation-documents.ts';
import { startRerun } from '../../../shared/usecases/rerun.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { startUndo } from '../../../shared/usecases/undo-run.ts';
import { type CrashMoment, crashAt, surviving } from '../../fakes/crashing-loader.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { takeFirstShard } from '../../fakes/run-by-hand.ts';
import { driveRun, putObjects, runLoad } from '../../fakes/run-load.ts';
import { type DriveOperationOptions, driveOperation, undoRun } from '../../fakes/run-operation.ts';
import { sleepingPlace } from '../../fakes/sleeping-place.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MOST_SIDE_EFFECTS = 200;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const BEHIND_THE_FENCE = 8 * HOUR;
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(async () => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
  await putLoad(test_.loader, 'flights', definitionOf());
});

const undo = (runId: string, options?: DriveOperationOptions) =>
  undoRun(test_.loader, test_.clock, orchestrations, runId, options);

const run = () => runLoad(test_, orchestrations);

const keyOf = ({ url }: { readonly url: string }) => new URL(url).pathname.slice(1);
const keysInTable = () => test_.ingestion.rows.map(keyOf).sort();
const allKeys = (count: number) =>
  Array.from({ length: count }, (_, index) => `in/${String(index).padStart(3, '0')}`);

/** A load of Parquet files, of which the loader knows how many rows each holds. */
const putParquetLoad = (changes: Parameters<typeof definitionOf>[0] = {}) =>
  putLoad(
    test_.loader,
    'flights',
    definitionOf({ format: { type: 'parquet' }, reconcile: { parquetFooters: true }, ...changes }),
  );

/** So many rows are in each object, by its footer, and come into the table. */
function holdRows(keys: readonly string[], rows: number): void {
  for (const key of keys) {
    test_.source.setParquetRows(key, rows);
    test_.ingestion.setRowsOf(`/${key}`, rows);
  }
}

async function entryOf(key: string) {
  const entries = await test_.loader.ledger.readKeys({ load: 'flights', generation: 1 }, [key]);
  return entries.get(key)!;
}

async function refusal(promise: Promise<unknown>): Promise<LoaderError> {
  const thrown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof LoaderError) return thrown;
  throw new Error(`Not refused: ${String(thrown)}`);
}

describe('an undo', () => {
  test('drops the rows of the run, marks its objects, and lets the next run load them again', async () => {
    putObjects(test_, 5);
    const first = await run();
    test_.source.put({ key: 'in/later' });
    const second = await run();
    expect(keysInTable()).toEqual([...allKeys(5), 'in/later']);

    const operation = await undo(first.runId);
    expect(operation).toMatchObject({
      state: 'succeeded',
      tag: first.tag,
      runs: [first.runId],
      objects: 5,
      rows: 5,
      problem: null,
    });
    expect(keysInTable()).toEqual(['in/later']);
    expect((await entryOf('in/000')).value).toMatchObject({ state: 'undone', attemptSeq: 1 });
    expect((await entryOf('in/later')).value).toMatchObject({ state: 'ingested', tag: second.tag });
    expect(await test_.loader.loads.readLock('flights')).toBeNull();

    expect(await run()).toMatchObject({ objects: { ingested: 5 }, plan: { skipped: { unchanged: 1 } } });
    expect(keysInTable()).toEqual([...allKeys(5), 'in/later']);
    expect((await entryOf('in/000')).value).toMatchObject({ state: 'ingested', attemptSeq: 2 });
    expect(new Set(test_.ingestion.messages.map(({ sourceId }) => sourceId)).size).toBe(11);

    // Another undo of the first run finds nothing of it.
    expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', objects: 0, rows: 0 });
    expect(keysInTable()).toEqual([...allKeys(5), 'in/later']);
  });

  test('is about the unit: runs that share a tag are undone together, and named', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ tagWindow: 'day' }));
    putObjects(test_, 3);
    const first = await run();
    test_.source.put({ key: 'in/later' });
    const second = await run();
    test_.clock.advance(24 * HOUR);
    test_.source.put({ key: 'in/tomorrow' });
    await run();
    const operation = await undo(first.runId);
    expect(operation).toMatchObject({ state: 'succeeded', tagWindow: 'day', objects: 4, rows: 4 });
    expect([...operation.runs!].sort()).toEqual([first.runId, second.runId].sort());
    expect(keysInTable()).toEqual(['in/tomorrow']);
  });

  test('goes by the tag that a message carried, not by the run that settled it', async () => {
    putObjects(test_, 2);
    const first = await runLoad(test_, orchestrations, SILENT);
    expect(first.objects.unknown).toBe(2);
    test_.source.put({ key: 'in/later' });
    test_.ingestion.settleAll();
    const second = await run();
    expect(second.objects.ingested).toBe(3);
    expect((await entryOf('in/000')).value).toMatchObject({ runId: second.runId, tag: first.tag });

    expect(await undo(second.runId)).toMatchObject({ state: 'succeeded', objects: 1, rows: 1 });
    expect(keysInTable()).toEqual(allKeys(2));
    expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', objects: 2, rows: 2 });
    expect(keysInTable()).toEqual([]);
    expect(await run()).toMatchObject({ objects: { ingested: 3 } });
    expect(keysInTable()).toEqual([...allKeys(2), 'in/later']);
  });

  test('waits for a cluster that is away', async () => {
    putObjects(test_, 2);
    const first = await run();
    test_.ingestion.failNext('listExtents', new LoaderError('clusterUnavailable', '503'), 5);
    expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', objects: 2 });
    expect(keysInTable()).toEqual([]);
  });

  test('drops again what a merge of extents has hidden from the first drop', async () => {
    putObjects(test_, 2);
    const first = await run();
    const { listExtents } = test_.ingestion;
    let lists = 0;
    test_.loader.ingestion = async () => ({
      ...test_.ingestion,
      listExtents: async (input) => {
        const extents = await listExtents(input);
        lists += 1;
        // The second time, one of them stands under the id of an extent that is no more.
        return lists === 2
          ? extents.map((extent, index) => (index === 0 ? { ...extent, id: 'gone' } : extent))
          : extents;
      },
    });
    expect(await undo(first.runId)).toMatchObject({ state: 'succeeded' });
    expect(keysInTable()).toEqual([]);
  });

  test('is done once, however many activities of it run, now or much later', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ tagWindow: 'day' }));
    putObjects(test_, 30);
    const first = await run();
    const lateDrops: (() => Promise<void>)[] = [];
    const { dropExtents } = test_.ingestion;
    test_.loader.ingestion = async () => ({
      ...test_.ingestion,
      get rows() {
        return test_.ingestion.rows;
      },
      dropExtents: async (input) => {
        lateDrops.push(() => dropExtents(input));
        await dropExtents(input);
      },
    });
    const operation = await undo(first.runId, { twice: true });
    expect(operation).toMatchObject({ state: 'succeeded', objects: 30, rows: 30 });
    // The next run of the day loads under the same tag; what the cluster or an activity of the undo does late must not touch it.
    const next = await run();
    expect(next).toMatchObject({ tag: first.tag, objects: { ingested: 30 } });
    for (const late of lateDrops) await late();
    await advanceOperation(test_.loader, { v: 1, operationId: operation.operationId, attempt: 1 });
    expect(keysInTable()).toEqual(allKeys(30));
    expect(await run()).toMatchObject({ plan: { skipped: { unchanged: 30 } } });
  });
});

test('where nobody could count the rows, an extent that has lost the tag is not missed: its rows come twice', async () => {
  putObjects(test_, 3);
  test_.ingestion.failNext('countRowsByTag', new LoaderError('clusterUnavailable', 'away'), 2);
  const first = await run();
  expect(first).toMatchObject({ rows: { tagged: null } });
  const untagged = test_.ingestion.messages[1]!;
  test_.ingestion.setTags(untagged.sourceId, []);
  expect(await undo(first.runId)).toMatchObject({ state: 'succeeded' });
  expect(await run()).toMatchObject({ objects: { ingested: 3 } });
  expect(keysInTable()).toEqual([...allKeys(3), keyOf(untagged)].sort());
});

test('rows that are not there keep nobody from an undo that marks nothing', async () => {
  putObjects(test_, 2);
  for (const key of allKeys(2)) test_.ingestion.setRowsOf(`/${key}`, 5);
  const first = await run();
  expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', rows: 10 });
  // As where a version of the app undid it that kept less.
  for (const path of await test_.loader.documents.list('operations/units/'))
    await test_.loader.documents.delete(path);
  expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', objects: 0, rows: 0 });
});

test('what ADX has lost on the way does not keep a run from being undone', async () => {
  await putParquetLoad();
  putObjects(test_, 1);
  test_.source.setParquetRows('in/000', 10);
  test_.ingestion.setRowsOf('/in/000', 7);
  const first = await run();
  expect(first).toMatchObject({ state: 'completedWithDiscrepancy', rows: { tagged: 7, expected: 10 } });
  expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', rows: 7 });
});

test('what was undone is not missed by later undos of the unit, nor in its rows, also when one of them was refused', async () => {
  await putParquetLoad({ tagWindow: 'day' });
  putObjects(test_, 2);
  holdRows(allKeys(2), 5);
  const first = await run();
  expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', rows: 10 });
  expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', rows: 0 });
  test_.ingestion.setDependents(['the materialized view Latest']);
  expect(await undo(first.runId)).toMatchObject({ state: 'failed' });
  test_.ingestion.setDependents([]);
  // A start that is cut off between the name and the operation is completed by the tick.
  test_.clock.advance(1000);
  const host = crashAt(test_.loader, 3, 'before');
  await surviving(host, () => startUndo(host.loader, orchestrations, first.runId));
  expect(host.deaths()).toBe(1);
  test_.clock.advance(MINUTE);
  await tick(test_.loader, orchestrations);
  const { operationId } = [...orchestrations.operations.values()].at(-1)!;
  await cancelOperation(test_.loader, operationId);
  const second = await run();
  expect(second).toMatchObject({ tag: first.tag, rows: { tagged: 10, expected: 10, agrees: true } });
  expect(await undo(second.runId)).toMatchObject({ state: 'succeeded', rows: 10 });
});

test('an activity of an undo that was away while it ended drops nothing of a later run of the window', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ tagWindow: 'day' }));
  putObjects(test_, 10);
  const first = await run();
  await startUndo(test_.loader, orchestrations, first.runId);
  const input = [...orchestrations.operations.values()].at(-1)!;
  // One activity is away from its n-th question for extents on; its twin carries the undo out, and the load is run again.
  for (let away = 1; away <= 3; away += 1) {
    let lists = 0;
    let goOn = () => {};
    const isBack = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const late = advanceOperation(
      {
        ...test_.loader,
        ingestion: async () => ({
          ...test_.ingestion,
          listExtents: async (question) => {
            lists += 1;
            if (lists === away) await isBack;
            return test_.ingestion.listExtents(question);
          },
        }),
      },
      { ...input, operationId: [...orchestrations.operations.values()].at(-1)!.operationId },
    );
    await driveOperation(test_.loader, test_.clock, orchestrations);
    expect(keysInTable()).toEqual([]);
    expect(await run()).toMatchObject({ tag: first.tag, objects: { ingested: 10 } });
    goOn();
    await late;
    expect(keysInTable()).toEqual(allKeys(10));
    expect(await run()).toMatchObject({ plan: { skipped: { unchanged: 10 } } });
    if (away < 3) {
      test_.clock.advance(1000);
      await startUndo(test_.loader, orchestrations, first.runId);
    }
  }
});

test('an activity of an undo that was away while it ended marks nothing that a later run of the window has loaded', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ tagWindow: 'day' }));
  putObjects(test_, 10);
  const first = await run();
  await startUndo(test_.loader, orchestrations, first.runId);
  const input = [...orchestrations.operations.values()].at(-1)!;
  let goOn = () => {};
  const isBack = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let reads = 0;
  const late = advanceOperation(
    {
      ...test_.loader,
      ledger: {
        ...test_.loader.ledger,
        readPartition: async (name, partition, after) => {
          if (partition === partitionOf('in/000')) reads += 1;
          // The first is for the check, the second for the marks.
          if (reads === 2) await isBack;
          return test_.loader.ledger.readPartition(name, partition, after);
        },
      },
    },
    input,
  );
  while (reads < 2) await new Promise((resolve) => setImmediate(resolve));
  await driveOperation(test_.loader, test_.clock, orchestrations);
  await run();
  goOn();
  await late;
  expect((await entryOf('in/000')).value.state).toBe('ingested');
  expect(await run()).toMatchObject({ plan: { skipped: { unchanged: 10 } } });
  expect(keysInTable()).toEqual(allKeys(10));
});

describe('an undo is refused, and changes nothing', () => {
  async function expectRefused(runId: string, code: string, message: RegExp): Promise<void> {
    const before = keysInTable();
    const operation = await undo(runId);
    expect(operation).toMatchObject({ state: 'failed', step: 'check', problem: { code } });
    expect(operation.problem!.message).toMatch(message);
    expect(operation.problem!.message).toMatch(/\. Nothing was changed\.$/);
    expect(operation.problem!.remedy).not.toBe('');
    expect(keysInTable()).toEqual(before);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
  }

  test('while the fate of an object of the unit is open', async () => {
    putObjects(test_, 3);
    const first = await runLoad(test_, orchestrations, {
      whenIdle: () =>
        void test_.ingestion.messages
          .slice(1)
          .map(({ sourceId }) => test_.ingestion.setStatus(sourceId, { status: 'Succeeded' })),
    });
    expect(first.objects).toMatchObject({ ingested: 2, unknown: 1 });
    await expectRefused(first.runId, 'undoUnsettled', /in\/\d+/);
    test_.ingestion.settleAll();
    await run();
    expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', objects: 3 });
  });

  test('while an object that was posted twice is without a report, until a person has it posted again', async () => {
    putObjects(test_, 1);
    await runLoad(test_, orchestrations, SILENT);
    test_.clock.advance(BEHIND_THE_FENCE);
    const second = await runLoad(test_, orchestrations, SILENT);
    test_.clock.advance(BEHIND_THE_FENCE);
    // Behind the fence again: nothing that comes by itself, and no plain rerun, posts it a third time.
    await runLoad(test_, orchestrations, SILENT);
    const rerun = async (acceptDoubles: boolean) => {
      test_.clock.advance(1000);
      const options = { runId: second.runId, objects: 'notIngested', acceptDoubles } as const;
      const { runId } = await startRerun(test_.loader, orchestrations, {
        rerun: options,
        idempotencyKey: null,
      });
      return driveRun(test_, orchestrations, runId, acceptDoubles ? {} : SILENT);
    };
    await rerun(false);
    expect(test_.ingestion.messages).toHaveLength(2);
    await expectRefused(second.runId, 'undoUnsettled', /in\/000/);
    expect(ERROR_KINDS.undoUnsettled.remedy).toMatch(/acceptDoubles/);
    expect(ERROR_KINDS.resetUnsettled.remedy).toMatch(/acceptDoubles/);
    expect(await rerun(true)).toMatchObject({ objects: { ingested: 1 } });
    expect(test_.ingestion.messages).toHaveLength(3);
    expect((await entryOf('in/000')).value.state).toBe('ingested');
  });

  test('when rows went on into other tables', async () => {
    putObjects(test_, 1);
    const first = await run();
    test_.ingestion.setDependents(['the update policy of Derived', 'the materialized view Latest']);
    await expectRefused(first.runId, 'undoInexact', /update policy of Derived.*view Latest/);
  });

  test('when the tag was removed from the extents', async () => {
    putObjects(test_, 1);
    const first = await run();
    test_.ingestion.setTags(test_.ingestion.messages[0]!.sourceId, []);
    await expectRefused(first.runId, 'undoInexact', /no extent carries it/);
  });

  test('when the tag was removed from some of the extents', async () => {
    putObjects(test_, 3);
    for (const key of allKeys(3)) test_.ingestion.setRowsOf(`/${key}`, 5);
    const first = await run();
    test_.ingestion.setTags(test_.ingestion.messages[1]!.sourceId, []);
    await expectRefused(first.runId, 'undoInexact', /10 rows, and there were 15/);
  });

  test('when the tag was removed from some of the extents whose rows only the footers tell', async () => {
    await putParquetLoad({ tagWindow: 'day' });
    test_.ingestion.failNext('countRowsByTag', new LoaderError('clusterUnavailable', 'away'), 2);
    putObjects(test_, 2);
    const keys = allKeys(2);
    holdRows([...keys, 'in/later'], 5);
    const first = await run();
    test_.source.put({ key: 'in/later' });
    test_.source.setParquetRows('in/later', 5);
    expect(await run()).toMatchObject({ rows: { tagged: null, ofThisRun: 5 } });
    test_.ingestion.setTags(test_.ingestion.messages[0]!.sourceId, []);
    await expectRefused(first.runId, 'undoInexact', /10 rows, and there were 15/);
  });

  test('when extents also carry the tag of another unit', async () => {
    putObjects(test_, 1);
    const first = await run();
    test_.ingestion.setTags(test_.ingestion.messages[0]!.sourceId, [first.tag, 'drop-by:other/unit']);
    await expectRefused(first.runId, 'undoInexact', /drop-by:other\/unit/);
  });

  test('when an object may also be in the table under another tag', async () => {
    putObjects(test_, 1);
    await runLoad(test_, orchestrations, SILENT);
    test_.clock.advance(BEHIND_THE_FENCE);
    const reposting = await run();
    expect(reposting.repostedUnproven).toEqual(['in/000']);
    await expectRefused(reposting.runId, 'undoInexact', /posted twice/);
  });

  test('when a late success of an earlier message has put its rows under the tag of the earlier run', async () => {
    putObjects(test_, 2);
    const isFirst = ({ url }: { readonly url: string }) => keyOf({ url }) === 'in/000';
    const reportOthers = () => {
      for (const message of test_.ingestion.messages.filter((one) => !isFirst(one)))
        test_.ingestion.setStatus(message.sourceId, { status: 'Succeeded' });
    };
    const first = await runLoad(test_, orchestrations, { whenIdle: reportOthers });
    test_.clock.advance(BEHIND_THE_FENCE);
    const second = await runLoad(test_, orchestrations, SILENT);
    const [message] = test_.ingestion.messages.filter(isFirst);
    test_.ingestion.setStatus(message!.sourceId, { status: 'Succeeded' });
    test_.clock.advance(HOUR);
    await runLoad(test_, orchestrations, SILENT);
    const { value } = await entryOf('in/000');
    expect(value).toMatchObject({ state: 'ingested', tag: first.tag, otherTags: [second.tag] });
    for (const { runId } of [first, second])
      expect(await undo(runId)).toMatchObject({ state: 'failed', problem: { code: 'undoInexact' } });
    expect(keysInTable()).toEqual(allKeys(2));
  });

  test('when a version of the app loaded it that noted no tags', async () => {
    putObjects(test_, 1);
    const first = await run();
    const { value, etag } = await entryOf('in/000');
    await test_.loader.ledger.write({ load: 'flights', generation: 1 }, [
      { entry: { ...value, tag: null }, etag },
    ]);
    await expectRefused(first.runId, 'undoInexact', /under which tag "in\/000" was loaded/);
  });

  test('without Table Admin: at once, with the command that grants it', async () => {
    putObjects(test_, 1);
    const first = await run();
    test_.ingestion.failNext('dropExtents', new LoaderError('undoNotPermitted', '.add table T admins'));
    expect((await refusal(startUndo(test_.loader, orchestrations, first.runId))).code).toBe(
      'undoNotPermitted',
    );
    expect(orchestrations.operations.size).toBe(0);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
    expect(keysInTable()).toEqual(['in/000']);
  });

  test('for a run that there is not, or that has not ended, or while another one loads', async () => {
    putObjects(test_, 1);
    expect((await refusal(startUndo(test_.loader, orchestrations, 'none'))).code).toBe('runNotFound');
    const first = await run();
    test_.clock.advance(1000);
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    const busy = { code: 'loadBusy', facts: { runId } };
    expect(await refusal(startUndo(test_.loader, orchestrations, runId))).toMatchObject(busy);
    expect(await refusal(startUndo(test_.loader, orchestrations, first.runId))).toMatchObject(busy);
    expect((await refusal(readOperation(test_.loader, 'undo-none'))).code).toBe('operationNotFound');
  });
});

describe('the lock of a load that is being undone', () => {
  test('keeps runs and other undos away, and gives the same undo to those who ask for it', async () => {
    putObjects(test_, 2);
    const first = await run();
    test_.source.put({ key: 'in/later' });
    const second = await run();
    const { operationId } = await startUndo(test_.loader, orchestrations, first.runId);
    expect(await startUndo(test_.loader, orchestrations, first.runId)).toMatchObject({ operationId });
    const busy = { code: 'loadBusy', facts: { operationId } };
    expect(await refusal(startUndo(test_.loader, orchestrations, second.runId))).toMatchObject(busy);
    expect(
      await refusal(startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' })),
    ).toMatchObject(busy);
    test_.clock.advance(MINUTE);
    await tick(test_.loader, orchestrations);
    expect(orchestrations.started.size).toBe(2);
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'succeeded',
    });
    expect(await run()).toMatchObject({ objects: { ingested: 2 } });
  });

  test('is handed to a second attempt when the first stands still; the first one can do nothing any more', async () => {
    putObjects(test_, 2);
    const first = await run();
    const { operationId } = await startUndo(test_.loader, orchestrations, first.runId);
    test_.clock.advance(11 * MINUTE);
    await tick(test_.loader, orchestrations);
    expect([...orchestrations.operations.keys()]).toEqual([`${operationId}-a1`, `${operationId}-a2`]);
    expect(orchestrations.terminated).toEqual([`${operationId}-a1`]);
    await advanceOperation(test_.loader, { v: 1, operationId, attempt: 1 });
    expect(await readOperation(test_.loader, operationId)).toMatchObject({ state: 'running', step: 'check' });
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'succeeded',
      objects: 2,
    });
  });
});

describe('an undo that can not go on', () => {
  const away = new LoaderError('clusterUnavailable', 'getaddrinfo ENOTFOUND');

  test('is given up after hours as long as it has changed nothing, and the load can be run elsewhere', async () => {
    putObjects(test_, 2);
    const first = await run();
    test_.ingestion.failNext('listDependents', away, 1_000_000);
    const begun = test_.clock.now().getTime();
    const operation = await undo(first.runId, { mostTurns: 3000 });
    expect(operation).toMatchObject({ state: 'failed', problem: { code: 'operationGivenUp' } });
    expect(operation.problem!.message).toMatch(/6 hours: getaddrinfo ENOTFOUND. Nothing was changed/);
    const hours = (test_.clock.now().getTime() - begun) / HOUR;
    expect([hours > 6, hours < 6.1]).toEqual([true, true]);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
    await putLoad(
      test_.loader,
      'flights',
      definitionOf({
        destination: { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'Elsewhere' },
      }),
    );
    expect(await run()).toMatchObject({ objects: { ingested: 2 } });
  });

  test('has so long for each step: what is put right in between does not count', async () => {
    putObjects(test_, 2);
    const first = await run();
    await startUndo(test_.loader, orchestrations, first.runId);
    const drive = () => driveOperation(test_.loader, test_.clock, orchestrations, { mostTurns: 1 });
    test_.ingestion.failNext('listDependents', away);
    await drive();
    test_.clock.advance(5 * HOUR);
    test_.ingestion.failNext('listExtents', away, 2);
    await drive();
    test_.clock.advance(5 * HOUR);
    expect(await drive()).toMatchObject({ state: 'running', step: 'check' });
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'succeeded',
    });
  });

  test('waits for days when rows may be gone, and is taken up where it was', async () => {
    putObjects(test_, 3);
    const first = await run();
    const { dropExtents } = test_.ingestion;
    let isAway = true;
    let drops = 0;
    test_.loader.ingestion = async () => ({
      ...test_.ingestion,
      dropExtents: async (input) => {
        drops += 1;
        if (drops === 2) await dropExtents({ ...input, extentIds: input.extentIds.slice(0, 1) });
        if (drops > 1 && isAway) throw away;
        await dropExtents(input);
      },
    });
    const drive = () => driveOperation(test_.loader, test_.clock, orchestrations, { mostTurns: 5 });
    await startUndo(test_.loader, orchestrations, first.runId);
    await drive();
    test_.clock.advance(3 * 24 * HOUR);
    expect(await drive()).toMatchObject({ state: 'running', step: 'drop' });
    test_.clock.advance(4 * 24 * HOUR);
    const broken = await drive();
    expect(broken).toMatchObject({ state: 'failed', problem: { code: 'operationGivenUp' } });
    expect(broken.problem!.message).toMatch(/168 hours.*Rows may be gone already/);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
    isAway = false;
    const { operationId } = broken;
    expect(await undo(first.runId)).toMatchObject({ operationId, state: 'succeeded', objects: 3 });
    expect(keysInTable()).toEqual([]);
  });
});

describe('an operation is cancelled', () => {
  test('as long as it has changed nothing; asked again it says the same, and the load is free', async () => {
    putObjects(test_, 2);
    const first = await run();
    const { operationId } = await startUndo(test_.loader, orchestrations, first.runId);
    for (let times = 0; times < 2; times += 1)
      expect(await cancelOperation(test_.loader, operationId)).toMatchObject({
        operationId,
        state: 'cancelled',
        problem: null,
        endedAt: test_.clock.now().toISOString(),
      });
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'cancelled',
      step: 'check',
    });
    expect(keysInTable()).toEqual(allKeys(2));
    // A later undo is another one, which the cancelled one's activities do not touch.
    const again = await undo(first.runId);
    expect(again).toMatchObject({ state: 'succeeded', objects: 2 });
    expect(again.operationId).not.toBe(operationId);
  });

  test('also while an activity of it looks for what to drop: that one drops nothing any more', async () => {
    putObjects(test_, 2);
    const first = await run();
    const { operationId } = await startUndo(test_.loader, orchestrations, first.runId);
    const { listExtents } = test_.ingestion;
    let lists = 0;
    test_.loader.ingestion = async () => ({
      ...test_.ingestion,
      listExtents: async (question) => {
        const found = await listExtents(question);
        lists += 1;
        // The first is for the check, the second for the drop.
        if (lists === 2) await cancelOperation(test_.loader, operationId);
        return found;
      },
    });
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'cancelled',
    });
    expect([lists, keysInTable()]).toEqual([2, allKeys(2)]);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
  });

  test('no more when it has begun to drop or has ended, and not when there is none', async () => {
    putObjects(test_, 2);
    const first = await run();
    const { operationId } = await startUndo(test_.loader, orchestrations, first.runId);
    const refusals: LoaderError[] = [];
    const { dropExtents } = test_.ingestion;
    test_.loader.ingestion = async () => ({
      ...test_.ingestion,
      dropExtents: async (input) => {
        refusals.push(await refusal(cancelOperation(test_.loader, operationId)));
        await dropExtents(input);
      },
    });
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'succeeded',
    });
    expect(refusals).toMatchObject([{ code: 'operationUnderWay', facts: { operationId } }]);
    expect(await refusal(cancelOperation(test_.loader, operationId))).toMatchObject({
      code: 'operationEnded',
      facts: { operationId, state: 'succeeded' },
    });
    expect((await refusal(cancelOperation(test_.loader, 'undo-none'))).code).toBe('operationNotFound');
  });

  test('by a host that dies before it frees the lock: the tick does', async () => {
    putObjects(test_, 1);
    const first = await run();
    const { operationId } = await startUndo(test_.loader, orchestrations, first.runId);
    const host = crashAt(test_.loader, 1, 'before');
    await surviving(host, () => cancelOperation(host.loader, operationId));
    expect(await test_.loader.loads.readLock('flights')).not.toBeNull();
    await tick(test_.loader, orchestrations);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
    expect(await readOperation(test_.loader, operationId)).toMatchObject({ state: 'cancelled' });
  });
});

test('an undo that is refused after it has dropped rows says so', async () => {
  putObjects(test_, 2);
  const first = await run();
  const { dropExtents } = test_.ingestion;
  let drops = 0;
  test_.loader.ingestion = async () => ({
    ...test_.ingestion,
    dropExtents: async (input) => {
      drops += 1;
      await dropExtents({ ...input, extentIds: input.extentIds.slice(0, 1) });
      // Somebody tags what is left.
      if (drops === 2)
        test_.ingestion.setTags(test_.ingestion.rows[0]!.sourceId, [first.tag, 'drop-by:other/unit']);
    },
  });
  const operation = await undo(first.runId);
  expect(operation).toMatchObject({ state: 'failed', step: 'drop', problem: { code: 'undoInexact' } });
  expect(operation.problem!.message).toMatch(/drop-by:other\/unit\. Rows may be gone already/);
  expect(operation.problem!.remedy).not.toMatch(/Nothing was changed/);
  expect(keysInTable()).toHaveLength(1);
});

test('an undo marks nothing while an activity of a cancelled run has posted under its tag meanwhile, and is then taken up again', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ concurrency: { lanes: 1, postsInFlight: 1 } }));
  putObjects(test_, 2);
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const { sleep, asleep, awake } = sleepingPlace();
  const presignGet: typeof test_.source.presignGet = async (input) => {
    if (input.key === 'in/001') await sleep();
    return test_.source.presignGet(input);
  };
  const sleepy = { ...test_.loader, source: async () => ({ ...test_.source, presignGet }) };
  const late = ingestUnit(sleepy, await takeFirstShard(test_, { v: 1, runId, epoch: 1 }));
  await asleep;
  await cancelRun(test_.loader, runId);
  expect(await driveRun(test_, orchestrations, runId)).toMatchObject({
    objects: { ingested: 1, notStarted: 1 },
  });

  // The undo has looked at the ledger and is about to drop; until it gets to it, ADX ingests what was posted late.
  const { ingestion } = test_.loader;
  test_.loader.ingestion = async () => ({
    ...test_.ingestion,
    dropExtents: async (input) => {
      if (input.extentIds[0] === test_.ingestion.rows[0]?.sourceId) {
        awake();
        await late;
        test_.ingestion.settleAll();
      }
      return test_.ingestion.dropExtents(input);
    },
  });
  expect(await undo(runId)).toMatchObject({ state: 'failed', problem: { code: 'undoUnsettled' } });
  test_.loader.ingestion = ingestion;
  expect(test_.ingestion.messages).toHaveLength(2);
  expect((await entryOf('in/000')).value.state).toBe('ingested');

  await run();
  expect(await undo(runId)).toMatchObject({ state: 'succeeded' });
  await run();
  expect(keysInTable()).toEqual(allKeys(2));
});

test('an undo that was broken off after it had begun to drop is taken up again, and takes no later rows for its own', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ tagWindow: 'day' }));
  putObjects(test_, 3);
  const first = await run();
  const { dropExtents } = test_.ingestion;
  let drops = 0;
  test_.loader.ingestion = async () => ({
    ...test_.ingestion,
    dropExtents: async (input) => {
      drops += 1;
      // The probe is the first. Half of the extents are dropped when the right is taken away.
      if (drops === 2) {
        await dropExtents({ ...input, extentIds: input.extentIds.slice(0, 2) });
        throw new LoaderError('undoNotPermitted', 'taken away');
      }
      await dropExtents(input);
    },
  });
  const broken = await undo(first.runId);
  expect(broken).toMatchObject({ state: 'failed', step: 'drop', problem: { code: 'undoNotPermitted' } });
  expect(await test_.loader.loads.readLock('flights')).toBeNull();
  test_.source.put({ key: 'in/later' });
  await run();
  const again = await undo(first.runId);
  expect(again).toMatchObject({ operationId: broken.operationId, state: 'succeeded', objects: 4, rows: 2 });
  expect(keysInTable()).toEqual([]);
  expect(await run()).toMatchObject({ objects: { ingested: 4 } });
  expect(keysInTable()).toEqual([...allKeys(3), 'in/later']);
});

describe.each<[CrashMoment, boolean]>([
  ['before', false],
  ['after', false],
  ['before', true],
  ['after', true],
])('a host that dies %s a side effect of an undo (activities twice: %s)', (moment, twice) => {
  test('leaves ledger and table as one', async () => {
    let crashes = 0;
    for (let number = 0; number < MOST_SIDE_EFFECTS; number += 2) {
      test_ = createTestLoader();
      orchestrations = createMemoryOrchestrations();
      await putLoad(test_.loader, 'flights', definitionOf());
      putObjects(test_, 20);
      const first = await run();
      test_.clock.advance(1000);
      const host = crashAt(test_.loader, number, moment);
      const order = () => startUndo(host.loader, host.orchestrations(orchestrations), first.runId);
      await surviving(host, order);
      if ((await test_.loader.loads.readLock('flights')) === null) await order();
      for (let minute = 0; minute < 3; minute += 1) {
        if (orchestrations.operations.size > 0)
          await driveOperation(host.loader, test_.clock, orchestrations, { twice, host });
        test_.clock.advance(MINUTE);
        await surviving(host, () => tick(host.loader, host.orchestrations(orchestrations)));
      }
      const operation = await driveOperation(host.loader, test_.clock, orchestrations, { twice, host });
      if (host.deaths() === 0) break;
      crashes += 1;
      expect({ number, ...operation }).toMatchObject({ number, state: 'succeeded', objects: 20 });
      expect(keysInTable()).toEqual([]);
      expect(await test_.loader.loads.readLock('flights')).toBeNull();
      const next = await run();
      expect({ number, ingested: next.objects.ingested }).toEqual({ number, ingested: 20 });
      expect(keysInTable()).toEqual(allKeys(20));
    }
    expect(crashes).toBeGreaterThan(8);
    expect(crashes).toBeLessThan(MOST_SIDE_EFFECTS / 2);
  }, 60_000);
});

test('a run that was waiting starts when the undo has ended', async () => {
  putObjects(test_, 1);
  const first = await run();
  await startUndo(test_.loader, orchestrations, first.runId);
  const input = [...orchestrations.operations.values()].at(-1)!;
  let freed: string | null = null;
  for (let turn = 0; turn < 50 && freed === null; turn += 1) {
    const step = await advanceOperation(test_.loader, input);
    freed = step.freed;
    if (step.answer.kind === 'wait') test_.clock.advance(step.answer.waitMs);
  }
  expect(freed).toBe('flights');
  test_.clock.advance(1000);
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  expect(await driveRun(test_, orchestrations, runId)).toMatchObject({ objects: { ingested: 1 } });
});
