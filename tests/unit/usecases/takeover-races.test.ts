import { beforeEach, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { ingestUnit } from '../../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { receiveEvent } from '../../../shared/usecases/receive-event.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { takePosted } from '../../../shared/usecases/take-posted.ts';
import { takeShard } from '../../../shared/usecases/take-shard.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import {
  createMemoryOrchestrations,
  drive,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { driveRun, putObjects, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

test('a run whose lane works through a shard of many short units is not taken over', async () => {
  const { loader, clock } = test_;
  putObjects(test_, 400);
  await putLoad(
    loader,
    'flights',
    definitionOf({ concurrency: { lanes: 1, objectsPerActivity: 4, postsInFlight: 4 } }),
  );
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  expect(await planPage(loader, { ...ref, page: 0, attempt: 0 })).toEqual({ kind: 'stop' });
  const taken = await takeShard(loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error('No shard');
  expect(taken.units).toBe(100);
  // The host works through them one by one, half a minute each: nobody is silent, every unit posts its objects.
  for (let unit = 0; unit < taken.units; unit += 1) {
    clock.advance(MINUTE / 2);
    expect(await ingestUnit(loader, { ...ref, shard: taken.shard, unit })).toEqual({ ok: true });
    await takePosted(loader, { ...ref, settler: 0, turn: unit });
    if (unit % 2 === 0) await tick(loader, orchestrations);
    expect([unit, orchestrations.terminated.length]).toEqual([unit, 0]);
  }
});

test('objects of a given-up run are handed on although their reports can not be read at that moment', async () => {
  const { loader, clock, ingestion } = test_;
  putObjects(test_, 30);
  await putLoad(loader, 'flights', definitionOf());
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  await planPage(loader, { ...ref, page: 0, attempt: 0 });
  const taken = await takeShard(loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error('No shard');
  await ingestUnit(loader, { ...ref, shard: taken.shard, unit: 0 });
  const posted = ingestion.messages.length;
  ingestion.failNext('readStatuses', new LoaderError('clusterUnavailable', 'away'), 1000);
  for (let minute = 0; minute < 90; minute += 1) {
    clock.advance(MINUTE);
    await tick(loader, orchestrations);
  }
  expect((await loader.runs.readControl(runId))!.run.value.finalState).toBe('failed');
  const handedOn = await loader.loads.listUnsettled('flights');
  expect(handedOn.reduce((sum, { objects }) => sum + objects, 0)).toBeGreaterThanOrEqual(posted);
});

test('a silent run is taken over although two hosts tick by turns', async () => {
  const { loader, clock } = test_;
  putObjects(test_, 1);
  await putLoad(loader, 'flights', definitionOf());
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const hosts = [clock.now(), new Date(clock.now().getTime() + 1000)];
  for (let minute = 0; minute < 60; minute += 1) {
    clock.advance(MINUTE);
    await tick({ ...loader, startedAt: hosts[minute % 2]! }, orchestrations);
  }
  expect(orchestrations.started.has(`${runId}-e2`)).toBe(true);
});

test('a planner whose first commit comes between the look and the takeover does not keep the run from ending', async () => {
  const { loader, clock, ingestion } = test_;
  putObjects(test_, 10);
  await putLoad(loader, 'flights', definitionOf());
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  clock.advance(11 * MINUTE);
  await tick(loader, orchestrations);
  clock.advance(4 * MINUTE);
  // The old planner comes to its first turn while the tick asks the Durable client about the old instance.
  const status = orchestrations.status;
  orchestrations.status = async (instance) => {
    await planPage(loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 });
    return status(instance);
  };
  await tick(loader, orchestrations);
  orchestrations.status = status;
  // The run lives, so it is not taken over.
  expect(orchestrations.started.has(`${runId}-e2`)).toBe(false);
  const summary = await drive(loader, clock, orchestrations.started.get(`${runId}-e1`)!, {
    mostIdle: 300,
    whenIdle: () => void ingestion.settleAll(),
  });
  expect(summary).toMatchObject({ state: 'completed', problem: null, plan: { selected: 10 } });
});

test('a cluster that is away for 20 seconds does not make the objects of a run fail', async () => {
  const { loader, clock, ingestion } = test_;
  putObjects(test_, 200);
  await putLoad(loader, 'flights', definitionOf());
  const backAt = clock.now().getTime() + 25_000;
  loader.ingestion = async () => ({
    ...ingestion,
    warmUp: async () => {
      if (clock.now().getTime() < backAt) throw new LoaderError('clusterUnavailable', 'a restart');
    },
  });
  const summary = await runLoad(test_, orchestrations);
  expect(summary.objects).toMatchObject({ ingested: 200, failed: 0 });
});

test('what an earlier run left open stays in a document when the planner could not look at it', async () => {
  const { loader, clock, ingestion } = test_;
  await putLoad(loader, 'flights', definitionOf({ events: true }));
  const announce = (key: string) =>
    receiveEvent(loader, {
      Records: [
        {
          eventSource: 'aws:s3',
          eventName: 'ObjectCreated:Put',
          s3: { bucket: { name: 'memory-bucket' }, object: { key, size: 1, eTag: 'x' } },
        },
      ],
    });
  /** An events run over one object that ADX doesn't report. */
  const leaveOpen = async (key: string) => {
    test_.source.put({ key });
    await announce(key);
    clock.advance(MINUTE);
    await tick(loader, orchestrations);
    const runId = [...orchestrations.started.keys()].at(-1)!.replace(/-e1$/, '');
    return driveRun(test_, orchestrations, runId, { whenIdle: () => undefined });
  };
  await leaveOpen('in/a');
  const { state, objects } = await leaveOpen('in/b');
  expect([state, objects.unknown, objects.deferred]).toEqual(['completedWithFailures', 1, 1]);
  // A third run, over a second document that stays unreadable while it plans.
  await loader.loads.addUnsettled({
    load: 'flights',
    generation: 1,
    runId: 'flights-zzz',
    manifest: 'runs/flights-zzz/unsettled.ndjson',
    objects: 1,
    lookAt: clock.now().toISOString(),
  });
  await loader.documents.put(
    'runs/flights-zzz/unsettled.ndjson',
    `${JSON.stringify({ key: 'in/z', version: 'e:1', sizeBytes: 1 })}\n`,
    'always',
  );
  const { get } = loader.documents;
  loader.documents.get = async (path) => {
    if (path.includes('flights-zzz')) throw new LoaderError('stateUnavailable', 'away');
    return get(path);
  };
  const third = await runLoad(test_, orchestrations, { whenIdle: () => void ingestion.settleAll() });
  expect(third.problem).toMatchObject({ code: 'stateUnavailable' });
  loader.documents.get = get;
  expect((await loader.loads.listUnsettled('flights')).map(({ runId }) => runId)).toContain('flights-zzz');
});
