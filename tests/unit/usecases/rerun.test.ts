import { beforeEach, describe, expect, test } from 'vitest';

import type { RerunOptions } from '../../../shared/domain/run-record.ts';
import type { RunSummary } from '../../../shared/domain/run-summary.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { deleteLoad, putLoad } from '../../../shared/usecases/load-catalog.ts';
import { parseRerun, startRerun } from '../../../shared/usecases/rerun.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { suspendRun } from '../../../shared/usecases/suspend-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { type CrashMoment, crashAt, surviving } from '../../fakes/crashing-loader.ts';
import {
  createMemoryOrchestrations,
  type DriveOptions,
  drive,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { driveRun, putObjects, runLoad } from '../../fakes/run-load.ts';
import { undoRun } from '../../fakes/run-operation.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const HOUR = 3_600_000;
const MOST_SIDE_EFFECTS = 600;
const BEHIND_THE_FENCE = 8 * HOUR;
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(async () => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
  await putLoad(test_.loader, 'flights', definitionOf());
});

/** ADX rejects these keys for good and takes the others. */
function rejecting(...keys: readonly string[]): DriveOptions {
  return {
    whenIdle: () => {
      for (const { sourceId, url } of test_.ingestion.messages) {
        if (keys.includes(new URL(url).pathname.slice(1)))
          test_.ingestion.setStatus(sourceId, {
            status: 'Failed',
            errorCode: 'Stream_WrongNumberOfFields',
            failureStatus: 'Permanent',
          });
      }
      test_.ingestion.settleAll();
    },
  };
}

async function rerun(runId: string, options: Partial<RerunOptions> & DriveOptions = {}): Promise<RunSummary> {
  const { objects = 'failed', acceptDoubles = false, ...driving } = options;
  test_.clock.advance(1000);
  const started = await startRerun(test_.loader, orchestrations, {
    rerun: { runId, objects, acceptDoubles },
    idempotencyKey: null,
  });
  return driveRun(test_, orchestrations, started.runId, driving);
}

const undo = (runId: string) => undoRun(test_.loader, test_.clock, orchestrations, runId);

/** Keys that were posted since so many messages. */
const postedSince = (count: number) =>
  test_.ingestion.messages.slice(count).map(({ url }) => new URL(url).pathname.slice(1));

async function refusal(promise: Promise<unknown>): Promise<LoaderError> {
  const thrown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof LoaderError) return thrown;
  throw new Error(`Not refused: ${String(thrown)}`);
}

