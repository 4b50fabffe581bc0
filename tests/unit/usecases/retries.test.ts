import { beforeEach, describe, expect, test } from 'vitest';

import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import type { Documents } from '../../../shared/ports/documents.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { settleShard } from '../../../shared/usecases/settle-shard.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { postShard, settleAndFinish, takeFirstShard } from '../../fakes/run-by-hand.ts';
import { putObjects, runLoad } from '../../fakes/run-load.ts';
import { sleepingPlace } from '../../fakes/sleeping-place.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

const attemptsAt = (key: string) =>
  test_.ingestion.attempts.filter(({ request }) => request.url.includes(key));

/** ADX's answer to messages of keys that hold the text: the n-th of `answers` to the n-th message of a key. */
function answering(text: string, ...answers: readonly (string | null)[]) {
  return () => {
    for (const message of test_.ingestion.messages.filter(({ url }) => url.includes(text))) {
      const number = attemptsAt(new URL(message.url).pathname).findIndex(
        ({ request }) => request.sourceId === message.sourceId,
      );
      const errorCode = answers[number] ?? null;
      if (errorCode === null) continue;
      test_.ingestion.setStatus(message.sourceId, {
        status: 'Failed',
        errorCode,
        failureStatus: 'Exhausted',
      });
    }
    test_.ingestion.settleAll();
  };
}

describe('a run posts once more', () => {
  test.each([false, true])(
    'what every queue refused, after a pause (activities run twice: %s)',
    async (twice) => {
      await putLoad(test_.loader, 'flights', definitionOf());
      putObjects(test_, 30);
      test_.ingestion.endPosts(({ url }) =>
        url.includes('007') && attemptsAt('007').length === 0 ? 'refused' : 'accepted',
      );
      const summary = await runLoad(test_, orchestrations, { twice });
      expect(summary).toMatchObject({
        state: 'completed',
        objects: { ingested: 30, failed: 0 },
        failures: {},
      });
      expect(summary.plan.selected).toBe(30);
      expect(test_.ingestion.messages).toHaveLength(30);
      expect(new Set(attemptsAt('007').map(({ request }) => request.sourceId)).size).toBe(2);
      const { objects } = await listObjects(test_.loader, summary.runId, {
        state: null,
        limit: 100,
        after: null,
      });
      expect(objects).toHaveLength(30);
      expect(objects.find(({ key }) => key === 'in/007')).toMatchObject({ state: 'ingested', attempts: 2 });
    },
  );

  test('what ADX gave up, with pauses that grow, and gives up itself after so many attempts', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ retry: { attempts: 3, firstDelaySeconds: 10 } }));
    putObjects(test_, 5);
    const exhausted = 'General_RetryAttemptsExceeded';
    const times: number[] = [];
    test_.ingestion.endPosts(({ url }) => {
      if (url.includes('003')) times.push(test_.clock.now().getTime());
      return 'accepted';
    });
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: answering('003', exhausted, exhausted, exhausted),
    });
    expect(summary).toMatchObject({
      state: 'completedWithFailures',
      objects: { ingested: 4, failed: 1 },
      failures: { ingestionExhausted: { count: 1 } },
    });
    const pauses = times.slice(1).map((time, index) => time - times[index]!);
    expect(pauses).toHaveLength(2);
    expect(pauses[0]!).toBeGreaterThanOrEqual(5000);
    expect(pauses[1]!).toBeGreaterThanOrEqual(20_000);
  });

  test('what ADX had no capacity for; when that lasts, the next run does', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ retry: { attempts: 2, firstDelaySeconds: 10 } }));
    putObjects(test_, 5);
    const throttled = 'General_ThrottledIngestion';
    const first = await runLoad(test_, orchestrations, { whenIdle: answering('003', throttled, throttled) });
    expect(first).toMatchObject({ objects: { ingested: 4, failed: 1 } });
    expect(first.failures).toHaveProperty('ingestionThrottled');
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: 1 },
    });
    expect(attemptsAt('003')).toHaveLength(3);
  });

  test('what ADX came too late to read, under a new URL', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ retry: { attempts: 2, firstDelaySeconds: 1 } }));
    putObjects(test_, 1);
    const { presignGet } = test_.source;
    let end: Date | null = null;
    test_.source.presignGet = async (input) => {
      if (end !== null) return presignGet(input);
      const signed = await presignGet({ ...input, lifetimeMs: 5000 });
      end = signed.expiresAt;
      return signed;
    };
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        const [first] = test_.ingestion.messages;
        if (test_.ingestion.messages.length === 1 && end !== null && test_.clock.now() > end)
          test_.ingestion.setStatus(first!.sourceId, {
            status: 'Failed',
            errorCode: 'Download_Forbidden',
            failureStatus: 'Permanent',
          });
        if (test_.ingestion.messages.length === 2) test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 1, failed: 0 } });
    expect(summary.failures).toEqual({});
    expect(test_.ingestion.messages).toHaveLength(2);
    expect(test_.source.presignCalls).toHaveLength(2);
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 1 } } });
  });

  test('never what is wrong with the object', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 3);
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: answering('001', 'Stream_WrongNumberOfFields'),
    });
    expect(summary.objects).toMatchObject({ ingested: 2, failed: 1 });
    expect(attemptsAt('001')).toHaveLength(1);
  });

  test('nothing when it is cancelled: what failed is accounted for as failed', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ retry: { firstDelaySeconds: 900 } }));
    putObjects(test_, 3);
    test_.ingestion.endPosts(({ url }) => (url.includes('001') ? 'refused' : 'accepted'));
    const start = test_.clock.now().getTime();
    let asked = false;
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        // By now the shard has been closed, and its retry is minutes away.
        if (asked || test_.clock.now().getTime() - start < 60_000) return;
        asked = true;
        void cancelLatest();
      },
    });
    expect(asked).toBe(true);
    expect(summary).toMatchObject({ state: 'cancelled', objects: { ingested: 2, failed: 1, notStarted: 0 } });
    expect(attemptsAt('001')).toHaveLength(1);
    expect(Date.parse(summary.endedAt) - start).toBeLessThan(400_000);
  });
});

