import { beforeEach, describe, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, putObjects, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const BEHIND_THE_FENCE = 8 * HOUR;
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

const tickOnce = () => tickLoads(test_, orchestrations);

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

test('a run ends, its objects unknown, when the reports can never be read again', async () => {
  putObjects(test_, 3);
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.ingestion.failNext('readStatuses', new LoaderError('clusterAccessDenied', 'no right'), 1_000_000);
  const before = test_.clock.now().getTime();
  const summary = await runLoad(test_, orchestrations, { mostIdle: 1000 });
  expect(summary.objects).toMatchObject({ unknown: 3 });
  expect(test_.clock.now().getTime() - before).toBeLessThan(2 * HOUR);
});

test('a cancelled run ends when the reports can never be read again', async () => {
  putObjects(test_, 3);
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.ingestion.failNext('readStatuses', new LoaderError('clusterUnavailable', 'deleted'), 1_000_000);
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  let looks = 0;
  const summary = await driveRun(test_, orchestrations, runId, {
    mostIdle: 1000,
    whenIdle: () => {
      looks += 1;
      if (looks === 20) void cancelRun(test_.loader, runId);
    },
  });
  expect(summary.state).toBe('cancelled');
});

test('a cancel that comes while the run ends is refused, and one of a cancelled run says that it is', async () => {
  putObjects(test_, 3);
  await putLoad(test_.loader, 'flights', definitionOf());
  const { runs } = test_.loader;
  const start = () => startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const { runId } = await start();
  const late = {
    ...test_.loader,
    runs: {
      ...runs,
      readControl: async (id: string) => {
        const seen = await runs.readControl(id);
        if (seen?.run.value.finalState === null) await driveRun(test_, orchestrations, runId);
        return seen;
      },
    },
  };
  await expect(cancelRun(late, runId)).rejects.toMatchObject({
    code: 'runEnded',
    facts: { state: 'completed' },
  });
  expect((await runs.readControl(runId))!.control.value.stop).toBeNull();

  test_.clock.advance(1000);
  const next = (await start()).runId;
  expect([await cancelRun(test_.loader, next), await cancelRun(test_.loader, next)]).toEqual([
    'cancelling',
    'cancelling',
  ]);
  expect((await driveRun(test_, orchestrations, next)).state).toBe('cancelled');
  expect(await cancelRun(test_.loader, next)).toBe('cancelled');
});

test('a run ends when the manifest of a shard is gone', async () => {
  putObjects(test_, 3);
  await putLoad(test_.loader, 'flights', definitionOf());
  const { loader } = test_;
  const { get, getRange } = loader.documents;
  const isManifest = (path: string) => path.includes('/shards/');
  loader.documents.get = async (path) => (isManifest(path) ? null : get(path));
  loader.documents.getRange = async (path, ...rest) => (isManifest(path) ? null : getRange(path, ...rest));
  const summary = await runLoad(test_, orchestrations, { mostIdle: 1000 });
  expect(summary.state).not.toBe('completed');
});

test('a settle run whose objects can not be posted is not started every minute', async () => {
  putObjects(test_, 2);
  await putLoad(test_.loader, 'flights', definitionOf());
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  // Somebody removed the credentials: nothing can be signed, but a settle run lists nothing and so doesn't notice.
  test_.loader.source = () => Promise.reject(new LoaderError('credentialsNotFound', 'gone'));
  let runs = 0;
  for (let minute = 0; minute < 60; minute += 1) {
    const runId = await tickOnce();
    if (runId !== null) {
      runs += 1;
      await driveRun(test_, orchestrations, runId);
    }
    test_.clock.advance(MINUTE);
  }
  expect(runs).toBeLessThanOrEqual(6);
});

test('a run that could not even look at the open objects does not call itself completed', async () => {
  putObjects(test_, 2);
  await putLoad(test_.loader, 'flights', definitionOf());
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  test_.loader.source = () => Promise.reject(new LoaderError('credentialsNotFound', 'gone'));
  const settling = await driveRun(test_, orchestrations, (await tickOnce())!);
  expect(settling.state).not.toBe('completed');
});

test('an object that ADX rejects for good is posted once behind the fence, also where onError is stop', async () => {
  putObjects(test_, 1);
  await putLoad(test_.loader, 'flights', definitionOf({ onError: { policy: 'stop' } }));
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  const reject = () =>
    void test_.ingestion.settleAll({
      status: 'Failed',
      errorCode: 'Stream_WrongNumberOfFields',
      failureStatus: 'Permanent',
    });
  let runs = 0;
  for (let minute = 0; minute < 60; minute += 1) {
    const runId = await tickOnce();
    if (runId !== null) {
      runs += 1;
      // The message of the first run stays without a report.
      await driveRun(test_, orchestrations, runId, { whenIdle: reject });
    }
    test_.clock.advance(MINUTE);
  }
  expect({ runs, messages: test_.ingestion.messages.length }).toEqual({ runs: 1, messages: 2 });
});

describe('onError stop, looked at while neighbours are open,', () => {
  /** The neighbours are reported from the third look on. */
  const settleLater = () => {
    if (test_.ingestion.callCounts.readStatuses > 2) test_.ingestion.settleAll();
  };

  beforeEach(async () => {
    putObjects(test_, 100);
    await putLoad(test_.loader, 'flights', definitionOf({ onError: { policy: 'stop' } }));
  });

  test('does not count what is posted once more', async () => {
    let isFirst = true;
    test_.ingestion.endPosts(({ url }) => {
      if (!isFirst || !url.includes('007')) return 'accepted';
      isFirst = false;
      return 'refused';
    });
    const summary = await runLoad(test_, orchestrations, { whenIdle: settleLater });
    expect(summary).toMatchObject({ state: 'completed', stopReason: null, objects: { ingested: 100 } });
  });

  test('does not count an object that was deleted before it was loaded', async () => {
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        const deleted = test_.ingestion.messages.find(({ url }) => url.includes('007'));
        if (deleted === undefined) return;
        test_.source.remove('in/007');
        test_.ingestion.setStatus(deleted.sourceId, {
          status: 'Failed',
          errorCode: 'Download_SourceNotFound',
          failureStatus: 'Permanent',
        });
        settleLater();
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 99, gone: 1 } });
  });

  test('counts what has failed for good', async () => {
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        const [broken] = test_.ingestion.messages;
        if (broken === undefined) return;
        test_.ingestion.setStatus(broken.sourceId, {
          status: 'Failed',
          errorCode: 'Stream_WrongNumberOfFields',
          failureStatus: 'Permanent',
        });
        settleLater();
      },
    });
    expect(summary).toMatchObject({ state: 'stopped', objects: { ingested: 99, failed: 1 } });
  });
});

