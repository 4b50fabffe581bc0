import { beforeEach, describe, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { advanceOperation } from '../../../shared/usecases/advance-operation.ts';
import { ingestUnit } from '../../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { readRunStatus } from '../../../shared/usecases/read-run.ts';
import { settleShard } from '../../../shared/usecases/settle-shard.ts';
import { slowDown } from '../../../shared/usecases/slow-down.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { takeShard } from '../../../shared/usecases/take-shard.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { startUndo } from '../../../shared/usecases/undo-run.ts';
import {
  createMemoryOrchestrations,
  driveTogether,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { takeFirstShard } from '../../fakes/run-by-hand.ts';
import { announceKeys, driveRun, putObjects, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

const latestRun = async () => (await test_.loader.runs.listRuns({ load: 'flights', limit: 1 })).runs[0]!;

describe('a run that is throttled goes slower', () => {
  test('when queues are asked too often, and posts what they refused once more', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 100);
    test_.ingestion.endPosts((_, attempt) => (attempt < 5 ? 'throttled' : 'accepted'));
    const summary = await runLoad(test_, orchestrations);
    expect(summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 100 },
      throttling: { slowdowns: 1, lowestShare: 0.5 },
    });
    expect(test_.logged.filter((line) => line.includes('runSlowedDown'))).toHaveLength(1);
  });

  test.each([
    ['Amazon S3', 'sourceThrottled', (error: LoaderError) => test_.source.failNext('listPage', error, 2)],
    [
      'Azure Data Explorer',
      'clusterThrottled',
      (error: LoaderError) => test_.ingestion.failNext('warmUp', error, 2),
    ],
  ] as const)('when %s asks for fewer requests, and loads all the same', async (_, code, fail) => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 10);
    fail(new LoaderError(code, 'slow down'));
    const summary = await runLoad(test_, orchestrations);
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 10 } });
    expect(summary.throttling?.slowdowns).toBeGreaterThanOrEqual(1);
  });

  test('when ADX had no capacity for an object', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 10);
    let first = true;
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        const [message] = test_.ingestion.messages;
        if (message !== undefined && first) {
          first = false;
          test_.ingestion.setStatus(message.sourceId, {
            status: 'Failed',
            errorCode: 'General_ThrottledIngestion',
            failureStatus: 'Exhausted',
          });
        }
        test_.ingestion.settleAll();
      },
    });
    expect(summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 10 },
      throttling: { slowdowns: 1, lowestShare: 0.5 },
    });
  });

  test('also with what is posted once more', async () => {
    const maxInFlight = 80;
    const concurrency = { lanes: 4, maxInFlight, objectsPerActivity: 5 };
    await putLoad(test_.loader, 'flights', definitionOf({ concurrency }));
    putObjects(test_, 240);
    const inFlight: number[] = [];
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        const isFirst = inFlight.length === 0;
        const reported = isFirst
          ? { status: 'Failed', errorCode: 'General_ThrottledIngestion', failureStatus: 'Exhausted' }
          : { status: 'Succeeded' };
        const objects = test_.ingestion.settleAll(reported);
        if (objects > 0) inFlight.push(objects);
      },
    });
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 240 } });
    const [before, ...after] = inFlight;
    expect(before).toBe(maxInFlight);
    // Half of it, and what it has risen by since.
    expect(Math.max(...after)).toBeLessThanOrEqual(0.75 * maxInFlight);
  });

  test('once for each report of ADX that it has no capacity, also while ADX tries again by itself', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 10);
    const start = test_.clock.now().getTime();
    let reported = 0;
    const summary = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        const [message] = test_.ingestion.messages;
        if (message === undefined) return;
        const minutes = (test_.clock.now().getTime() - start) / 60_000;
        if (reported < 2 && minutes >= 4 * reported) {
          reported += 1;
          test_.ingestion.setStatus(message.sourceId, {
            status: 'Failed',
            errorCode: 'General_ThrottledIngestion',
            failureStatus: 'Transient',
          });
        } else if (minutes >= 8) test_.ingestion.setStatus(message.sourceId, { status: 'Succeeded' });
        test_.ingestion.settleAll();
      },
    });
    expect(reported).toBe(2);
    expect(summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 10 },
      throttling: { slowdowns: 2 },
    });
  });

  test('but not because of what an epoch saw that was taken over meanwhile', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    const { runs } = test_.loader;
    const overtaken = {
      ...test_.loader,
      runs: {
        ...runs,
        readControl: async (id: string) => {
          const seen = await runs.readControl(id);
          const { value, etag } = seen!.run;
          expect(await runs.commit(id, [{ value: { ...value, epoch: value.epoch + 1 }, etag }])).toBe(true);
          return seen;
        },
      },
    };
    await slowDown(overtaken, { runId, epoch: 1 });
    expect((await runs.readControl(runId))!.control.value.pace).toBeNull();
    await slowDown(test_.loader, { runId, epoch: 2 });
    expect((await runs.readControl(runId))!.control.value.pace).toMatchObject({ slowdowns: 1 });
  });

  const SLOW_DOWN = new LoaderError('sourceThrottled', 'slow down');

  test('when S3 does not show an announced object', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
    putObjects(test_, 2);
    await announceKeys(test_, ['in/000', 'in/001']);
    test_.source.failNext('head', SLOW_DOWN);
    const summary = await driveRun(test_, orchestrations, (await tickLoads(test_, orchestrations))!);
    expect(summary).toMatchObject({ objects: { ingested: 1 }, throttling: { slowdowns: 1 } });
  });

  test('when S3 does not show whether a key was rewritten before its second message', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    await runLoad(test_, orchestrations, { whenIdle: () => undefined });
    test_.clock.advance(8 * 3_600_000);
    test_.source.failNext('head', SLOW_DOWN);
    const summary = await runLoad(test_, orchestrations, { whenIdle: () => undefined });
    expect(summary).toMatchObject({ objects: { unknown: 1 }, throttling: { slowdowns: 1 } });
  });

  test.each([
    ['S3', () => test_.source.failNext('head', SLOW_DOWN, 1000), 'ingested'],
    [
      'ADX',
      () => test_.ingestion.failNext('readStatuses', new LoaderError('clusterThrottled', 'busy'), 1000),
      'unknown',
    ],
  ] as const)('when %s answers nothing else up to the last look', async (_, fail, state) => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    fail();
    const summary = await runLoad(test_, orchestrations, { mostIdle: 1000 });
    expect(summary.objects[state]).toBe(1);
    // One for each look, the last one among them.
    const failed = test_.logged.filter((line) => /settlingFailed|keysNotLookedAtAgain/.test(line)).length;
    expect(failed).toBeGreaterThan(2);
    expect(summary.throttling?.slowdowns).toBe(failed);
  });

  test('and lists and looks at fewer keys at the same time', async () => {
    const listers = { bucket: 'memory-bucket', prefix: 'in/', listers: 8 };
    await putLoad(test_.loader, 'flights', definitionOf({ source: listers }));
    for (let folder = 0; folder < 16; folder += 1)
      for (let index = 0; index < 5; index += 1) test_.source.put({ key: `in/${folder}/${index}` });
    let underWay = 0;
    let most = 0;
    const { listPage } = test_.source;
    test_.loader.source = async () => ({
      ...test_.source,
      listPage: async (input) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise((resolve) => setImmediate(resolve));
        underWay -= 1;
        return listPage(input);
      },
    });
    const planFirst = async () => {
      most = 0;
      test_.clock.advance(1000);
      const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
      return { v: 1, runId, epoch: 1, page: 0, attempt: 0 } as const;
    };
    await planPage(test_.loader, await planFirst());
    expect(most).toBe(8);
    await test_.loader.loads.releaseLock('flights', (await latestRun()).runId);
    const slow = await planFirst();
    await slowDown(test_.loader, slow);
    await planPage(test_.loader, slow);
    expect(most).toBe(4);
  });

  test('and says nothing of it when it was not', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 10);
    expect((await runLoad(test_, orchestrations)).throttling).toBeNull();
  });
});