describe('a rerun', () => {
  test('loads exactly the objects that failed; a second one finds them loaded', async () => {
    putObjects(test_, 20);
    const first = await runLoad(test_, orchestrations, rejecting('in/003', 'in/011'));
    expect(first.objects).toMatchObject({ ingested: 18, failed: 2 });
    test_.source.put({ key: 'in/new' });

    const again = await rerun(first.runId);
    expect(again).toMatchObject({
      state: 'completed',
      trigger: 'rerun',
      plan: { listed: 2, selected: 2 },
      objects: { ingested: 2, failed: 0 },
    });
    expect(postedSince(20).sort()).toEqual(['in/003', 'in/011']);

    expect(await rerun(first.runId)).toMatchObject({
      state: 'completed',
      plan: { listed: 2, selected: 0, skipped: { unchanged: 2 } },
    });
    expect(test_.ingestion.messages).toHaveLength(22);
    expect(again.tag).not.toBe(first.tag);
  });

  test('of all that was not ingested takes what a cancelled run did not start, and no later object', async () => {
    putObjects(test_, 100);
    const concurrency = { lanes: 1, objectsPerActivity: 25, maxInFlight: 25 };
    await putLoad(test_.loader, 'flights', definitionOf({ concurrency }));
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    const cancelled = await driveRun(test_, orchestrations, runId, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        void cancelRun(test_.loader, runId);
      },
    });
    const posted = test_.ingestion.messages.length;
    expect(cancelled.objects).toMatchObject({ ingested: posted, notStarted: 100 - posted });
    test_.source.put({ key: 'in/new' });
    expect(await rerun(runId, { objects: 'failed' })).toMatchObject({
      plan: { listed: 0 },
      state: 'completed',
    });
    expect(await rerun(runId, { objects: 'notIngested', twice: true })).toMatchObject({
      state: 'completed',
      objects: { ingested: 100 - posted },
    });
    expect(new Set(postedSince(0)).size).toBe(100);
    expect(test_.ingestion.messages).toHaveLength(100);
  });

  test('settles what was reported late, defers what is within its fence, and posts once behind it', async () => {
    putObjects(test_, 3);
    const first = await runLoad(test_, orchestrations, SILENT);
    expect(first.objects.unknown).toBe(3);
    test_.ingestion.setStatus(test_.ingestion.messages[0]!.sourceId, { status: 'Succeeded' });
    expect(await rerun(first.runId, { objects: 'notIngested', ...SILENT })).toMatchObject({
      objects: { ingested: 1, deferred: 2 },
    });
    expect(test_.ingestion.messages).toHaveLength(3);

    test_.clock.advance(BEHIND_THE_FENCE);
    expect(await rerun(first.runId, { objects: 'notIngested', ...SILENT })).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { unknown: 2 },
    });
    expect(test_.ingestion.messages).toHaveLength(5);

    // Nobody reported the second message either: a third one needs a word.
    test_.clock.advance(BEHIND_THE_FENCE);
    await rerun(first.runId, { objects: 'notIngested', ...SILENT });
    expect(test_.ingestion.messages).toHaveLength(5);
    expect(await rerun(first.runId, { objects: 'notIngested', acceptDoubles: true })).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 2 },
    });
    expect(test_.ingestion.messages).toHaveLength(7);
  });

  test.each(['report', 'repost'])(
    'gives up an open object that is gone, which nothing else would settle (onUnproven %s)',
    async (onUnproven) => {
      await putLoad(test_.loader, 'flights', definitionOf({ onUnproven }));
      putObjects(test_, 1);
      const first = await runLoad(test_, orchestrations, SILENT);
      for (let days = 0; days < 3; days += 1) {
        test_.clock.advance(24 * HOUR);
        await runLoad(test_, orchestrations, SILENT);
      }
      const posted = test_.ingestion.messages.length;
      expect(await test_.loader.loads.listUnsettled('flights')).toEqual([]);
      test_.source.remove('in/000');
      expect((await undo(first.runId)).problem?.code).toBe('undoUnsettled');

      expect(await rerun(first.runId, { objects: 'notIngested', ...SILENT })).toMatchObject({
        state: 'completedWithDiscrepancy',
        plan: { listed: 1, selected: 1, skipped: {} },
        objects: { gone: 1 },
        failures: { goneUnreported: { count: 1 } },
      });
      expect(test_.ingestion.messages).toHaveLength(posted);
      expect(await undo(first.runId)).toMatchObject({ state: 'succeeded' });
      expect(await rerun(first.runId, { objects: 'notIngested' })).toMatchObject({
        plan: { listed: 1, selected: 0, skipped: { gone: 1 } },
      });
    },
  );

  test('leaves what earlier runs left open to those runs that are for it', async () => {
    putObjects(test_, 2);
    await runLoad(test_, orchestrations, SILENT);
    test_.source.put({ key: 'in/bad' });
    const second = await runLoad(test_, orchestrations, {
      whenIdle: () =>
        void test_.ingestion.messages.slice(2).map(({ sourceId }) =>
          test_.ingestion.setStatus(sourceId, {
            status: 'Failed',
            errorCode: 'Stream_WrongNumberOfFields',
            failureStatus: 'Permanent',
          }),
        ),
    });
    expect(second.objects).toMatchObject({ failed: 1, deferred: 2 });
    expect(await rerun(second.runId)).toMatchObject({
      plan: { listed: 1 },
      objects: { ingested: 1, deferred: 0, unknown: 0 },
    });
    expect(await test_.loader.loads.listUnsettled('flights')).toMatchObject([{ objects: 2 }]);
  });

  test('posts an object whose URL never expires once more only when doubles are accepted', async () => {
    await putLoad(
      test_.loader,
      'flights',
      definitionOf({ source: { bucket: 'memory-bucket', credentials: 'anonymous' } }),
    );
    putObjects(test_, 2);
    const first = await runLoad(test_, orchestrations, SILENT);
    test_.clock.advance(100 * HOUR);
    expect(await rerun(first.runId, { objects: 'notIngested', ...SILENT })).toMatchObject({
      state: 'completedWithFailures',
      objects: { unknown: 2 },
    });
    expect(test_.ingestion.messages).toHaveLength(2);
    const last = await rerun(first.runId, {
      objects: 'notIngested',
      acceptDoubles: true,
      twice: true,
      whenIdle: () =>
        void test_.ingestion.messages
          .slice(2)
          .map(({ sourceId }) => test_.ingestion.setStatus(sourceId, { status: 'Succeeded' })),
    });
    expect(last).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 2 },
      repostedUnproven: expect.arrayContaining(['in/000', 'in/001']) as unknown,
    });
    expect(test_.ingestion.messages).toHaveLength(4);
  });

  test('loads a key that was overwritten in its present version, and counts one that is gone', async () => {
    putObjects(test_, 4);
    const keys = ['in/000', 'in/001', 'in/002', 'in/003'];
    const first = await runLoad(test_, orchestrations, rejecting(...keys));
    const overwritten = test_.source.put({ key: 'in/001', sizeBytes: 7 });
    test_.source.remove('in/002');
    const again = await rerun(first.runId);
    expect(again).toMatchObject({
      state: 'completed',
      plan: { listed: 4, selected: 3, skipped: { gone: 1 } },
      objects: { ingested: 3 },
      bytesIngested: 207,
    });
    expect(postedSince(4).sort()).toEqual(['in/000', 'in/001', 'in/003']);
    expect(test_.source.presignCalls.slice(4).map(({ version }) => version)).toContain(overwritten.version);
  });

  test('loads a key that was rewritten while it was loaded, as nobody knows which version is in the table', async () => {
    test_.source.put({ key: 'in/1' });
    const first = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (test_.ingestion.messages.length > 0) test_.source.put({ key: 'in/1', sizeBytes: 55 });
        test_.ingestion.settleAll();
      },
    });
    expect(first).toMatchObject({ state: 'completedWithDiscrepancy', objects: { changed: 1 } });
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { changed: 1 } } });
    expect(await rerun(first.runId, { objects: 'notIngested' })).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 1 },
      repostedUnproven: ['in/1'],
    });
    expect(test_.ingestion.messages.slice(1)).toMatchObject([{ rawSizeBytes: 55 }]);
    expect(await rerun(first.runId, { objects: 'notIngested' })).toMatchObject({
      plan: { selected: 0, skipped: { unchanged: 1 } },
    });
  });

  test('works by the present definition', async () => {
    putObjects(test_, 3);
    const first = await runLoad(test_, orchestrations, rejecting('in/000', 'in/001'));
    await putLoad(
      test_.loader,
      'flights',
      definitionOf({ format: { type: 'csv' }, source: { bucket: 'memory-bucket', suffix: '0' } }),
    );
    expect(await rerun(first.runId)).toMatchObject({
      plan: { listed: 2, selected: 1, skipped: { suffix: 1 } },
      objects: { ingested: 1 },
    });
    expect(test_.ingestion.messages.at(-1)!.format).toBe('csv');
  });

  test('goes through thousands of objects page by page, each once', async () => {
    putObjects(test_, 5000);
    const keys = Array.from({ length: 4500 }, (_, index) => `in/${String(index).padStart(3, '0')}`);
    const first = await runLoad(test_, orchestrations, { whenIdle: () => undefined, ...rejecting(...keys) });
    expect(first.objects).toMatchObject({ failed: 4500, ingested: 500 });
    expect(await rerun(first.runId)).toMatchObject({
      state: 'completed',
      plan: { listed: 4500, selected: 4500 },
      objects: { ingested: 4500 },
    });
    expect(new Set(postedSince(5000)).size).toBe(4500);
  }, 60_000);

  test('tries a page again when S3 does not answer, and never takes that for a missing object', async () => {
    putObjects(test_, 3);
    const first = await runLoad(test_, orchestrations, rejecting('in/000', 'in/001', 'in/002'));
    test_.source.failNext('head', new LoaderError('sourceUnavailable', '503'), 2);
    expect(await rerun(first.runId)).toMatchObject({ state: 'completed', objects: { ingested: 3 } });
  });
});

