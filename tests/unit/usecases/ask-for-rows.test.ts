import { beforeEach, describe, expect, test } from 'vitest';

import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { parseRerun, startRerun } from '../../../shared/usecases/rerun.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, putObjects, runLoad, tickHours, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const HOUR = 3_600_000;
const BEHIND_THE_FENCE = 8 * HOUR;
/** ADX says nothing, until the deadline of the run. */
const SILENT = { whenIdle: () => undefined };
const COLUMN = { sourcePathColumn: 'Source' };
const FOOTERS = { ...COLUMN, parquetFooters: true };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

const load = (reconcile: object, more: object = {}) =>
  putLoad(test_.loader, 'flights', definitionOf({ format: { type: 'parquet' }, reconcile, ...more }));

/** Puts objects of ten rows each. */
function putRows(objects: number): void {
  putObjects(test_, objects);
  for (let index = 0; index < objects; index += 1) {
    const key = `in/${String(index).padStart(3, '0')}`;
    test_.source.setParquetRows(key, 10);
    test_.ingestion.setRowsOf(`/${key}`, 10);
  }
}

/** A run whose messages ADX never reports; it has ingested the first `ingested` of them. Then the fence passes. */
async function runUnreported({ ingested }: { readonly ingested: number }): Promise<void> {
  const before = test_.ingestion.messages.length;
  await runLoad(test_, orchestrations, SILENT);
  const mine = test_.ingestion.messages.slice(before);
  for (const { sourceId } of mine.slice(0, ingested)) test_.ingestion.ingestSilently(sourceId);
  test_.clock.advance(BEHIND_THE_FENCE);
}

const countTables = () => test_.ingestion.callCounts.countRowsByPath;

