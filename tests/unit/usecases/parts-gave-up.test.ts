import { beforeEach, describe, expect, test } from 'vitest';

import type { RunRef } from '../../../shared/contracts/durable.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { finishRun } from '../../../shared/usecases/finish-run.ts';
import { ingestUnit } from '../../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { readRunStatus } from '../../../shared/usecases/read-run.ts';
import { startRerun } from '../../../shared/usecases/rerun.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { resumeRun, suspendRun } from '../../../shared/usecases/suspend-run.ts';
import { takePosted } from '../../../shared/usecases/take-posted.ts';
import { takeShard } from '../../../shared/usecases/take-shard.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import {
  createMemoryOrchestrations,
  drive,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { settleAndFinish } from '../../fakes/run-by-hand.ts';
import { driveRun, putObjects, runLoad } from '../../fakes/run-load.ts';
import { undoRun } from '../../fakes/run-operation.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

/**
 * Each activity of a run has thrown until its part gave up. Then the parts have ended without an end in their rows, the run's
 * orchestration comes to its finish, and the fault may be over by then.
 */

const MINUTE = 60_000;
const OBJECTS = 120;

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;
let ref: RunRef;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

/** Two lanes, one shard for each 25 objects. */
async function start(objects = OBJECTS): Promise<void> {
  putObjects(test_, objects);
  const concurrency = { lanes: 2, maxInFlight: 50, objectsPerActivity: 25 };
  await putLoad(test_.loader, 'flights', definitionOf({ concurrency }));
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  ref = { v: 1, runId, epoch: 1 };
}

const plan = () => planPage(test_.loader, { ...ref, page: 0, attempt: 0 });