describe('what was away is not asked by all at once: by chance, a pause is half or one and a half of its mean,', () => {
  const AWAY = new LoaderError('sourceUnavailable', 'away');
  const pauses = [
    [0, 0.5],
    [0.999, 1.499],
  ] as const;

  const startOne = async (random: number) => {
    Object.assign(test_.loader, { random: () => random });
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    return { v: 1, runId, epoch: 1 } as const;
  };
  const waitOfShard = async (runId: string) => {
    const [row] = (await test_.loader.runs.readRun(runId))!.shards;
    return Date.parse(row!.value.lookAt!) - test_.clock.now().getTime();
  };

  test.each(pauses)('of a plan page: %d', async (random, factor) => {
    const ref = await startOne(random);
    test_.source.failNext('listPage', AWAY);
    expect(await planPage(test_.loader, { ...ref, page: 0, attempt: 1 })).toMatchObject({
      kind: 'retry',
      waitMs: Math.round(10_000 * factor),
    });
  });

  test.each(pauses)('of a shard, and of a look at its reports: %d', async (random, factor) => {
    const ref = await startOne(random);
    const { shard } = await takeFirstShard(test_, ref);
    const failed = { shard, ok: false, code: 'clusterUnavailable' };
    await takeShard(test_.loader, { ...ref, lane: 0, turn: 1, finished: failed });
    expect(await waitOfShard(ref.runId)).toBe(Math.round(5000 * factor));
    test_.clock.advance(10_000);
    await takeShard(test_.loader, { ...ref, lane: 0, turn: 2, finished: null });
    await ingestUnit(test_.loader, { ...ref, shard, unit: 0 });
    await takeShard(test_.loader, { ...ref, lane: 0, turn: 3, finished: { shard, ok: true, code: null } });
    test_.clock.advance(60_000);
    test_.ingestion.failNext('readStatuses', new LoaderError('clusterUnavailable', 'away'));
    await settleShard(test_.loader, { ...ref, settler: 0, shard });
    expect(await waitOfShard(ref.runId)).toBe(Math.round(test_.loader.timing.firstLookMs * factor));
  });

  test.each(pauses)('of a step of an operation: %d', async (random, factor) => {
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 1);
    const { runId } = await runLoad(test_, orchestrations);
    Object.assign(test_.loader, { random: () => random });
    await startUndo(test_.loader, orchestrations, runId);
    const input = [...orchestrations.operations.values()].at(-1)!;
    test_.ingestion.failNext('listDependents', new LoaderError('clusterUnavailable', 'away'));
    const { answer } = await advanceOperation(test_.loader, input);
    expect(answer).toEqual({ kind: 'wait', waitMs: Math.round(15_000 * factor) });
  });
});