describe('objects that ADX never reported, behind their fence', () => {
  test('are ingested where their rows are in the table, and are posted again as proven where none are', async () => {
    await load(FOOTERS);
    putRows(12);
    await runUnreported({ ingested: 5 });
    const asked = countTables();
    // Those of the first run stay lost.
    const reportNew = () => {
      for (const { sourceId } of test_.ingestion.messages.slice(12))
        test_.ingestion.setStatus(sourceId, { status: 'Succeeded' });
    };
    const next = await runLoad(test_, orchestrations, { whenIdle: reportNew });
    expect(next).toMatchObject({
      state: 'completed',
      objects: { ingested: 12 },
      repostedUnproven: [],
    });
    expect(test_.ingestion.messages).toHaveLength(12 + 7);
    expect(test_.ingestion.rows).toHaveLength(12);
    // One question for all of them, and one when the rows of the run are counted.
    expect(countTables() - asked).toBe(2);
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 12 } } });
  });

  test('are not asked for within the fence', async () => {
    await load(COLUMN);
    putRows(1);
    await runLoad(test_, orchestrations, SILENT);
    const asked = countTables();
    expect(await runLoad(test_, orchestrations, SILENT)).toMatchObject({ objects: { deferred: 1 } });
    expect(countTables() - asked).toBe(1);
    expect(test_.ingestion.messages).toHaveLength(1);
  });

  test('of which a part of the rows is there are not ingested, and not posted again', async () => {
    await load(FOOTERS);
    putRows(1);
    test_.ingestion.setRowsOf('/in/000', 4);
    await runUnreported({ ingested: 1 });
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completedWithDiscrepancy',
      failures: { partlyIngested: { count: 1 } },
    });
    await tickHours(test_, orchestrations, 24);
    expect(test_.ingestion.messages).toHaveLength(1);
    // What is there stays, and comes once more, when somebody asks for it.
    const options = { ...NO_OPTIONS, retryFailed: true };
    expect(await runLoad(test_, orchestrations, { options })).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 1 },
      repostedUnproven: ['in/000'],
    });
    expect(test_.ingestion.messages).toHaveLength(2);
  });

  test('of which more rows are there than they hold are ingested, and named', async () => {
    await load(FOOTERS);
    putRows(1);
    test_.ingestion.setRowsOf('/in/000', 20);
    await runUnreported({ ingested: 1 });
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 1 },
      repostedUnproven: ['in/000'],
    });
    expect(test_.ingestion.messages).toHaveLength(1);
  });

  test.each<readonly [string, () => void]>([
    ['nobody may ask', () => test_.ingestion.answerPaths(null)],
    ['there are rows without a path', () => test_.ingestion.answerPaths(new Map([['', 1]]))],
    [
      'the bucket was addressed in another way',
      () => test_.ingestion.answerPaths(new Map([['https://s3.invalid/bucket/in/000', 10]])),
    ],
  ])('where %s they are posted again without proof, as without the column', async (_name, spoil) => {
    await load(COLUMN);
    putRows(1);
    await runUnreported({ ingested: 0 });
    spoil();
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completedWithDiscrepancy',
      repostedUnproven: ['in/000'],
    });
    expect(test_.ingestion.messages).toHaveLength(2);
  });

  test.each(['in/a?b', 'in/a;b', 'in/%41'])(
    'are posted again without proof where their key, %s, may stand decoded in the column',
    async (key) => {
      await load(COLUMN);
      test_.source.put({ key });
      await runUnreported({ ingested: 1 });
      test_.ingestion.answerPaths(new Map([[`https://memory-bucket.s3.memory.invalid/${key}`, 10]]));
      expect(await runLoad(test_, orchestrations)).toMatchObject({ repostedUnproven: [key] });
    },
  );

  test.each([
    ['in/a', 'in/a?b'],
    ['in/a', 'in/a;b'],
    ['in/A', 'in/%41'],
  ])('with the key %s are not told from decoded rows of the key %s', async (key, other) => {
    await load(COLUMN);
    test_.source.put({ key });
    await runUnreported({ ingested: 0 });
    test_.ingestion.answerPaths(new Map([[`https://memory-bucket.s3.memory.invalid/${other}`, 10]]));
    expect(await runLoad(test_, orchestrations)).toMatchObject({ repostedUnproven: [key] });
    expect(test_.ingestion.messages).toHaveLength(2);
  });

  test('are not posted while the cluster does not answer', async () => {
    await load(COLUMN);
    putRows(1);
    await runUnreported({ ingested: 1 });
    test_.ingestion.failNext('countRowsByPath', new LoaderError('clusterUnavailable', 'HTTP 503'), 100);
    expect(await runLoad(test_, orchestrations, SILENT)).toMatchObject({
      objects: { ingested: 0, unknown: 1 },
    });
    expect(test_.ingestion.messages).toHaveLength(1);
  });

  test('that were rewritten meanwhile are not taken for what was posted', async () => {
    await load(COLUMN);
    putRows(1);
    await runUnreported({ ingested: 1 });
    test_.source.put({ key: 'in/000' });
    expect((await runLoad(test_, orchestrations)).failures).toHaveProperty('objectChanged');
    expect(test_.ingestion.messages).toHaveLength(1);
  });

  test.each(['run', 'day'])(
    'are not told from what an earlier message brought under the tag of a %s',
    async (tagWindow) => {
      await load(COLUMN, { tagWindow, retry: { attempts: 2, firstDelaySeconds: 1 } });
      putRows(1);
      test_.clock.advance(-11 * HOUR);
      let isRewritten = false;
      // Two deliveries of one message: the one that failed is reported, the other has brought its rows.
      const { runId } = await runLoad(test_, orchestrations, {
        whenIdle: () => {
          if (isRewritten) return;
          isRewritten = true;
          const [first] = test_.ingestion.messages;
          test_.ingestion.ingestSilently(first!.sourceId);
          test_.source.put({ key: 'in/000' });
          test_.ingestion.setStatus(first!.sourceId, {
            status: 'Failed',
            errorCode: 'Download_SourceNotFound',
            failureStatus: 'Permanent',
          });
        },
      });
      test_.clock.advance(BEHIND_THE_FENCE);
      const next = await runLoad(test_, orchestrations);
      expect(
        test_.ingestion.messages.map(({ tags }) => tags[0]!.includes(runId) || tagWindow === 'day'),
      ).toEqual([true, true, tagWindow === 'day']);
      expect(next).toMatchObject({ objects: { ingested: 1 }, repostedUnproven: ['in/000'] });
    },
  );

  test('are not posted again without end when neither rows nor reports ever come', async () => {
    await load(COLUMN);
    putRows(1);
    await runLoad(test_, orchestrations, SILENT);
    for (let day = 0; day < 30; day += 1) {
      test_.clock.advance(24 * HOUR);
      const runId = await tickLoads(test_, orchestrations);
      if (runId !== null) await driveRun(test_, orchestrations, runId, SILENT);
    }
    expect(test_.ingestion.messages).toHaveLength(6);
  });
});

