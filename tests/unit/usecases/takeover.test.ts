import { expect, test } from 'vitest';

import { ingestUnit } from '../../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { readRunStatus } from '../../../shared/usecases/read-run.ts';
import { settleShard } from '../../../shared/usecases/settle-shard.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { takePosted } from '../../../shared/usecases/take-posted.ts';
import { takeShard } from '../../../shared/usecases/take-shard.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { createMemoryOrchestrations, drive } from '../../fakes/memory-orchestrations.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;

test('a run that stands still is taken over after two sights, and the new epoch loads what is left once', async () => {
  const { loader, clock, source, ingestion } = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  for (let index = 0; index < 120; index += 1) source.put({ key: `in/${String(index).padStart(3, '0')}` });
  await putLoad(loader, 'flights', definitionOf());
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });

  // The first epoch plans and claims a shard, then its host is gone.
  await planPage(loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 });
  expect(await takeShard(loader, { v: 1, runId, epoch: 1, lane: 0, turn: 0, finished: null })).toMatchObject({
    kind: 'shard',
  });
  clock.advance(11 * MINUTE);
  await tick(loader, orchestrations);
  clock.advance(MINUTE);
  await tick(loader, orchestrations);
  expect(orchestrations.started.has(`${runId}-e2`)).toBe(false);
  clock.advance(3 * MINUTE);
  await tick(loader, orchestrations);
  expect(orchestrations.started.has(`${runId}-e2`)).toBe(true);
  expect(orchestrations.terminated).toEqual(
    expect.arrayContaining([
      `${runId}-e1`,
      `${runId}-e1-planner`,
      `${runId}-e1-lane-0`,
      `${runId}-e1-settler-0`,
    ]),
  );

  // The old epoch has nothing to say any more.
  expect(await takeShard(loader, { v: 1, runId, epoch: 1, lane: 1, turn: 0, finished: null })).toEqual({
    kind: 'stop',
  });

  const summary = await drive(loader, clock, orchestrations.started.get(`${runId}-e2`)!, {
    whenIdle: () => void ingestion.settleAll(),
  });
  expect(summary).toMatchObject({
    state: 'completed',
    epochs: 2,
    plan: { selected: 120 },
    objects: { ingested: 120, notStarted: 0 },
  });
  expect(ingestion.messages).toHaveLength(120);
});

test('a run is given up after five epochs, and its lock is free', async () => {
  const { loader, clock, source } = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  source.put({ key: 'in/1' });
  await putLoad(loader, 'flights', definitionOf());
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  for (let minute = 0; minute < 90; minute += 1) {
    clock.advance(MINUTE);
    await tick(loader, orchestrations);
  }
  expect([...orchestrations.started.keys()].filter((id) => id.startsWith(runId))).toHaveLength(5);
  const view = await loader.runs.readRun(runId);
  expect(view!.run.value).toMatchObject({ finalState: 'failed', epoch: 5 });
  expect(await loader.loads.readLock('flights')).toBeNull();
});

test('a run whose lanes never came to their first turn is taken over, although its settler lives', async () => {
  const { loader, clock, source } = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  source.put({ key: 'in/1' });
  await putLoad(loader, 'flights', definitionOf());
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  expect(await planPage(loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 })).toEqual({ kind: 'stop' });
  for (let minute = 0; minute < 14; minute += 1) {
    clock.advance(MINUTE);
    expect(await takePosted(loader, { v: 1, runId, epoch: 1, settler: 0, turn: minute })).toMatchObject({
      kind: 'wait',
    });
    await tick(loader, orchestrations);
  }
  expect(orchestrations.started.has(`${runId}-e2`)).toBe(true);
});

test('a run that is given up says of what it has posted that its fate is unknown, and hands it on', async () => {
  const { loader, clock, source, ingestion } = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  for (let index = 0; index < 50; index += 1) source.put({ key: `in/${String(index).padStart(3, '0')}` });
  await putLoad(loader, 'flights', definitionOf({ concurrency: { lanes: 2, objectsPerActivity: 25 } }));
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  await planPage(loader, { ...ref, page: 0, attempt: 0 });
  const taken = await takeShard(loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error('No shard');
  await ingestUnit(loader, { ...ref, shard: taken.shard, unit: 0 });
  expect(ingestion.messages).toHaveLength(25);
  // ADX reports ten of the 25; nothing of the run moves any more.
  for (const { sourceId } of ingestion.messages.slice(0, 10))
    ingestion.setStatus(sourceId, { status: 'Succeeded' });
  for (let minute = 0; minute < 90; minute += 1) {
    clock.advance(MINUTE);
    await tick(loader, orchestrations);
  }
  expect(await readRunStatus(loader, runId)).toMatchObject({
    state: 'failed',
    // Nobody asked for its end.
    summary: { stopReason: 'givenUp', objects: { ingested: 10, unknown: 15, notStarted: 25 } },
  });
  expect(await loader.loads.listUnsettled('flights')).toMatchObject([{ runId, objects: 15 }]);
});

test('a run that is given up says of what waited to be posted once more that it has failed', async () => {
  const { loader, clock, source, ingestion } = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  for (let index = 0; index < 4; index += 1) source.put({ key: `in/${index}` });
  await putLoad(loader, 'flights', definitionOf({ concurrency: { lanes: 1 } }));
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  await planPage(loader, { ...ref, page: 0, attempt: 0 });
  const taken = await takeShard(loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error('No shard');
  ingestion.endPosts(({ url }) => (url.includes('/3') ? 'refused' : 'accepted'));
  await ingestUnit(loader, { ...ref, shard: taken.shard, unit: 0 });
  ingestion.settleAll();
  const finished = { shard: taken.shard, ok: true, code: null };
  await takeShard(loader, { ...ref, lane: 0, turn: 1, finished });
  clock.advance(MINUTE);
  const due = await takePosted(loader, { ...ref, settler: 0, turn: 0 });
  if (due.kind !== 'settle') throw new Error('Nothing to settle');
  await settleShard(loader, { ...ref, settler: 0, shard: due.shard });
  expect((await loader.runs.readRun(runId))!.shards.map(({ value }) => value.shard)).toEqual([
    `${taken.shard}r1`,
  ]);
  for (let minute = 0; minute < 90; minute += 1) {
    clock.advance(MINUTE);
    await tick(loader, orchestrations);
  }
  expect(await readRunStatus(loader, runId)).toMatchObject({
    state: 'failed',
    summary: { objects: { ingested: 3, failed: 1, unknown: 0, notStarted: 0 } },
  });
});
