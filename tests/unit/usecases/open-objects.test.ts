import { beforeEach, describe, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { announceKeys, driveRun, putObjects, runLoad, tickHours, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const BEHIND_THE_FENCE = 8 * HOUR;
/** ADX says nothing, until the deadline of the run. */
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

const tickOnce = () => tickLoads(test_, orchestrations);
const announce = (...keys: string[]) => announceKeys(test_, keys);

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

/** One object, posted by two runs, and ADX reports on neither message. */
async function postTwiceSilently(changes: Parameters<typeof definitionOf>[0] = {}): Promise<void> {
  putObjects(test_, 1);
  await putLoad(test_.loader, 'flights', definitionOf(changes));
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  await runLoad(test_, orchestrations, SILENT);
}

async function outcomesOf(runId: string): Promise<readonly string[]> {
  const { objects } = await listObjects(test_.loader, runId, { state: null, limit: 1000, after: null });
  return objects.map(({ key }) => key);
}

describe('objects that a run leaves open', () => {
  test('are handed on from run to run, and each run counts them once', async () => {
    putObjects(test_, 5);
    await putLoad(test_.loader, 'flights', definitionOf());
    await runLoad(test_, orchestrations, SILENT);
    // The second run hands on what the first one posted; the third finds it there and while listing.
    const second = await runLoad(test_, orchestrations, SILENT);
    const third = await runLoad(test_, orchestrations, SILENT);
    for (const { runId, objects } of [second, third]) {
      expect(objects).toMatchObject({ deferred: 5, unknown: 0 });
      expect(await outcomesOf(runId)).toHaveLength(5);
    }
    test_.clock.advance(BEHIND_THE_FENCE);
    const fourth = await runLoad(test_, orchestrations);
    expect(fourth).toMatchObject({ objects: { ingested: 5, deferred: 0 }, plan: { selected: 5 } });
    expect(test_.ingestion.messages).toHaveLength(10);
  });

  test('are counted once although a cancelled run has handed them on as well', async () => {
    putObjects(test_, 5);
    await putLoad(test_.loader, 'flights', definitionOf());
    await runLoad(test_, orchestrations, SILENT);
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    let looks = 0;
    const cancelled = await driveRun(test_, orchestrations, runId, {
      whenIdle: () => {
        looks += 1;
        if (looks === 1) void cancelRun(test_.loader, runId);
      },
    });
    expect(cancelled.state).toBe('cancelled');
    expect(await test_.loader.loads.listUnsettled('flights')).not.toHaveLength(0);
    const next = await runLoad(test_, orchestrations);
    expect(await outcomesOf(next.runId)).toHaveLength(next.plan.selected);
    expect(new Set(await outcomesOf(next.runId)).size).toBe(next.plan.selected);
  });

  test('are not lost when a newer version was announced meanwhile', async () => {
    putObjects(test_, 1);
    await putLoad(test_.loader, 'flights', definitionOf({ events: true, changed: 'reload' }));
    await runLoad(test_, orchestrations, SILENT);
    test_.source.put({ key: 'in/000', sizeBytes: 77 });
    await announce('in/000');
    // The new version has to wait: the message of the old one may still be alive.
    const waiting = await driveRun(test_, orchestrations, (await tickOnce())!, SILENT);
    expect(waiting).toMatchObject({ trigger: 'events', objects: { ingested: 0, deferred: 1 } });

    test_.clock.advance(BEHIND_THE_FENCE);
    const settling = await driveRun(test_, orchestrations, (await tickOnce())!);
    expect(settling.failures).toHaveProperty('objectChanged');
    const last = await driveRun(test_, orchestrations, (await tickOnce())!);
    expect(last).toMatchObject({ trigger: 'events', objects: { ingested: 1 } });
    expect(test_.ingestion.messages).toHaveLength(2);
    expect(await tickOnce()).toBeNull();
  });

  test('start no run each minute while the table is away', async () => {
    putObjects(test_, 1);
    await putLoad(test_.loader, 'flights', definitionOf());
    await runLoad(test_, orchestrations, SILENT);
    test_.clock.advance(BEHIND_THE_FENCE);
    const gone = new LoaderError('tableNotFound', 'no such table');
    test_.ingestion.failNext('describeTable', gone, 100);
    let runs = 0;
    for (let minute = 0; minute < 60; minute += 1) {
      const runId = await tickOnce();
      if (runId !== null) {
        runs += 1;
        expect((await driveRun(test_, orchestrations, runId)).state).toBe('failed');
      }
      test_.clock.advance(MINUTE);
    }
    expect(runs).toBeGreaterThanOrEqual(5);
    expect(runs).toBeLessThanOrEqual(6);
  });
});

test('a run that begins to settle after others have settled everything loads nothing', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/new' });
  expect(await runLoad(test_, orchestrations, { trigger: 'settle' })).toMatchObject({
    state: 'completed',
    plan: { listed: 0, selected: 0 },
  });
  expect(test_.ingestion.messages).toHaveLength(0);
});

test('an object that no queue took is tried again by the next run', async () => {
  putObjects(test_, 2);
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.ingestion.endPosts((request) => (request.url.includes('001') ? 'refused' : 'accepted'));
  expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 1, failed: 1 } });
  test_.ingestion.endPosts('accepted');
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: 1 },
    plan: { skipped: { unchanged: 1 } },
  });
}, 20_000);