async function takeOne() {
  const taken = await takeShard(test_.loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error(taken.kind);
  return taken.shard;
}

async function postOne(): Promise<void> {
  const shard = await takeOne();
  await ingestUnit(test_.loader, { ...ref, shard, unit: 0 });
  const finished = { shard, ok: true, code: null } as const;
  // The lane gives up with the shard that it is given next.
  await takeShard(test_.loader, { ...ref, lane: 0, turn: 1, finished });
}

async function tickUntilEpoch(epoch: number): Promise<void> {
  // As the real orchestration service says of a run that came to its finish.
  const ended = { ...orchestrations, status: async () => 'ended' as const };
  for (let minute = 0; !orchestrations.started.has(`${ref.runId}-e${epoch}`); minute += 1) {
    if (minute === 20) throw new Error('The run was not taken over');
    test_.clock.advance(MINUTE);
    await tick(test_.loader, ended);
  }
}

async function driveEpoch(epoch: number, whenIdle = () => {}) {
  return drive(test_.loader, test_.clock, orchestrations.started.get(`${ref.runId}-e${epoch}`)!, {
    whenIdle: () => {
      test_.ingestion.settleAll();
      whenIdle();
    },
  });
}

async function expectUnfinished(): Promise<void> {
  expect(await finishRun(test_.loader, ref)).toBeNull();
  const { run } = (await test_.loader.runs.readRun(ref.runId))!;
  expect(run.value).toMatchObject({ finalState: null, closingAt: null });
  expect(await test_.loader.loads.readLock('flights')).not.toBeNull();
}

describe('a run whose parts have all given up is taken over, and the next epoch loads what is left once', () => {
  test.each<[string, number, () => Promise<unknown>]>([
    ['before the first page', OBJECTS, async () => {}],
    ['in the middle of the listing', 5020, plan],
    ['before any shard was taken', OBJECTS, plan],
    ['with a shard that a lane holds', OBJECTS, () => plan().then(takeOne)],
    ['with a shard that is posted', OBJECTS, () => plan().then(postOne)],
    [
      'with shards that all are posted',
      20,
      async () => {
        await plan();
        await postOne();
        await takeShard(test_.loader, { ...ref, lane: 1, turn: 0, finished: null });
      },
    ],
  ])('%s', async (_, objects, before) => {
    await start(objects);
    await before();
    await expectUnfinished();
    await tickUntilEpoch(2);
    expect(await driveEpoch(2)).toMatchObject({
      state: 'completed',
      epochs: 2,
      problem: null,
      plan: { listed: objects, selected: objects },
      objects: { ingested: objects, unknown: 0, notStarted: 0 },
    });
    expect(test_.ingestion.messages).toHaveLength(objects);
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
  });
});

test('a settler that has given up does not keep a run from its end when another has done its work', async () => {
  await start(20);
  await plan();
  await postOne();
  await takeShard(test_.loader, { ...ref, lane: 1, turn: 0, finished: null });
  expect(await takePosted(test_.loader, { ...ref, settler: 1, turn: 0 })).toMatchObject({ kind: 'wait' });
  const summary = await settleAndFinish(test_, ref, { whenIdle: () => void test_.ingestion.settleAll() });
  expect(summary).toMatchObject({ state: 'completed', epochs: 1, objects: { ingested: 20 } });
});

describe('a cancelled run whose parts have all given up', () => {
  test('ends at once when nothing of it is under way', async () => {
    await start();
    await plan();
    await cancelRun(test_.loader, ref.runId);
    expect(await finishRun(test_.loader, ref)).toMatchObject({
      state: 'cancelled',
      objects: { ingested: 0, notStarted: OBJECTS },
    });
  });

  test('ends in the next epoch, which settles what was posted and begins nothing', async () => {
    await start();
    await plan();
    await postOne();
    await cancelRun(test_.loader, ref.runId);
    await expectUnfinished();
    await tickUntilEpoch(2);
    expect(await driveEpoch(2)).toMatchObject({
      state: 'cancelled',
      epochs: 2,
      objects: { ingested: 25, unknown: 0, notStarted: OBJECTS - 25 },
    });
    expect(test_.ingestion.messages).toHaveLength(25);
  });
});

test('a suspended run whose parts have all given up is suspended in the next epoch, too, and can be resumed', async () => {
  await start();
  await plan();
  await postOne();
  await suspendRun(test_.loader, ref.runId);
  await expectUnfinished();
  await tickUntilEpoch(2);
  let idle = 0;
  const summary = await driveEpoch(2, () => {
    idle += 1;
    if (idle < 30) expect(test_.ingestion.messages).toHaveLength(25);
    if (idle === 30) void resumeRun(test_.loader, ref.runId);
  });
  expect(idle).toBeGreaterThan(30);
  expect(summary).toMatchObject({ state: 'completed', epochs: 2, objects: { ingested: OBJECTS } });
});

/** Lets the parts of each epoch give up, until the run is given up. */
async function giveUp(): Promise<void> {
  for (; ref.epoch < 5; ref = { ...ref, epoch: ref.epoch + 1 }) {
    await expectUnfinished();
    await tickUntilEpoch(ref.epoch + 1);
  }
  await expectUnfinished();
  for (let minute = 0; minute < 20; minute += 1) {
    test_.clock.advance(MINUTE);
    await tick(test_.loader, orchestrations);
  }
}

test.each([false, true])(
  'a run whose parts give up in each epoch ends after five of them (cancelled: %s)',
  async (isCancelled) => {
    await start();
    await plan();
    await postOne();
    if (isCancelled) await cancelRun(test_.loader, ref.runId);
    await giveUp();
    const { summary } = await readRunStatus(test_.loader, ref.runId);
    expect(summary).toMatchObject({
      state: 'failed',
      problem: { code: 'runAbandoned' },
      stopReason: isCancelled ? 'cancel' : 'givenUp',
      objects: { unknown: 25, notStarted: OBJECTS - 25 },
    });
    expect(await test_.loader.loads.readLock('flights')).toBeNull();
  },
);

describe('a run that was given up can be rerun and undone', () => {
  const keysInTable = () => test_.ingestion.rows.map(({ url }) => new URL(url).pathname.slice(1)).toSorted();
  const allKeys = Array.from({ length: OBJECTS }, (_, index) => `in/${String(index).padStart(3, '0')}`);
  const undo = (runId: string) => undoRun(test_.loader, test_.clock, orchestrations, runId);

  const rerun = async (whenIdle: () => void = () => void test_.ingestion.settleAll()) => {
    test_.clock.advance(1000);
    const { runId } = await startRerun(test_.loader, orchestrations, {
      rerun: { runId: ref.runId, objects: 'notIngested', acceptDoubles: false },
      idempotencyKey: null,
    });
    return driveRun(test_, orchestrations, runId, { whenIdle });
  };

  beforeEach(async () => {
    await start();
    await plan();
    await postOne();
    await giveUp();
  });

  test('where what it had posted is reported meanwhile: nothing is posted twice, and each undo takes out its own', async () => {
    test_.ingestion.settleAll();
    const again = await rerun();
    expect(again).toMatchObject({
      state: 'completed',
      plan: { listed: OBJECTS },
      objects: { ingested: OBJECTS, unknown: 0 },
    });
    expect(test_.ingestion.messages).toHaveLength(OBJECTS);
    expect(keysInTable()).toEqual(allKeys);

    // What the given-up run had posted is under its own tag.
    expect(await undo(again.runId)).toMatchObject({
      state: 'succeeded',
      objects: OBJECTS - 25,
      rows: OBJECTS - 25,
    });
    const posted = keysInTable();
    expect(posted).toHaveLength(25);
    expect(await undo(ref.runId)).toMatchObject({ state: 'succeeded', objects: 25, rows: 25 });
    expect(keysInTable()).toEqual([]);
    // Also those that the given-up run had left open, in a document that the rerun has left alone.
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      plan: { listed: OBJECTS, selected: OBJECTS, skipped: {} },
      objects: { ingested: OBJECTS, deferred: 0 },
    });
    expect(keysInTable()).toEqual(allKeys);
    expect(new Set(test_.ingestion.messages.map(({ sourceId }) => sourceId)).size).toBe(2 * OBJECTS);
  });

  test('where what it had posted is never reported: it waits for the fence, then is posted once more and named', async () => {
    const lost = test_.ingestion.messages.map(({ sourceId }) => sourceId);
    const lostKeys = test_.ingestion.messages.map(({ url }) => new URL(url).pathname.slice(1));
    expect(lost).toHaveLength(25);
    const settleOthers = () => {
      for (const { sourceId } of test_.ingestion.messages)
        if (!lost.includes(sourceId)) test_.ingestion.setStatus(sourceId, { status: 'Succeeded' });
    };
    const first = await rerun(settleOthers);
    expect(first).toMatchObject({ objects: { ingested: OBJECTS - 25, deferred: 25 } });
    // Their fate is open: nothing is dropped by guess.
    expect(await undo(ref.runId)).toMatchObject({ state: 'failed', problem: { code: 'undoUnsettled' } });
    expect(keysInTable()).toHaveLength(OBJECTS - 25);
    expect(await undo(first.runId)).toMatchObject({ state: 'succeeded', objects: OBJECTS - 25 });
    expect(keysInTable()).toEqual([]);

    test_.clock.advance(8 * 60 * MINUTE);
    const second = await rerun(settleOthers);
    expect(second.objects.ingested).toBe(OBJECTS);
    // The summary names some.
    expect(second.repostedUnproven).toHaveLength(20);
    expect(lostKeys).toEqual(expect.arrayContaining([...second.repostedUnproven]));
    expect(test_.ingestion.messages).toHaveLength(2 * OBJECTS);
    expect(keysInTable()).toEqual(allKeys);
    // Late rows of the first messages would be under another tag: an undo can't be exact, and changes nothing.
    expect(await undo(second.runId)).toMatchObject({
      state: 'failed',
      problem: { message: expect.stringContaining('posted twice without proof') },
    });
    expect(keysInTable()).toEqual(allKeys);
  });
});