test('a run starts nothing more behind its deadline, settles what is in flight, and the next one goes on', async () => {
  await putLoad(
    test_.loader,
    'flights',
    definitionOf({
      limits: { deadlineMinutes: 10 },
      concurrency: { lanes: 1, maxInFlight: 20, objectsPerActivity: 5 },
    }),
  );
  putObjects(test_, 100);
  const start = test_.clock.now().getTime();
  let settled = 0;
  const first = await runLoad(test_, orchestrations, {
    whenIdle: () => {
      // ADX is slow: a few objects at each look. The tick comes every minute.
      if (test_.clock.now().getTime() - start < 11 * 60_000) {
        if (settled < 1) settled += test_.ingestion.settleAll();
      } else test_.ingestion.settleAll();
      void tick(test_.loader, orchestrations);
    },
  });
  expect(first).toMatchObject({
    state: 'stopped',
    stopReason: 'deadline',
    objects: { failed: 0, unknown: 0 },
  });
  expect(first.objects.ingested).toBeGreaterThan(0);
  expect(first.objects.notStarted).toBeGreaterThan(0);
  expect(first.objects.ingested + first.objects.notStarted).toBe(100);
  expect(test_.ingestion.messages).toHaveLength(first.objects.ingested);
  await putLoad(test_.loader, 'flights', definitionOf());
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: first.objects.notStarted },
  });
});

