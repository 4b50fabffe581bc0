import { beforeEach, describe, expect, test } from 'vitest';

import type { ErrorCode, LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { listObjects, readRunStatus } from '../../../shared/usecases/read-run.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { resumeRun, suspendRun } from '../../../shared/usecases/suspend-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { type CrashMoment, crashAt } from '../../fakes/crashing-loader.ts';
import {
  createMemoryOrchestrations,
  drive,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { announceKeys, driveRun, putObjects, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
const OBJECTS = 100;
const MOST_SIDE_EFFECTS = 1000;

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

/** A run of small groups, so that a suspension finds it in the middle of its units. */
async function start(definition: Parameters<typeof definitionOf>[0] = {}): Promise<string> {
  putObjects(test_, OBJECTS);
  const concurrency = { lanes: 2, objectsPerActivity: 25, postsInFlight: 4 };
  await putLoad(test_.loader, 'flights', definitionOf({ concurrency, ...definition }));
  return (await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' })).runId;
}

/** Suspends the run while it posts its `number`th message; the order is obeyed from the next group on. */
function suspendAtPost(runId: string, number: number): void {
  test_.ingestion.endPosts((_, attempt) => {
    if (attempt === number) {
      // The clock stands still in this test: what was read of the control record a moment ago must be old.
      test_.clock.advance(1000);
      void suspendRun(test_.loader, runId);
    }
    return 'accepted';
  });
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | null> {
  return promise.then(
    () => null,
    (error: LoaderError) => error.code,
  );
}

const stateOf = async (runId: string) => (await readRunStatus(test_.loader, runId)).state;
const postedKeys = () => test_.ingestion.messages.map(({ url }) => new URL(url).pathname);

function expectEachLoadedOnce(): void {
  expect(postedKeys()).toHaveLength(OBJECTS);
  expect(new Set(postedKeys()).size).toBe(OBJECTS);
}

/** Carries a run out that is suspended; resumes it after so many hours. Returns what was posted in between. */
async function driveOver(runId: string, hours: number, whileSuspended: () => Promise<void> = async () => {}) {
  const before = test_.clock.now().getTime();
  let resumed = false;
  let postedAtRest: number | null = null;
  let isChecking = false;
  const summary = await driveRun(test_, orchestrations, runId, {
    whenIdle: () => {
      test_.ingestion.settleAll();
      const passed = test_.clock.now().getTime() - before;
      postedAtRest ??= test_.ingestion.messages.length;
      if (!resumed && !isChecking && passed > MINUTE) {
        isChecking = true;
        void whileSuspended();
      }
      if (!resumed && passed > hours * 60 * MINUTE) {
        resumed = true;
        expect(test_.ingestion.messages).toHaveLength(postedAtRest);
        void resumeRun(test_.loader, runId);
      }
    },
  });
  return { summary, postedAtRest: postedAtRest! };
}

describe('a suspended run', () => {
  test('posts nothing new, settles what is in flight, stays alive, and goes on where it was', async () => {
    const runId = await start();
    suspendAtPost(runId, 30);
    let seen: unknown = null;
    const { summary, postedAtRest } = await driveOver(runId, 3, async () => {
      seen = {
        state: await stateOf(runId),
        ingested: (await listObjects(test_.loader, runId, { state: 'ingested', limit: 1000, after: null }))
          .objects.length,
        pending: (await listObjects(test_.loader, runId, { state: 'pending', limit: 1000, after: null }))
          .objects.length,
      };
      await tick(test_.loader, orchestrations);
    });
    expect(postedAtRest).toBeGreaterThan(30);
    expect(postedAtRest).toBeLessThan(OBJECTS);
    expect(seen).toEqual({ state: 'suspended', ingested: postedAtRest, pending: OBJECTS - postedAtRest });
    // Three hours are far more than the deadline for reports and the silence after which a run is taken over.
    expect(summary).toMatchObject({
      state: 'completed',
      epochs: 1,
      objects: { ingested: OBJECTS, failed: 0, unknown: 0, notStarted: 0 },
    });
    expectEachLoadedOnce();
  });

  test('does not count as failed what it was just posting once more', async () => {
    const runId = await start({ onError: { policy: 'stop' }, retry: { attempts: 2, firstDelaySeconds: 1 } });
    const refused = new Set<string>();
    test_.ingestion.endPosts(({ url }) => {
      const { pathname } = new URL(url);
      if (refused.size < OBJECTS) return refused.add(pathname) && 'refused';
      if (test_.ingestion.messages.length === 30) {
        test_.clock.advance(1000);
        void suspendRun(test_.loader, runId);
      }
      return 'accepted';
    });
    const before = test_.clock.now().getTime();
    let postedBefore: number | null = null;
    let listedAsFailed: number | null = null;
    const summary = await driveRun(test_, orchestrations, runId, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        if (postedBefore !== null || test_.clock.now().getTime() - before < 60 * MINUTE) return;
        postedBefore = test_.ingestion.messages.length;
        const asked = listObjects(test_.loader, runId, { state: 'failed', limit: 1000, after: null });
        void asked.then(({ objects }) => {
          listedAsFailed = objects.length;
          void resumeRun(test_.loader, runId);
        });
      },
    });
    expect(listedAsFailed).toBe(0);
    expect(postedBefore).toBeGreaterThan(30);
    expect(postedBefore).toBeLessThan(OBJECTS);
    expect(summary).toMatchObject({ state: 'completed', stopReason: null, objects: { ingested: OBJECTS } });
    expectEachLoadedOnce();
  });

  test('is not taken over, however long it is suspended', async () => {
    const runId = await start();
    await suspendRun(test_.loader, runId);
    let ticks = Promise.resolve();
    let last = 0;
    const begun = test_.clock.now().getTime();
    await driveRun(test_, orchestrations, runId, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        const now = test_.clock.now().getTime();
        if (now - last > MINUTE) {
          last = now;
          ticks = ticks.then(() => tick(test_.loader, orchestrations));
        }
        if (now - begun > 60 * MINUTE) void resumeRun(test_.loader, runId);
      },
    });
    await ticks;
    expect([...orchestrations.started.keys()]).toEqual([`${runId}-e1`]);
    expectEachLoadedOnce();
  });

  test('lists nothing when it was suspended before it planned', async () => {
    const runId = await start();
    expect(await suspendRun(test_.loader, runId)).toBe('suspended');
    const { summary, postedAtRest } = await driveOver(runId, 1, async () => {
      expect(test_.source.callCounts.listPage).toBe(0);
      expect(await stateOf(runId)).toBe('suspended');
    });
    expect(postedAtRest).toBe(0);
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: OBJECTS } });
  });

  test('puts no shard before the lanes that was found when the order came, and uses no event up for it', async () => {
    putObjects(test_, 3);
    await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
    await announceKeys(test_, ['in/000', 'in/001', 'in/002']);
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'events' });
    const { put } = test_.loader.documents;
    test_.loader.documents.put = async (path, ...rest) => {
      const written = await put(path, ...rest);
      if (path.includes('/pages/')) await suspendRun(test_.loader, runId);
      return written;
    };
    const ref = { v: 1, runId, epoch: 1 } as const;
    expect(await planPage(test_.loader, { ...ref, page: 0, attempt: 0 })).toMatchObject({ kind: 'wait' });
    expect((await test_.loader.runs.readRun(runId))!.shards).toEqual([]);
    // Cancelled now, the run loads nothing; the events wait for the next one.
    await cancelRun(test_.loader, runId);
    expect(await driveRun(test_, orchestrations, runId)).toMatchObject({ state: 'cancelled' });
    test_.loader.documents.put = put;
    test_.clock.advance(20 * MINUTE);
    const next = await tickLoads(test_, orchestrations);
    expect(await driveRun(test_, orchestrations, next!)).toMatchObject({ objects: { ingested: 3 } });
  });

  test('can be cancelled: what is in flight is settled, the rest has not been started', async () => {
    const runId = await start();
    suspendAtPost(runId, 30);
    let isCancelled = false;
    const summary = await driveRun(test_, orchestrations, runId, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        if (isCancelled) return;
        isCancelled = true;
        void cancelRun(test_.loader, runId);
      },
    });
    const posted = test_.ingestion.messages.length;
    expect(posted).toBeLessThan(OBJECTS);
    expect(summary).toMatchObject({
      state: 'cancelled',
      objects: { ingested: posted, notStarted: OBJECTS - posted, failed: 0, unknown: 0 },
    });
    expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: OBJECTS - posted } });
    expectEachLoadedOnce();
  });

  test('calls an object unknown that ADX does not report in time, and loses none that it has not posted', async () => {
    const runId = await start();
    suspendAtPost(runId, 30);
    const begun = test_.clock.now().getTime();
    let posted = 0;
    let resumed = false;
    const summary = await driveRun(test_, orchestrations, runId, {
      whenIdle: () => {
        if (resumed) return void test_.ingestion.settleAll();
        posted = test_.ingestion.messages.length;
        if (test_.clock.now().getTime() - begun < 120 * MINUTE) return;
        resumed = true;
        void resumeRun(test_.loader, runId);
      },
    });
    expect(summary.objects).toMatchObject({ unknown: posted, ingested: OBJECTS - posted, failed: 0 });
    // Their reports came after all: the next run finds them.
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: posted },
    });
    expectEachLoadedOnce();
  });

  test('survives its host: the next epoch is suspended, too, and loads the rest once', async () => {
    const runId = await start();
    suspendAtPost(runId, 30);
    const { loader, clock } = test_;
    let hasDied = false;
    const input = orchestrations.started.get(`${runId}-e1`)!;
    // The host goes away for good while the run is suspended.
    await drive(loader, clock, input, {
      whenIdle: () => {
        hasDied = true;
        throw new Error('gone');
      },
    }).catch(() => undefined);
    expect(hasDied).toBe(true);
    for (let minute = 0; minute < 20; minute += 1) {
      clock.advance(MINUTE);
      await tick(loader, orchestrations);
    }
    const heir = orchestrations.started.get(`${runId}-e2`)!;
    expect(await stateOf(runId)).toBe('suspended');
    let postedBefore: number | null = null;
    let idle = 0;
    const summary = await drive(loader, clock, heir, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        postedBefore ??= test_.ingestion.messages.length;
        idle += 1;
        if (idle === 50) {
          expect(test_.ingestion.messages).toHaveLength(postedBefore);
          void resumeRun(loader, runId);
        }
      },
    });
    expect(summary).toMatchObject({
      state: 'completed',
      epochs: 2,
      objects: { ingested: OBJECTS, failed: 0 },
    });
    expectEachLoadedOnce();
  });
});