describe('an idempotency key', () => {
  const request = { load: 'flights', trigger: 'manual', idempotencyKey: 'key-1' } as const;

  test('whose first request was cut off before the lock starts the run that it announced', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    const { acquireLock } = test_.loader.loads;
    test_.loader.loads.acquireLock = () => Promise.reject(new Error('The host is gone'));
    await expect(startRun(test_.loader, orchestrations, request)).rejects.toThrow('The host is gone');
    test_.loader.loads.acquireLock = acquireLock;
    const again = await startRun(test_.loader, orchestrations, request);
    expect(orchestrations.started.has(`${again.runId}-e1`)).toBe(true);
    expect(await startRun(test_.loader, orchestrations, request)).toEqual({
      runId: again.runId,
      isNew: false,
    });
    expect(orchestrations.started.size).toBe(1);
  });

  test('that comes twice at once starts one run', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    const answers = await Promise.all([1, 2, 3].map(() => startRun(test_.loader, orchestrations, request)));
    expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
    expect(answers.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(orchestrations.started.size).toBe(1);
  });
});

const loadedKeys = () => test_.ingestion.messages.map(({ url }) => new URL(url).pathname.slice(1)).sort();

test('announced objects are not lost when the credentials end while a page of them is looked at', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  const keys = Array.from({ length: 40 }, (_, index) => `in/${String(index).padStart(2, '0')}`);
  for (const key of keys) test_.source.put({ key });
  await announce(...keys);
  const { head } = test_.source;
  let heads = 0;
  let areRenewed = false;
  test_.loader.source = async () => ({
    ...test_.source,
    head: (key) => {
      heads += 1;
      if (heads > 20 && !areRenewed)
        return Promise.reject(new LoaderError('sourceAccessDenied', 'HEAD, HTTP 403'));
      return head(key);
    },
    listPage: (input) =>
      areRenewed
        ? test_.source.listPage(input)
        : Promise.reject(new LoaderError('sourceAccessDenied', 'ExpiredToken')),
  });
  await driveRun(test_, orchestrations, (await tickOnce())!);
  areRenewed = true;
  await tickHours(test_, orchestrations, 2);
  expect(loadedKeys()).toEqual(keys);
});

test('one object that can not be looked at does not keep others from being posted again behind the fence', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  test_.source.put({ key: 'in/2' });
  await runLoad(test_, orchestrations, SILENT);
  const { head } = test_.source;
  test_.loader.source = async () => ({
    ...test_.source,
    head: (key) =>
      key === 'in/1' ? Promise.reject(new LoaderError('sourceAccessDenied', 'HTTP 403')) : head(key),
  });
  test_.clock.advance(BEHIND_THE_FENCE);
  await tickHours(test_, orchestrations, 3);
  expect(loadedKeys().filter((key) => key === 'in/2')).toHaveLength(2);
});

test('an object that was posted again without proof is named as such, also when the queues refused it first', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  test_.ingestion.endPosts('refused');
  await driveRun(test_, orchestrations, (await tickOnce())!);
  test_.ingestion.endPosts('accepted');
  const last = await runLoad(test_, orchestrations);
  expect(last).toMatchObject({ state: 'completedWithDiscrepancy', repostedUnproven: ['in/1'] });
}, 20_000);

