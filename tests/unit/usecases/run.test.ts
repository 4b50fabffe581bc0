import { beforeEach, describe, expect, test } from 'vitest';

import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects, type RunProgress, readRunStatus } from '../../../shared/usecases/read-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import {
  createMemoryOrchestrations,
  type DriveOptions,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { driveRun, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

async function run(options: DriveOptions & { readonly retryFailed?: boolean } = {}) {
  const { retryFailed = false, ...driving } = options;
  return runLoad(test_, orchestrations, { options: { ...NO_OPTIONS, retryFailed }, ...driving });
}

async function currentProgress(): Promise<RunProgress> {
  const { runs } = await test_.loader.runs.listRuns({ load: 'flights', limit: 1 });
  return (await readRunStatus(test_.loader, runs[0]!.runId)).progress;
}

function putObjects(count: number, prefix = 'in/'): void {
  for (let index = 0; index < count; index += 1)
    test_.source.put({ key: `${prefix}${String(index).padStart(5, '0')}.json`, sizeBytes: 10 });
}

describe('a run', () => {
  test('loads every object once, and the next one finds nothing to do', async () => {
    putObjects(300);
    await putLoad(test_.loader, 'flights', definitionOf());
    const first = await run();
    expect(first).toMatchObject({
      state: 'completed',
      objects: { ingested: 300, failed: 0, unknown: 0 },
      bytesIngested: 3000,
    });
    expect(new Set(test_.ingestion.messages.map(({ url }) => url)).size).toBe(300);
    expect(test_.ingestion.messages).toHaveLength(300);

    const second = await run();
    expect(second).toMatchObject({
      state: 'completed',
      objects: { ingested: 0 },
      plan: { listed: 300, selected: 0, skipped: { unchanged: 300 } },
    });
    expect(test_.ingestion.messages).toHaveLength(300);
  });

  test('posts each object once although every activity runs twice at the same time', async () => {
    putObjects(250);
    await putLoad(test_.loader, 'flights', definitionOf());
    const summary = await run({ twice: true });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 250, notStarted: 0 } });
    expect(test_.ingestion.messages).toHaveLength(250);
    expect(new Set(test_.ingestion.messages.map(({ sourceId }) => sourceId)).size).toBe(250);
  });

  test('takes only what is new, and a changed object by its policy', async () => {
    putObjects(10);
    await putLoad(test_.loader, 'flights', definitionOf());
    await run();
    test_.source.put({ key: 'in/00003.json', sizeBytes: 11 });
    test_.source.put({ key: 'in/new.json', sizeBytes: 11 });
    expect(await run()).toMatchObject({
      objects: { ingested: 1 },
      plan: { skipped: { unchanged: 9, changed: 1 } },
    });

    await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
    expect(await run()).toMatchObject({ objects: { ingested: 1 }, plan: { skipped: { unchanged: 10 } } });
  });

  test('accounts for a failed object beside good ones, and retries it only when asked', async () => {
    putObjects(40);
    await putLoad(test_.loader, 'flights', definitionOf());
    const failOne = () => {
      const bad = test_.ingestion.messages.find(({ url }) => url.includes('00007'));
      if (bad !== undefined)
        test_.ingestion.setStatus(bad.sourceId, {
          status: 'Failed',
          errorCode: 'Stream_WrongNumberOfFields',
          failureStatus: 'Permanent',
        });
      test_.ingestion.settleAll();
    };
    const first = await run({ whenIdle: failOne });
    expect(first).toMatchObject({ state: 'completedWithFailures', objects: { ingested: 39, failed: 1 } });
    expect(first.failures.formatMismatch).toMatchObject({ count: 1, examples: [{ key: 'in/00007.json' }] });
    const { objects } = await listObjects(test_.loader, first.runId, {
      state: 'failed',
      limit: 10,
      after: null,
    });
    expect(objects).toMatchObject([{ key: 'in/00007.json', code: 'formatMismatch' }]);

    expect(await run()).toMatchObject({
      objects: { ingested: 0 },
      plan: { skipped: { unchanged: 39, failedBefore: 1 } },
    });
    expect(await run({ retryFailed: true })).toMatchObject({ state: 'completed', objects: { ingested: 1 } });
  });

  test('calls an object unknown that ADX never reports, and posts it again only behind the fence', async () => {
    putObjects(5);
    await putLoad(test_.loader, 'flights', definitionOf());
    const first = await run({ whenIdle: () => undefined });
    expect(first).toMatchObject({ state: 'completedWithFailures', objects: { ingested: 0, unknown: 5 } });
    expect(test_.ingestion.messages).toHaveLength(5);

    const second = await run({ whenIdle: () => undefined });
    expect(second).toMatchObject({
      state: 'completedWithFailures',
      objects: { ingested: 0, deferred: 5 },
      plan: { skipped: { unsettled: 5 } },
    });
    expect(test_.ingestion.messages).toHaveLength(5);

    test_.clock.advance(8 * 3_600_000);
    await tick(test_.loader, orchestrations);
    const settleRun = [...orchestrations.started.keys()].at(-1)!.replace(/-e1$/, '');
    const third = await driveRun(test_, orchestrations, settleRun);
    expect(third).toMatchObject({
      trigger: 'settle',
      state: 'completedWithDiscrepancy',
      objects: { ingested: 5 },
    });
    expect(test_.ingestion.messages).toHaveLength(10);
    expect(third.repostedUnproven).toHaveLength(5);

    test_.clock.advance(8 * 3_600_000);
    const startedBefore = orchestrations.started.size;
    await tick(test_.loader, orchestrations);
    expect(orchestrations.started.size).toBe(startedBefore);
  });

  test('settles late reports of an earlier run without a post', async () => {
    putObjects(5);
    await putLoad(test_.loader, 'flights', definitionOf());
    await run({ whenIdle: () => undefined });
    test_.ingestion.settleAll();
    expect(await run()).toMatchObject({ state: 'completed', objects: { ingested: 5, unknown: 0 } });
    expect(test_.ingestion.messages).toHaveLength(5);
  });

  test('never posts an ambiguous object a second time within the fence', async () => {
    putObjects(20);
    test_.ingestion.endPosts((_, attempt) =>
      attempt === 3 ? 'ambiguousArrived' : attempt === 4 ? 'ambiguousLost' : 'accepted',
    );
    await putLoad(test_.loader, 'flights', definitionOf());
    const summary = await run();
    expect(summary.objects).toMatchObject({ ingested: 19, unknown: 1 });
    expect(test_.ingestion.messages).toHaveLength(19);
    expect(test_.logged.filter((line) => line.includes('postsAmbiguous'))).toEqual([
      expect.stringMatching(/^warn .*"objects":2,.*"message":"The queue did not answer in time."/),
    ]);
  });

  test('tells how far it is, how fast, and how long it will take', async () => {
    putObjects(200);
    await putLoad(test_.loader, 'flights', definitionOf({ concurrency: { lanes: 1, maxInFlight: 50 } }));
    const seen: RunProgress[] = [];
    const summary = await run({
      whenIdle: () => {
        test_.ingestion.settleAll();
        void currentProgress().then((progress) => void seen.push(progress));
      },
    });
    const middle = seen.find(({ objectsDone }) => objectsDone > 0 && objectsDone < 200)!;
    expect(middle.rate!.objectsPerSecond).toBeGreaterThan(0);
    expect(middle.secondsLeft).toBeGreaterThan(0);
    expect(middle).toMatchObject({ objectsTotal: 200, concurrency: { share: 1, slowdowns: 0 } });
    expect(middle.objectsIngested).toBeLessThanOrEqual(middle.objectsDone);
    expect(middle.objectsPosted).toBe(middle.objectsDone + middle.objectsQueued);
    expect((await readRunStatus(test_.loader, summary.runId)).progress).toMatchObject({
      objectsIngested: 200,
      objectsQueued: 0,
      rate: null,
      secondsLeft: null,
    });
  });

  test('tells what is ingested also of shards that wait for a report', async () => {
    putObjects(20);
    await putLoad(test_.loader, 'flights', definitionOf());
    const seen: RunProgress[] = [];
    await run({
      whenIdle: () => {
        for (const { sourceId } of test_.ingestion.messages.slice(0, -1))
          test_.ingestion.setStatus(sourceId, { status: 'Succeeded' });
        void currentProgress().then((progress) => void seen.push(progress));
      },
    });
    expect(
      seen.some(({ objectsIngested, objectsDone }) => objectsIngested === 19 && objectsDone === 19),
    ).toBe(true);
  });

  test('loads 12,000 objects over several pages', async () => {
    putObjects(12_000);
    await putLoad(test_.loader, 'flights', definitionOf());
    // A question costs a request for each partition of the ledger, so each is about many keys.
    const { ledger } = test_.loader;
    const { readEach } = ledger;
    const asked: number[] = [];
    ledger.readEach = (name, keys, keep) => {
      asked.push(keys.size);
      return readEach(name, keys, keep);
    };
    const summary = await run();
    expect(asked).toEqual([5000, 7000]);
    expect(summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 12_000 },
      plan: { listed: 12_000 },
    });
    expect(test_.ingestion.messages).toHaveLength(12_000);
    const status = await readRunStatus(test_.loader, summary.runId);
    expect(status).toMatchObject({
      state: 'completed',
      progress: { objectsTotal: 12_000, objectsDone: 12_000, bytesDone: 120_000, bytesTotal: 120_000 },
    });
    let listed = 0;
    for (let after: string | null = null; ; ) {
      const page = await listObjects(test_.loader, summary.runId, { state: null, limit: 1000, after });
      listed += page.objects.length;
      after = page.next;
      if (after === null) break;
    }
    expect(listed).toBe(12_000);
  }, 60_000);
});
