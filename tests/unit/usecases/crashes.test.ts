import { describe, expect, test } from 'vitest';

import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { type CrashingLoader, type CrashMoment, crashAt, surviving } from '../../fakes/crashing-loader.ts';
import {
  createMemoryOrchestrations,
  drive,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { announceKeys, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const OBJECTS = 60;
const FEW_OBJECTS = 20;
const MINUTE = 60_000;
const BEHIND_THE_FENCE = 8 * 3_600_000;
const MOST_SIDE_EFFECTS = 500;

/** Ten ticks, a minute apart, and all runs that they find or start; `twice` runs each activity twice at the same time. */
async function tickAndRun(
  { clock, ingestion }: TestLoader,
  orchestrations: MemoryOrchestrations,
  host: CrashingLoader,
  twice: boolean,
): Promise<void> {
  for (let minute = 0; minute < 10; minute += 1) {
    clock.advance(MINUTE);
    await surviving(host, () => tick(host.loader, host.orchestrations(orchestrations)));
    for (const [, input] of orchestrations.started) {
      const view = await host.loader.runs.readRun(input.runId);
      if (view === null || view.run.value.finalState !== null) continue;
      await drive(host.loader, clock, input, {
        host,
        twice,
        whenIdle: () => void ingestion.settleAll(),
      });
    }
  }
}

function messagesByObject({ ingestion }: TestLoader): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { url } of ingestion.messages) {
    const path = new URL(url).pathname;
    counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return counts;
}

async function expectAllLoadedOnce(
  test_: TestLoader,
  orchestrations: MemoryOrchestrations,
  host: CrashingLoader,
  twice: boolean,
  objects = OBJECTS,
): Promise<void> {
  expect(await test_.loader.loads.readLock('flights')).toBeNull();
  // What the crash left open is settled by the next run behind the fence.
  test_.clock.advance(BEHIND_THE_FENCE);
  await tickAndRun(test_, orchestrations, host, twice);
  const last = await runLoad(test_, orchestrations);
  expect(last).toMatchObject({ plan: { selected: 0, skipped: { unchanged: objects } } });
  const messages = messagesByObject(test_);
  expect(messages.size).toBe(objects);
  expect(Math.max(...messages.values())).toBe(1);
}

/** A run that a person starts, over and over, on a host that dies at another one of its side effects each time. */
async function runOnDyingHosts(
  moment: CrashMoment,
  twice: boolean,
  objects = OBJECTS,
  prepare: (test_: TestLoader) => void = () => undefined,
): Promise<void> {
  let crashes = 0;
  for (let number = 0; number < MOST_SIDE_EFFECTS; number += 1) {
    const test_ = createTestLoader();
    const orchestrations = createMemoryOrchestrations();
    for (let index = 0; index < objects; index += 1) test_.source.put({ key: `in/${index}` });
    prepare(test_);
    await putLoad(test_.loader, 'flights', definitionOf());
    const host = crashAt(test_.loader, number, moment);
    await surviving(host, () =>
      startRun(host.loader, host.orchestrations(orchestrations), { load: 'flights', trigger: 'manual' }),
    );
    // A start that never took the lock has not been made: its caller was told so.
    if ((await test_.loader.loads.readLock('flights')) === null)
      await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    await tickAndRun(test_, orchestrations, host, twice);
    if (host.deaths() === 0) break;
    crashes += 1;
    await expectAllLoadedOnce(test_, orchestrations, host, twice, objects);
  }
  expect(crashes).toBeGreaterThan(50);
  expect(crashes).toBeLessThan(MOST_SIDE_EFFECTS);
}

describe.each<[CrashMoment, string, boolean]>([
  ['before', 'once', false],
  ['after', 'once', false],
  ['before', 'twice', true],
  ['after', 'twice', true],
])('a host that dies %s a side effect, running each activity %s', (moment, _, twice) => {
  test('loses nothing and loads nothing twice: a run that a person starts', async () => {
    await runOnDyingHosts(moment, twice);
  }, 60_000);

  test('loses nothing and loads nothing twice: a run that posts once more what was refused', async () => {
    await runOnDyingHosts(moment, twice, FEW_OBJECTS, ({ ingestion }) =>
      ingestion.endPosts(({ url }) => {
        const { pathname } = new URL(url);
        const isFirst = !ingestion.attempts.some(({ request }) => new URL(request.url).pathname === pathname);
        return isFirst && pathname.endsWith('7') ? 'refused' : 'accepted';
      }),
    );
  }, 60_000);

  test('loses no event', async () => {
    let crashes = 0;
    for (let number = 0; number < MOST_SIDE_EFFECTS; number += 1) {
      const test_ = createTestLoader();
      const orchestrations = createMemoryOrchestrations();
      for (let index = 0; index < OBJECTS; index += 1) test_.source.put({ key: `in/${index}` });
      await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
      const host = crashAt(test_.loader, number, moment);
      const keys = Array.from({ length: OBJECTS }, (_, index) => `in/${index}`);
      await surviving(host, () => announceKeys(host, keys));
      // The queue delivers a message again that was not taken.
      await announceKeys(test_, keys);
      await tickAndRun(test_, orchestrations, host, twice);
      if (host.deaths() === 0) break;
      crashes += 1;
      await expectAllLoadedOnce(test_, orchestrations, host, twice);
    }
    expect(crashes).toBeGreaterThan(50);
    expect(crashes).toBeLessThan(MOST_SIDE_EFFECTS);
  }, 60_000);
});