describe('orders', () => {
  test('may be given again; each says in which state the run is', async () => {
    const runId = await start();
    expect(await resumeRun(test_.loader, runId)).toBe('starting');
    expect(await suspendRun(test_.loader, runId)).toBe('suspended');
    test_.clock.advance(MINUTE);
    expect(await suspendRun(test_.loader, runId)).toBe('suspended');
    expect(await resumeRun(test_.loader, runId)).toBe('starting');
    expect(await resumeRun(test_.loader, runId)).toBe('starting');
    const summary = await driveRun(test_, orchestrations, runId);
    expect(summary.objects.ingested).toBe(OBJECTS);
  });

  test('are refused for a run that there is not, that ends, or that has ended', async () => {
    expect(await codeOf(suspendRun(test_.loader, 'none'))).toBe('runNotFound');
    expect(await codeOf(resumeRun(test_.loader, 'none'))).toBe('runNotFound');
    const runId = await start();
    await suspendRun(test_.loader, runId);
    await cancelRun(test_.loader, runId);
    expect(await codeOf(suspendRun(test_.loader, runId))).toBe('runCancelling');
    expect(await codeOf(resumeRun(test_.loader, runId))).toBe('runCancelling');
    await driveRun(test_, orchestrations, runId);
    expect(await codeOf(suspendRun(test_.loader, runId))).toBe('runEnded');
    expect(await codeOf(resumeRun(test_.loader, runId))).toBe('runEnded');
  });
});