test('a late success of the first message settles an object that was posted again, at the next look', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  const first = test_.ingestion.messages[0]!;
  test_.clock.advance(BEHIND_THE_FENCE);
  await driveRun(test_, orchestrations, (await tickOnce())!, SILENT);
  test_.ingestion.setStatus(first.sourceId, { status: 'Succeeded' });
  const third = await runLoad(test_, orchestrations, SILENT);
  expect(third.objects.ingested).toBe(1);
});

test('a late success of the first message settles it also when the second has failed', async () => {
  await postTwiceSilently();
  const [first, second] = test_.ingestion.messages;
  test_.ingestion.setStatus(first!.sourceId, { status: 'Succeeded' });
  const updatedAt = new Date(test_.clock.now().getTime() + BEHIND_THE_FENCE).toISOString();
  test_.ingestion.setStatus(second!.sourceId, {
    status: 'Failed',
    errorCode: 'Download_Forbidden',
    failureStatus: 'Permanent',
    updatedAt,
  });
  test_.clock.advance(MINUTE);
  expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 1 } });
  expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 1 } } });
  expect(test_.ingestion.messages).toHaveLength(2);
});

test('an object that is gone before anybody reported on its message is told as such, and never called completed', async () => {
  putObjects(test_, 1);
  await putLoad(test_.loader, 'flights', definitionOf());
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  const object = test_.source.present('in/000')!;
  test_.source.remove('in/000');
  expect(await runLoad(test_, orchestrations, SILENT)).toMatchObject({
    state: 'completedWithDiscrepancy',
    objects: { gone: 1 },
    failures: { goneUnreported: { count: 1 } },
  });
  // It comes back as it was: its rows may be there.
  test_.source.put(object);
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    objects: { ingested: 1 },
    repostedUnproven: ['in/000'],
  });
});

/** What keeps a run from looking at an object that is a person's to post again. */
const TROUBLES: readonly (readonly [string, (runId: string) => void])[] = [
  [
    'the cluster is away',
    () => test_.ingestion.failNext('warmUp', new LoaderError('clusterUnavailable', 'HTTP 503'), 5),
  ],
  [
    'S3 does not answer',
    () => test_.source.failNext('head', new LoaderError('sourceUnavailable', 'HTTP 503'), 5),
  ],
  [
    'the credentials have ended',
    () => {
      test_.source.failNext('head', new LoaderError('sourceAccessDenied', 'HTTP 403'));
      test_.source.failNext('listPage', new LoaderError('sourceAccessDenied', 'ExpiredToken'));
    },
  ],
  [
    'it was cancelled',
    (runId) => {
      const { warmUp } = test_.ingestion;
      test_.ingestion.warmUp = () => {
        test_.ingestion.warmUp = warmUp;
        return cancelRun(test_.loader, runId).then(warmUp);
      };
    },
  ],
];

describe.each(TROUBLES)(
  'a run that can not look at open objects behind their fence, as %s',
  (_name, trouble) => {
    /** A newer version is announced within the fence: its event is used up. Then the run that is to settle has its trouble. */
    async function rewriteAndSettle(): Promise<void> {
      test_.source.put({ key: 'in/000', sizeBytes: 222 });
      await announce('in/000');
      await driveRun(test_, orchestrations, (await tickOnce())!, SILENT);
      test_.clock.advance(BEHIND_THE_FENCE);
      const runId = (await tickOnce())!;
      trouble(runId);
      expect(await driveRun(test_, orchestrations, runId, SILENT)).toMatchObject({ objects: { changed: 0 } });
      await tickHours(test_, orchestrations, 3);
    }

    test('loses no newer version of an object of two messages', async () => {
      await postTwiceSilently({ events: true });
      await rewriteAndSettle();
      expect(test_.ingestion.messages.slice(2)).toMatchObject([{ rawSizeBytes: 222 }]);
    });

    test('loses no newer version of an object that is only reported', async () => {
      putObjects(test_, 1);
      await putLoad(test_.loader, 'flights', definitionOf({ events: true, onUnproven: 'report' }));
      await runLoad(test_, orchestrations, SILENT);
      await rewriteAndSettle();
      expect(test_.ingestion.messages.slice(1)).toMatchObject([{ rawSizeBytes: 222 }]);
    });
  },
);

