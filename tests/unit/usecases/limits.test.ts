import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';

import { fits } from '../../../shared/domain/run-limits.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { announceKeys, driveRun, putObjects, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

test('law: runs within limits take everything in the end, each no more than it may, and at least one object', () => {
  const limit = fc.option(fc.integer({ min: 1, max: 500 }), { nil: null });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 60 }),
      limit,
      limit,
      (sizes, maxObjects, maxBytes) => {
        let left = sizes;
        for (let run = 0; left.length > 0; run += 1) {
          expect(run).toBeLessThan(sizes.length);
          let taken = { objects: 0, bytes: 0 };
          for (const size of left) {
            if (!fits({ maxObjects, maxBytes }, taken, size)) break;
            taken = { objects: taken.objects + 1, bytes: taken.bytes + size };
          }
          expect(taken.objects).toBeGreaterThan(0);
          if (maxObjects !== null) expect(taken.objects).toBeLessThanOrEqual(maxObjects);
          if (maxBytes !== null && taken.objects > 1) expect(taken.bytes).toBeLessThanOrEqual(maxBytes);
          left = left.slice(taken.objects);
        }
      },
    ),
  );
});

describe('a load with limits', () => {
  test.each([
    ['objects', { maxObjects: 40 }, [40, 40, 20, 0]],
    ['bytes', { maxBytes: 3050 }, [30, 30, 30, 10, 0]],
  ])('takes so many %s in a run, and the rest in the next ones', async (_, limits, expected) => {
    await putLoad(test_.loader, 'flights', definitionOf({ limits }));
    putObjects(test_, 100);
    for (const ingested of expected) {
      const summary = await runLoad(test_, orchestrations);
      expect(summary).toMatchObject({ state: 'completed', objects: { ingested, notStarted: 0 } });
    }
    expect(new Set(test_.ingestion.messages.map(({ url }) => url)).size).toBe(100);
  });

  test('counts over plan pages', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ limits: { maxObjects: 5500 } }));
    for (let index = 0; index < 12_000; index += 1)
      test_.source.put({ key: `in/${String(index).padStart(5, '0')}` });
    const summary = await runLoad(test_, orchestrations);
    expect(summary.plan).toMatchObject({ selected: 5500, skipped: { limit: 6500 } });
    expect(summary.objects.ingested).toBe(5500);
  });

  test.each([
    ['signed URLs', {}],
    ['URLs that never end', { source: { bucket: 'memory-bucket', credentials: 'anonymous' } }],
  ])('goes on with new objects while it waits for reports on older ones, with %s', async (_, changes) => {
    await putLoad(test_.loader, 'flights', definitionOf({ limits: { maxObjects: 40 }, ...changes }));
    putObjects(test_, 100);
    const silent = { whenIdle: () => undefined };
    expect((await runLoad(test_, orchestrations, silent)).objects.unknown).toBe(40);
    // What an interrupted run left is found while listing, and takes nothing either.
    await test_.loader.loads.removeUnsettled({
      load: 'flights',
      runId: (await test_.loader.loads.listUnsettled('flights'))[0]!.runId,
    });
    const second = await runLoad(test_, orchestrations, silent);
    expect(second.plan.selected).toBe(80);
    expect(second.objects.unknown + second.objects.deferred).toBe(80);
    test_.ingestion.settleAll();
    const last = await runLoad(test_, orchestrations);
    expect(last.plan).toMatchObject({ selected: 100 });
    expect(last.objects.ingested).toBe(100);
    expect(test_.ingestion.messages).toHaveLength(100);
  });

  test('keeps the events of what it has left', async () => {
    await putLoad(test_.loader, 'flights', definitionOf({ events: true, limits: { maxObjects: 2 } }));
    putObjects(test_, 5);
    await announceKeys(test_, ['in/000', 'in/001', 'in/002', 'in/003', 'in/004']);
    const counts: number[] = [];
    for (let minute = 0; minute < 10; minute += 1) {
      test_.clock.advance(60_000);
      const runId = await tickLoads(test_, orchestrations);
      if (runId !== null) counts.push((await driveRun(test_, orchestrations, runId)).objects.ingested);
    }
    expect(counts).toEqual([2, 2, 1]);
  });
});