describe.each<[CrashMoment, boolean]>([
  ['before', false],
  ['after', true],
])(
  'a host that dies %s a side effect of a run that is suspended and resumed (twice: %s)',
  (moment, twice) => {
    test('loses nothing and loads nothing twice', async () => {
      let crashes = 0;
      for (let number = 0; number < MOST_SIDE_EFFECTS; number += 5) {
        test_ = createTestLoader();
        orchestrations = createMemoryOrchestrations();
        const runId = await start();
        suspendAtPost(runId, 10);
        const host = crashAt(test_.loader, number, moment);
        const input = orchestrations.started.get(`${runId}-e1`)!;
        let idle = 0;
        const summary = await drive(host.loader, test_.clock, input, {
          host,
          twice,
          whenIdle: () => {
            test_.ingestion.settleAll();
            idle += 1;
            if (idle >= 20) void resumeRun(test_.loader, runId).catch(() => undefined);
          },
        });
        if (host.deaths() === 0) break;
        crashes += 1;
        const { ingested, unknown, failed, notStarted } = summary!.objects;
        expect({ number, total: ingested + unknown, failed, notStarted }).toEqual({
          number,
          total: OBJECTS,
          failed: 0,
          notStarted: 0,
        });
        expect(new Set(postedKeys()).size).toBe(postedKeys().length);
        if (unknown === 0) expectEachLoadedOnce();
      }
      expect(crashes).toBeGreaterThan(20);
      expect(crashes).toBeLessThan(MOST_SIDE_EFFECTS / 5);
    }, 60_000);
  },
);