test('an object of which ADX has ingested a part is not posted again by itself, and is named when somebody asks for it', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  putObjects(test_, 2);
  const first = await runLoad(test_, orchestrations, {
    whenIdle: () => {
      const message = test_.ingestion.messages.find(({ url }) => url.includes('001'));
      if (message !== undefined)
        test_.ingestion.setStatus(message.sourceId, { status: 'PartiallySucceeded' });
      test_.ingestion.settleAll();
    },
  });
  expect(first).toMatchObject({
    state: 'completedWithDiscrepancy',
    objects: { ingested: 1, failed: 1 },
    failures: { partlyIngested: { count: 1 } },
    repostedUnproven: [],
  });
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    plan: { skipped: { unchanged: 1, failedBefore: 1 } },
  });
  expect(attemptsAt('001')).toHaveLength(1);
  // The rows that are there stay, and come once more.
  const options = { ...NO_OPTIONS, retryFailed: true };
  expect(await runLoad(test_, orchestrations, { options })).toMatchObject({
    state: 'completedWithDiscrepancy',
    objects: { ingested: 1 },
    repostedUnproven: ['in/001'],
  });
});

async function cancelLatest(): Promise<void> {
  const { runs } = await test_.loader.runs.listRuns({ load: 'flights', limit: 1 });
  await cancelRun(test_.loader, runs[0]!.runId);
}