test('onError atMost counts what has failed in all shards under way', async () => {
  putObjects(test_, 200);
  const concurrency = { lanes: 4, maxInFlight: 40, objectsPerActivity: 10 };
  const onError = { policy: 'atMost', failedObjects: 50 } as const;
  await putLoad(test_.loader, 'flights', definitionOf({ concurrency, onError }));
  // Of each shard one object stays without a report, so that none is closed, and all others fail.
  const isOpen = (url: string) => /\/in\/\d\d0/.test(url);
  const summary = await runLoad(test_, orchestrations, {
    whenIdle: () => {
      for (const { sourceId, url } of test_.ingestion.messages)
        if (!isOpen(url))
          test_.ingestion.setStatus(sourceId, {
            status: 'Failed',
            errorCode: 'Stream_WrongNumberOfFields',
            failureStatus: 'Permanent',
          });
    },
  });
  expect(summary).toMatchObject({ state: 'stopped', stopReason: 'onError' });
  expect(summary.objects.failed).toBeGreaterThan(50);
  // What was under way when the 51st failed, and not what there was room for since.
  expect(test_.ingestion.messages.length).toBeLessThanOrEqual(100);
});

test('an object whose fate is never reported is not posted again without end', async () => {
  putObjects(test_, 1);
  await putLoad(test_.loader, 'flights', definitionOf());
  await runLoad(test_, orchestrations, SILENT);
  for (let day = 0; day < 30; day += 1) {
    test_.clock.advance(24 * HOUR);
    const runId = await tickOnce();
    if (runId !== null) await driveRun(test_, orchestrations, runId, SILENT);
  }
  // The rows of every one of these messages may be in the table.
  expect(test_.ingestion.messages.length).toBeLessThanOrEqual(5);
});

test('a settle run that was cancelled is not started again a minute later', async () => {
  putObjects(test_, 1);
  await putLoad(test_.loader, 'flights', definitionOf());
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  let runs = 0;
  for (let minute = 0; minute < 30; minute += 1) {
    const runId = await tickOnce();
    if (runId !== null) {
      runs += 1;
      await cancelRun(test_.loader, runId);
      await driveRun(test_, orchestrations, runId);
    }
    test_.clock.advance(MINUTE);
  }
  expect(runs).toBeLessThanOrEqual(3);
});

test('what a run has not begun stays so in its list, also when a later run has settled it', async () => {
  putObjects(test_, 3);
  await putLoad(test_.loader, 'flights', definitionOf());
  // Nobody hears of the fate of these.
  expect((await runLoad(test_, orchestrations, SILENT)).objects.unknown).toBe(3);
  // The next run is cancelled while the shard that would look at them waits for a lane.
  test_.clock.advance(1000);
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  await planPage(test_.loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 });
  await cancelRun(test_.loader, runId);
  const cancelled = await driveRun(test_, orchestrations, runId, SILENT);
  expect(cancelled.objects).toMatchObject({ notStarted: 3, ingested: 0 });
  test_.ingestion.settleAll();
  expect((await runLoad(test_, orchestrations)).objects.ingested).toBe(3);
  const list = await listObjects(test_.loader, runId, { state: null, limit: 10, after: null });
  expect(list.objects.map(({ state }) => state)).toEqual(['notStarted', 'notStarted', 'notStarted']);
});