const start = (
  runId: string,
  idempotencyKey: string | null = null,
  objects: RerunOptions['objects'] = 'failed',
) =>
  startRerun(test_.loader, orchestrations, {
    rerun: { runId, objects, acceptDoubles: false },
    idempotencyKey,
  });

describe('a rerun that is asked for again before it has ended', () => {
  /** A run of which one object failed, and its rerun, just begun. */
  async function begin() {
    putObjects(test_, 3);
    const { runId } = await runLoad(test_, orchestrations, rejecting('in/000'));
    test_.clock.advance(1000);
    const begun = await start(runId);
    expect(begun.isNew).toBe(true);
    test_.clock.advance(1000);
    return { runId, begun };
  }

  test('is the same run as long as that has planned nothing: what it has seen may be another by then', async () => {
    const { runId, begun } = await begin();
    expect(await start(runId)).toEqual({ runId: begun.runId, isNew: false });
    const asked: Promise<{ readonly code: string }>[] = [];
    const summary = await driveRun(test_, orchestrations, begun.runId, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        asked.push(refusal(start(runId)));
      },
    });
    const [first] = await Promise.all(asked);
    expect(first).toMatchObject({ code: 'loadBusy', facts: { runId: begun.runId } });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 1 } });
    expect(postedSince(3)).toEqual(['in/000']);
    // It has ended: this is another one.
    test_.clock.advance(1000);
    expect((await start(runId)).isNew).toBe(true);
  });

  test('is the same run also where its start was cut off behind the lock', async () => {
    putObjects(test_, 3);
    const { runId } = await runLoad(test_, orchestrations, rejecting('in/000'));
    test_.clock.advance(1000);
    const { createRun } = test_.loader.runs;
    test_.loader.runs.createRun = () => Promise.reject(new Error('the host dies'));
    await expect(start(runId)).rejects.toThrow('the host dies');
    test_.loader.runs.createRun = createRun;
    const answer = await start(runId);
    expect(answer.isNew).toBe(false);
    test_.clock.advance(60_000);
    await tick(test_.loader, orchestrations);
    expect(await driveRun(test_, orchestrations, answer.runId)).toMatchObject({ objects: { ingested: 1 } });
  });

  test('is another one, for which the load is busy, with other options or with a key of its own', async () => {
    const { runId, begun } = await begin();
    const busy = { code: 'loadBusy', facts: { runId: begun.runId } };
    expect(await refusal(start(runId, null, 'notIngested'))).toMatchObject(busy);
    expect(
      await refusal(
        startRerun(test_.loader, orchestrations, {
          rerun: { runId, objects: 'failed', acceptDoubles: true },
          idempotencyKey: null,
        }),
      ),
    ).toMatchObject(busy);
    expect(await refusal(start(runId, 'key'))).toMatchObject(busy);
    await driveRun(test_, orchestrations, begun.runId);
    expect((await start(runId, 'key')).isNew).toBe(true);
  });

  test.each<[string, (runId: string) => Promise<unknown>]>([
    ['the first is being cancelled', (runId) => cancelRun(test_.loader, runId)],
    ['the first is suspended', (runId) => suspendRun(test_.loader, runId)],
    [
      'the definition is another one by now',
      () => putLoad(test_.loader, 'flights', definitionOf({ retry: { attempts: 1 } })),
    ],
  ])('is another one when %s', async (_, between) => {
    const { runId, begun } = await begin();
    await between(begun.runId);
    expect(await refusal(start(runId))).toMatchObject({ code: 'loadBusy', facts: { runId: begun.runId } });
  });
});