describe('with onUnproven report', () => {
  const REPORT = { onUnproven: 'report' };

  test('an object that ADX never reported is unknown, and is posted again only when doubles are accepted', async () => {
    await load({}, REPORT);
    putRows(1);
    const { runId } = await runLoad(test_, orchestrations, SILENT);
    // A run looks at it behind the fence; none starts for it after that.
    let runs = 0;
    for (let hour = 0; hour < 48; hour += 1) {
      test_.clock.advance(HOUR);
      const settling = await tickLoads(test_, orchestrations);
      if (settling === null) continue;
      runs += 1;
      expect(await driveRun(test_, orchestrations, settling, SILENT)).toMatchObject({
        objects: { unknown: 1 },
      });
    }
    expect(runs).toBe(1);
    expect(await runLoad(test_, orchestrations, SILENT)).toMatchObject({
      objects: { unknown: 1 },
    });
    const retryFailed = { prefix: null, modifiedAfter: null, modifiedBefore: null, retryFailed: true };
    await runLoad(test_, orchestrations, { options: retryFailed, ...SILENT });
    const rerun = async (acceptDoubles: boolean) => {
      test_.clock.advance(1000);
      const options = { ...parseRerun({ objects: 'notIngested', acceptDoubles }), runId };
      const started = await startRerun(test_.loader, orchestrations, {
        rerun: options,
        idempotencyKey: null,
      });
      return driveRun(test_, orchestrations, started.runId, SILENT);
    };
    expect(await rerun(false)).toMatchObject({ state: 'completedWithFailures', objects: { unknown: 1 } });
    expect(test_.ingestion.messages).toHaveLength(1);
    expect(await rerun(true)).toMatchObject({ repostedUnproven: ['in/000'] });
    expect(test_.ingestion.messages).toHaveLength(2);
  });

  test('what the table tells is done: no rows are proof enough', async () => {
    await load(COLUMN, REPORT);
    putRows(2);
    await runUnreported({ ingested: 1 });
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: 2 },
      repostedUnproven: [],
    });
    expect(test_.ingestion.messages).toHaveLength(3);
  });

  test('an object that comes back as it was, after its key was gone, is posted again only when somebody asks for it', async () => {
    await load({}, REPORT);
    putRows(1);
    await runUnreported({ ingested: 1 });
    const object = test_.source.present('in/000')!;
    test_.source.remove('in/000');
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      failures: { goneUnreported: { count: 1 } },
    });
    test_.source.put(object);
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { failedBefore: 1 } } });
    expect(test_.ingestion.messages).toHaveLength(1);
    const options = { prefix: null, modifiedAfter: null, modifiedBefore: null, retryFailed: true };
    expect(await runLoad(test_, orchestrations, { options })).toMatchObject({
      objects: { ingested: 1 },
      repostedUnproven: ['in/000'],
    });
  });

  test('a rewritten key is not kept out for ever', async () => {
    await load({}, { ...REPORT, changed: 'reload' });
    putRows(1);
    await runUnreported({ ingested: 0 });
    test_.source.put({ key: 'in/000' });
    await runLoad(test_, orchestrations);
    expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 1 } });
  });
});
