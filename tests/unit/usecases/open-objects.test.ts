import { beforeEach, describe, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { receiveEvent } from '../../../shared/usecases/receive-event.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const BEHIND_THE_FENCE = 8 * HOUR;
/** ADX says nothing, until the deadline of the run. */
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

function putObjects(count: number): void {
  for (let index = 0; index < count; index += 1)
    test_.source.put({ key: `in/${String(index).padStart(3, '0')}` });
}

/** Ticks once and returns the run that it started, if any. */
async function tickOnce(): Promise<string | null> {
  const before = orchestrations.started.size;
  await tick(test_.loader, orchestrations);
  return orchestrations.started.size === before
    ? null
    : [...orchestrations.started.keys()].at(-1)!.replace(/-e1$/, '');
}

function announce(key: string) {
  return receiveEvent(test_.loader, {
    Records: [
      {
        eventSource: 'aws:s3',
        eventName: 'ObjectCreated:Put',
        s3: { bucket: { name: 'memory-bucket' }, object: { key, size: 1, eTag: 'x' } },
      },
    ],
  });
}

async function outcomesOf(runId: string): Promise<readonly string[]> {
  const { objects } = await listObjects(test_.loader, runId, { state: null, limit: 1000, after: null });
  return objects.map(({ key }) => key);
}

describe('objects that a run leaves open', () => {
  test('are handed on from run to run, and each run counts them once', async () => {
    putObjects(5);
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
    putObjects(5);
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
    putObjects(1);
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
    putObjects(1);
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

test('an object that no queue took is tried again by the next run', async () => {
  putObjects(2);
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