test('a run that looks at an object within its fence, and ends behind it, loses no newer version of its key', async () => {
  const { presignGet } = test_.source;
  test_.source.presignGet = (input) => {
    const lifetimeMs = input.lifetimeMs + (input.key === 'in/000' ? 10 * MINUTE : 0);
    return presignGet({ ...input, lifetimeMs });
  };
  putObjects(test_, 1);
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  // The second message of the one, whose URL lives for ten minutes longer, beside the first of its neighbour.
  test_.source.put({ key: 'in/001' });
  const posted = test_.clock.now().getTime();
  await runLoad(test_, orchestrations, SILENT);
  test_.source.put({ key: 'in/000', sizeBytes: 222 });
  await announce('in/000');
  await driveRun(test_, orchestrations, (await tickOnce())!, SILENT);
  test_.clock.advance(posted + 7 * HOUR + 5 * MINUTE - test_.clock.now().getTime());
  // The neighbour is posted once more, and waited for.
  expect(await runLoad(test_, orchestrations, SILENT)).toMatchObject({ objects: { unknown: 2 } });
  await tickHours(test_, orchestrations, 3);
  expect(test_.ingestion.messages.at(-1)).toMatchObject({ rawSizeBytes: 222 });
});

test('an object of two messages without a report does not keep a newer version of its key out', async () => {
  await postTwiceSilently({ events: true, changed: 'reload' });
  test_.clock.advance(BEHIND_THE_FENCE);
  test_.source.put({ key: 'in/000', sizeBytes: 222 });
  await announce('in/000');
  for (let minute = 0; minute < 30; minute += 1) {
    test_.clock.advance(MINUTE);
    const runId = await tickOnce();
    if (runId !== null)
      await driveRun(test_, orchestrations, runId, { whenIdle: () => void test_.ingestion.settleAll() });
  }
  expect(test_.ingestion.messages.at(-1)).toMatchObject({ rawSizeBytes: 222 });
  expect(test_.ingestion.messages).toHaveLength(3);
});

test('an event that comes just after its key was looked at in vain is not used up', async () => {
  await postTwiceSilently({ events: true });
  test_.clock.advance(BEHIND_THE_FENCE);
  await announce('in/none');
  const { head } = test_.source;
  test_.source.head = async (key) => {
    const seen = await head(key);
    if (key !== 'in/000') return seen;
    test_.source.head = head;
    test_.source.put({ key, sizeBytes: 222 });
    await announce(key);
    return seen;
  };
  expect(await driveRun(test_, orchestrations, (await tickOnce())!, SILENT)).toMatchObject({
    trigger: 'events',
    objects: { unknown: 1 },
    plan: { skipped: { unsettled: 1 } },
  });
  await tickHours(test_, orchestrations, 1);
  expect(test_.ingestion.messages.slice(2)).toMatchObject([{ rawSizeBytes: 222 }]);
  expect(await tickOnce()).toBeNull();
});

test('an announced object that is gone again is given up where an earlier message for it has no report', async () => {
  await postTwiceSilently({ events: true });
  test_.clock.advance(BEHIND_THE_FENCE);
  await driveRun(test_, orchestrations, (await tickOnce())!, SILENT);
  expect(await test_.loader.loads.listUnsettled('flights')).toEqual([]);
  test_.source.put({ key: 'in/000' });
  await announce('in/000');
  test_.source.remove('in/000');
  expect(await driveRun(test_, orchestrations, (await tickOnce())!, SILENT)).toMatchObject({
    trigger: 'events',
    objects: { gone: 1 },
    failures: { goneUnreported: { count: 1 } },
  });
});

test('an announced object whose URL expired with the credentials is signed again by a later run', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true, retry: { attempts: 1 } }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  const { presignGet } = test_.source;
  let isShort = true;
  test_.loader.source = async () => ({
    ...test_.source,
    presignGet: (input) => presignGet(isShort ? { ...input, lifetimeMs: 5000 } : input),
  });
  const first = await driveRun(test_, orchestrations, (await tickOnce())!, {
    whenIdle: () => {
      const age = test_.clock.now().getTime() - Date.parse('2026-01-31T12:00:00.000Z');
      if (age > 6000)
        test_.ingestion.settleAll({
          status: 'Failed',
          errorCode: 'Download_Forbidden',
          failureStatus: 'Permanent',
        });
    },
  });
  expect(first.failures).toHaveProperty('urlExpired');
  isShort = false;
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toHaveLength(2);
});