describe('a rerun is refused', () => {
  test('for a run that there is not, or that has not ended, and while the load is busy', async () => {
    putObjects(test_, 2);
    expect((await refusal(start('none'))).code).toBe('runNotFound');
    const first = await runLoad(test_, orchestrations, rejecting('in/000'));
    test_.clock.advance(1000);
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    expect(await refusal(start(runId))).toMatchObject({ code: 'loadBusy', facts: { runId } });
    expect(await refusal(start(first.runId))).toMatchObject({ code: 'loadBusy', facts: { runId } });
  });

  test('when the ledger of that run is not the present one any more', async () => {
    putObjects(test_, 2);
    const first = await runLoad(test_, orchestrations, rejecting('in/000'));
    await putLoad(
      test_.loader,
      'flights',
      definitionOf({
        destination: { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'Other' },
      }),
    );
    expect((await refusal(start(first.runId))).code).toBe('loadChanged');
    await deleteLoad(test_.loader, 'flights');
    expect((await refusal(start(first.runId))).code).toBe('loadNotFound');
  });

  test('when the destination changes between the request and the plan: then the run fails by that name', async () => {
    putObjects(test_, 2);
    const first = await runLoad(test_, orchestrations, rejecting('in/000'));
    const { get } = test_.loader.documents;
    let reads = 0;
    test_.loader.documents.get = async (path) => {
      if (path === 'loads/flights.json') {
        reads += 1;
        if (reads === 3)
          await putLoad(
            test_.loader,
            'flights',
            definitionOf({
              destination: { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'Other' },
            }),
          );
      }
      return get(path);
    };
    const { runId } = await start(first.runId);
    expect(await driveRun(test_, orchestrations, runId)).toMatchObject({
      state: 'failed',
      problem: { code: 'loadChanged' },
    });
  });

  test('with an idempotency key that belongs to another request; the same request gets the same run', async () => {
    putObjects(test_, 2);
    const first = await runLoad(test_, orchestrations, rejecting('in/000'));
    const begun = await start(first.runId, 'key');
    expect(await start(first.runId, 'key')).toEqual({ runId: begun.runId, isNew: false });
    await driveRun(test_, orchestrations, begun.runId);
    expect(await start(first.runId, 'key')).toEqual({ runId: begun.runId, isNew: false });
    expect((await refusal(start(first.runId, 'key', 'notIngested'))).code).toBe('idempotencyMismatch');
  });

  test('when the body is not one', () => {
    expect(parseRerun(undefined)).toEqual({ objects: 'failed', acceptDoubles: false });
    expect(parseRerun({ objects: 'notIngested', acceptDoubles: true })).toEqual({
      objects: 'notIngested',
      acceptDoubles: true,
    });
    expect(() => parseRerun({ objects: 'all', doubles: 1 })).toThrow(
      expect.objectContaining({
        code: 'invalidRequest',
        problems: [
          { field: 'objects', message: 'must be failed or notIngested' },
          { field: 'doubles', message: expect.any(String) as unknown },
        ],
      }) as Error,
    );
  });
});