describe('a key that is not what it was when it was listed', () => {
  const GONE = {
    status: 'Failed',
    errorCode: 'Download_SourceNotFound',
    failureStatus: 'Permanent',
  } as const;

  test('is gone', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 3);
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        test_.source.remove('in/001');
        const message = test_.ingestion.messages.find(({ url }) => url.includes('001'))!;
        test_.ingestion.setStatus(message.sourceId, GONE);
        test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 2, gone: 1, failed: 0 } });
    expect(attemptsAt('001')).toHaveLength(1);
  });

  test('was not there for a while, and is loaded as what it is now, once more', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 3);
    let replaced = '';
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (replaced === '') {
          replaced = test_.source.put({ key: 'in/001', sizeBytes: 77 }).version;
          const message = test_.ingestion.messages.find(({ url }) => url.includes('001'))!;
          test_.ingestion.setStatus(message.sourceId, GONE);
        }
        test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 3 }, bytesIngested: 277 });
    const { objects } = await listObjects(test_.loader, summary.runId, {
      state: null,
      limit: 9,
      after: null,
    });
    expect(objects.find(({ key }) => key === 'in/001')).toMatchObject({
      version: replaced,
      state: 'ingested',
    });
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 3 } } });
  });

  test('was rewritten before its post: the ledger knows which version was loaded', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
    test_.source.put({ key: 'in/1' });
    const { listPage } = test_.source;
    test_.source.listPage = async (input) => {
      const page = await listPage(input);
      test_.source.listPage = listPage;
      test_.source.put({ key: 'in/1', sizeBytes: 55 });
      test_.clock.advance(60_000);
      return page;
    };
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: 1 },
    });
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 1 } } });
    expect(test_.ingestion.messages).toHaveLength(1);
  });

  test('was rewritten while it was loaded: nobody knows which version it was, and the run says so', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
    test_.source.put({ key: 'in/1' });
    const first = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (test_.ingestion.messages.length > 0) test_.source.put({ key: 'in/1', sizeBytes: 55 });
        test_.ingestion.settleAll();
      },
    });
    expect(first).toMatchObject({ state: 'completedWithDiscrepancy', objects: { ingested: 0, changed: 1 } });
    // The new version may be loaded already: it is loaded beside the old one, and the next run says that too.
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 1 },
      repostedUnproven: ['in/1'],
    });
  });

  test('was rewritten, and nobody may look at it for a while: it is looked at until somebody may', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
    test_.source.put({ key: 'in/1' });
    let isRewritten = false;
    const first = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (test_.ingestion.messages.length === 0 || isRewritten) return;
        isRewritten = true;
        test_.source.put({ key: 'in/1', sizeBytes: 55 });
        test_.source.failNext('head', new LoaderError('sourceAccessDenied', 'the credentials have ended'), 3);
        test_.ingestion.settleAll();
      },
    });
    expect(first).toMatchObject({ state: 'completedWithDiscrepancy', objects: { changed: 1 } });
    expect(test_.logged.some((line) => line.includes('keysNotLookedAtAgain'))).toBe(false);
  });

  test('was rewritten, and the load has another prefix when its report comes: the run says that nobody knows', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 12);
    await runLoad(test_, orchestrations, { whenIdle: () => undefined });
    test_.source.put({ key: 'in/005', sizeBytes: 55 });
    test_.clock.advance(60_000);
    test_.ingestion.settleAll();
    const source = { bucket: 'memory-bucket', prefix: 'other/' };
    await putLoad(test_.loader, 'flights', definitionOf({ source }));
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 11, changed: 1 },
    });
  });

  const S3_AWAY = new LoaderError('sourceUnavailable', 'HTTP 503');

  test('is looked at until somebody may, also where ADX reports after many looks', async () => {
    const minutes = 20;
    test_ = createTestLoader({ tables: { 'db/T': { batchingWindowMs: minutes * 60_000 } } });
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    test_.source.failNext('head', S3_AWAY, 3);
    const start = test_.clock.now().getTime();
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (test_.clock.now().getTime() - start >= minutes * 60_000) test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 1 } });
    expect(test_.logged.filter((line) => line.includes('settlingFailed'))).toHaveLength(3);
  });

  test('is looked at once more where ADX has reported just before the deadline', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    test_.source.failNext('head', S3_AWAY, 1);
    const start = test_.clock.now().getTime();
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        // The last look is at 30 minutes, the one before it at 25 or later.
        if (test_.clock.now().getTime() - start >= 26 * 60_000) test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 1 } });
    expect(test_.logged.filter((line) => line.includes('settlingFailed'))).toHaveLength(1);
  });

  test('is looked at until somebody may, also where ADX reported long before the run', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    await runLoad(test_, orchestrations, { whenIdle: () => undefined });
    test_.ingestion.settleAll();
    test_.clock.advance(3_600_000);
    test_.source.failNext('head', S3_AWAY, 3);
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: 1 },
    });
    expect(test_.logged.filter((line) => line.includes('settlingFailed'))).toHaveLength(3);
  });

  test('is not looked at again where keys are written once', async () => {
    const definition = definitionOf();
    const source = { ...(definition['source'] as object), writtenOnce: true };
    await putLoad(test_.loader, 'flights', { ...definition, source });
    putObjects(test_, 40);
    await runLoad(test_, orchestrations);
    expect(test_.source.callCounts).toMatchObject({ head: 0, listPage: 1 });
  });

  test('costs a listing, not a request for each key', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 900);
    const summary = await runLoad(test_, orchestrations);
    expect(summary.objects.ingested).toBe(900);
    expect(test_.source.callCounts.head + test_.source.callCounts.listPage).toBeLessThan(30);
  });

  test('does not keep a run from its end when nobody may look at it any more, and is not taken for what it was', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
    putObjects(test_, 3);
    let isRewritten = false;
    const { head } = test_.source;
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (test_.ingestion.messages.length === 3 && !isRewritten) {
          isRewritten = true;
          test_.source.put({ key: 'in/001', sizeBytes: 55 });
        }
        test_.source.head = () => Promise.reject(new LoaderError('sourceAccessDenied', 'no'));
        test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 3 },
      failures: { versionUnproven: { count: 3 } },
    });
    expect(test_.logged.some((line) => line.includes('keysNotLookedAtAgain'))).toBe(true);
    // Its rows may be those of the new version already: the next run loads that beside them, and says so.
    test_.source.head = head;
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completedWithDiscrepancy',
      objects: { ingested: 1 },
      plan: { skipped: { unchanged: 2 } },
      repostedUnproven: ['in/001'],
    });
  });
});