describe('runs that read one bucket', () => {
  /** Objects that a run may take into flight before anything is settled. */
  async function takenBy(load: string): Promise<number> {
    const { runId } = await startRun(test_.loader, orchestrations, { load, trigger: 'manual' });
    for (let page = 0; ; page += 1)
      if ((await planPage(test_.loader, { v: 1, runId, epoch: 1, page, attempt: 0 })).kind === 'stop') break;
    let taken = 0;
    let finished = null;
    for (let turn = 0; ; turn += 1) {
      const answer = await takeShard(test_.loader, { v: 1, runId, epoch: 1, lane: 0, turn, finished });
      if (answer.kind !== 'shard') return taken;
      const shard = (await test_.loader.runs.readRun(runId))!.shards.find(
        ({ value }) => value.shard === answer.shard,
      )!;
      taken += shard.value.objects;
      finished = { shard: answer.shard, ok: true, code: null };
    }
  }

  const small = { concurrency: { lanes: 8, maxInFlight: 800, objectsPerActivity: 10 } };

  test('have the same share of what the app grants the bucket', async () => {
    Object.assign(test_.loader, { maxInFlightPerBucket: 400 });
    putObjects(test_, 900);
    for (const name of ['flights', 'other'])
      await putLoad(test_.loader, name, { ...definitionOf(small), name });
    const first = await takenBy('flights');
    expect(first).toBeGreaterThan(200);
    expect(first).toBeLessThanOrEqual(400);
    const second = await takenBy('other');
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThanOrEqual(200);
  });

  test('have shards of their share, however large those of their loads may be', async () => {
    Object.assign(test_.loader, { maxInFlightPerBucket: 400 });
    putObjects(test_, 900);
    for (const name of ['flights', 'other']) await putLoad(test_.loader, name, { ...definitionOf(), name });
    const first = await takenBy('flights');
    expect(first).toBeGreaterThan(200);
    expect(first).toBeLessThanOrEqual(400);
    const second = await takenBy('other');
    expect(second).toBeGreaterThan(100);
    expect(second).toBeLessThanOrEqual(200);
  });

  test('share it anew when a small one comes late, which ends before them, and when it has ended', async () => {
    const BOUND = 240;
    const LARGE = 900;
    const SMALL = 120;
    Object.assign(test_.loader, { maxInFlightPerBucket: BOUND });
    const sizes = { flights: LARGE, other: LARGE, late: SMALL };
    for (const [name, size] of Object.entries(sizes)) {
      const source = { bucket: 'memory-bucket', prefix: `${name}/` };
      await putLoad(test_.loader, name, { ...definitionOf({ ...small, source }), name });
      for (let index = 0; index < size; index += 1) test_.source.put({ key: `${name}/${index}` });
    }
    const begin = async (load: string) => {
      const { runId } = await startRun(test_.loader, orchestrations, { load, trigger: 'manual' });
      return orchestrations.started.get(`${runId}-e1`)!;
    };
    const runs = [await begin('flights'), await begin('other')];
    let hasCome = false;

    /** What is in flight whenever a run has taken a shard. */
    const taken: { at: number; runId: string; share: number; own: number; alone: boolean; total: number }[] =
      [];
    const { commit } = test_.loader.runs;
    test_.loader.runs.commit = async (runId, writes) => {
      const isDone = await commit(runId, writes);
      if (!isDone || !writes.some(({ value }) => value.row === 'shard' && value.state === 'claimed'))
        return isDone;
      const flights = new Map<string, { objects: number; shards: number }>();
      for (const run of runs) {
        const view = (await test_.loader.runs.readRun(run.runId))!;
        const shards = view.shards.map(({ value }) => value).filter(({ state }) => state !== 'planned');
        const objects = shards.reduce((sum, shard) => sum + shard.objects - shard.settledObjects, 0);
        flights.set(run.runId, { objects, shards: shards.length });
      }
      const sharing = (await test_.loader.loads.listLocks()).length;
      const own = flights.get(runId)!;
      taken.push({
        at: test_.clock.now().getTime(),
        runId,
        share: Math.floor(BOUND / sharing),
        own: own.objects,
        alone: own.shards === 1,
        total: [...flights.values()].reduce((sum, { objects }) => sum + objects, 0),
      });
      return isDone;
    };

    // ADX reports a minute after a message has come.
    const arrivals: number[] = [];
    let reported = 0;
    const summaries = await driveTogether(test_.loader, test_.clock, runs, {
      whenIdle: () => {
        const now = test_.clock.now().getTime();
        const { messages } = test_.ingestion;
        while (arrivals.length < messages.length) arrivals.push(now);
        for (; reported < messages.length && arrivals[reported]! <= now - 60_000; reported += 1)
          test_.ingestion.setStatus(messages[reported]!.sourceId, { status: 'Succeeded' });
        if (hasCome || reported < LARGE / 2) return;
        hasCome = true;
        void begin('late').then((input) => void runs.push(input));
      },
    });
    expect(summaries.map((summary) => [summary!.state, summary!.objects.ingested])).toEqual([
      ['completed', LARGE],
      ['completed', LARGE],
      ['completed', SMALL],
    ]);
    expect(test_.ingestion.messages).toHaveLength(2 * LARGE + SMALL);

    // Each takes a shard only within its share of that moment, or one that it has alone in flight.
    for (const take of taken) expect(take.alone || take.own <= take.share, JSON.stringify(take)).toBe(true);
    const [large, , small_] = summaries.map((summary) => ({
      from: Date.parse(summary!.startedAt),
      to: Date.parse(summary!.endedAt),
    }));
    // The small one does not wait for the large ones.
    expect(small_!.to).toBeLessThan(large!.to - 2 * 60_000);
    const totals = (from: number, to: number) =>
      taken.filter(({ at }) => at >= from && at < to).map(({ total }) => total);
    const ofLarge = (from: number, to: number) =>
      taken
        .filter(({ at, runId }) => at >= from && at < to && runId === runs[0]!.runId)
        .map(({ own }) => own);
    // Before: a half each. When it comes, the others have in flight what was their share, and settle that first.
    expect(Math.max(...totals(0, small_!.from))).toBeLessThanOrEqual(BOUND);
    expect(Math.max(...totals(0, small_!.from))).toBeGreaterThan(0.8 * BOUND);
    expect(Math.max(...totals(small_!.from, small_!.to))).toBeLessThanOrEqual(BOUND + BOUND / 3);
    expect(Math.max(...totals(small_!.from + 2 * 60_000, Number.POSITIVE_INFINITY))).toBeLessThanOrEqual(
      BOUND,
    );
    expect(Math.max(...ofLarge(small_!.from, small_!.to))).toBeLessThanOrEqual(BOUND / 3);
    // After: the others take its share again.
    expect(Math.max(...ofLarge(small_!.to, large!.to))).toBeGreaterThan(0.8 * (BOUND / 2));
  }, 60_000);

  test('each go by their own bound where the app sets none', async () => {
    putObjects(test_, 900);
    for (const name of ['flights', 'other'])
      await putLoad(test_.loader, name, { ...definitionOf(small), name });
    const [first, second] = [await takenBy('flights'), await takenBy('other')];
    expect(first).toBeGreaterThan(400);
    expect(second).toBe(first);
  });
});

test('listing runs ahead of the lanes by a bounded number of objects', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ concurrency: { lanes: 1, maxInFlight: 100 } }));
  for (let index = 0; index < 6000; index += 1) test_.source.put({ key: `in/${index}` });
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const page = { v: 1, runId, epoch: 1, attempt: 0 } as const;
  const listed = async () => (await readRunStatus(test_.loader, runId)).progress.listed;
  expect(await planPage(test_.loader, { ...page, page: 0 })).toEqual({ kind: 'page', next: 1 });
  const ahead = await listed();
  expect(ahead).toBe(5000);
  expect(await planPage(test_.loader, { ...page, page: 1 })).toMatchObject({ kind: 'wait' });
  expect(await listed()).toBe(ahead);
  expect((await driveRun(test_, orchestrations, runId)).objects.ingested).toBe(6000);
});