describe.each<[CrashMoment, boolean]>([
  ['before', false],
  ['after', true],
])('a host that dies %s a side effect of a rerun (activities twice: %s)', (moment, twice) => {
  test('loses nothing and loads nothing twice', async () => {
    const FAILED = Array.from({ length: 30 }, (_, index) => `in/${String(index).padStart(3, '0')}`);
    let crashes = 0;
    for (let number = 0; number < MOST_SIDE_EFFECTS; number += 4) {
      test_ = createTestLoader();
      orchestrations = createMemoryOrchestrations();
      await putLoad(test_.loader, 'flights', definitionOf());
      putObjects(test_, 40);
      const first = await runLoad(test_, orchestrations, rejecting(...FAILED));
      test_.clock.advance(1000);
      const host = crashAt(test_.loader, number, moment);
      const rerunOptions = { runId: first.runId, objects: 'notIngested', acceptDoubles: false } as const;
      const order = () =>
        startRerun(host.loader, host.orchestrations(orchestrations), {
          rerun: rerunOptions,
          idempotencyKey: null,
        });
      await surviving(host, order);
      if ((await test_.loader.loads.readLock('flights')) === null) await order();
      for (let minute = 0; minute < 10; minute += 1) {
        test_.clock.advance(60_000);
        await surviving(host, () => tick(host.loader, host.orchestrations(orchestrations)));
        for (const [, input] of orchestrations.started) {
          const view = await test_.loader.runs.readRun(input.runId);
          if (view === null || view.run.value.finalState !== null) continue;
          await drive(host.loader, test_.clock, input, {
            host,
            twice,
            whenIdle: () => void test_.ingestion.settleAll(),
          });
        }
      }
      if (host.deaths() === 0) break;
      crashes += 1;
      expect(await test_.loader.loads.readLock('flights')).toBeNull();
      test_.clock.advance(BEHIND_THE_FENCE);
      await rerun(first.runId, { objects: 'notIngested' });
      expect({ number, posted: postedSince(40).sort() }).toEqual({ number, posted: FAILED });
    }
    expect(crashes).toBeGreaterThan(10);
    expect(crashes).toBeLessThan(MOST_SIDE_EFFECTS / 4);
  }, 60_000);
});