test('twins that close a shard around a cancel leave no object out', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ concurrency: { lanes: 1 } }));
  putObjects(test_, 2);
  test_.ingestion.endPosts(({ url }) => (url.includes('in/001') ? 'refused' : 'accepted'));
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  await postShard(test_, await takeFirstShard(test_, ref));
  test_.ingestion.settleAll();
  test_.clock.advance(15_000);
  const sleeping = (name: string) => {
    const { sleep, ...place } = sleepingPlace();
    const put: Documents['put'] = async (path, ...rest) => {
      if (path.includes(`/${name}/`)) await sleep();
      return test_.loader.documents.put(path, ...rest);
    };
    return { put, ...place };
  };
  let twins = 0;
  const summary = await settleAndFinish(test_, ref, {
    whenIdle: () => void test_.ingestion.settleAll(),
    settle: async (loader, input) => {
      twins += 1;
      if (twins > 1) return settleShard(loader, input);
      // The one has seen no stop and is about to decide what is posted once more; the other sees the stop.
      const one = sleeping('shards');
      const other = sleeping('outcomes');
      const commit = sleepingPlace();
      const runs = {
        ...loader.runs,
        commit: async (...args: Parameters<typeof loader.runs.commit>) => {
          await commit.sleep();
          return loader.runs.commit(...args);
        },
      };
      const first = settleShard({ ...loader, runs, documents: { ...loader.documents, put: one.put } }, input);
      await one.asleep;
      await cancelRun(loader, runId);
      const second = settleShard({ ...loader, documents: { ...loader.documents, put: other.put } }, input);
      await other.asleep;
      one.awake();
      await commit.asleep;
      other.awake();
      await second;
      commit.awake();
      return first;
    },
  });
  expect(twins).toBeGreaterThan(0);
  const { selected } = summary!.plan;
  const counted = Object.values(summary!.objects).reduce((sum, count) => sum + count, 0);
  expect({ selected, counted }).toEqual({ selected: 2, counted: 2 });
  const { objects } = await listObjects(test_.loader, runId, { state: null, limit: 10, after: null });
  expect(objects.map(({ key }) => key)).toEqual(['in/000', 'in/001']);
});
