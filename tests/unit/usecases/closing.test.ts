import { beforeEach, expect, test } from 'vitest';

import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { finishRun } from '../../../shared/usecases/finish-run.ts';
import { ingestUnit } from '../../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import type { Loader } from '../../../shared/usecases/loader.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { settleShard } from '../../../shared/usecases/settle-shard.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { suspendRun } from '../../../shared/usecases/suspend-run.ts';
import { takePosted } from '../../../shared/usecases/take-posted.ts';
import { takeShard } from '../../../shared/usecases/take-shard.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { putObjects } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;
let runId: string;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

/** A run that has posted its only shard, which nobody has settled when it is given up. */
async function postAll(): Promise<void> {
  putObjects(test_, 5);
  await putLoad(test_.loader, 'flights', definitionOf());
  ({ runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' }));
  const ref = { v: 1, runId, epoch: 1 } as const;
  await planPage(test_.loader, { ...ref, page: 0, attempt: 0 });
  const taken = await takeShard(test_.loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error(taken.kind);
  await ingestUnit(test_.loader, { ...ref, shard: taken.shard, unit: 0 });
  const finished = { shard: taken.shard, ok: true, code: null } as const;
  await takeShard(test_.loader, { ...ref, lane: 0, turn: 1, finished });
}

const GIVEN_UP = { givenUp: true } as const;

/** A host that dies after it has written the summary. */
function dyingBeforeTheEnd(): Loader {
  const { runs } = test_.loader;
  return {
    ...test_.loader,
    runs: {
      ...runs,
      commit: async (id, writes) => {
        const isEnd = writes.some(({ value }) => value.row === 'run' && value.finalState !== null);
        if (isEnd) throw new Error('killed');
        return runs.commit(id, writes);
      },
    },
  };
}

async function listedStates(): Promise<readonly string[]> {
  const { objects } = await listObjects(test_.loader, runId, { state: null, limit: 100, after: null });
  return objects.map(({ state }) => state);
}

test.each([1, 2])(
  'nothing changes behind the summary, also when the host dies before the end of the run (epoch %i goes on)',
  async (epoch) => {
    await postAll();
    const ref = { v: 1, runId, epoch } as const;
    await expect(finishRun(dyingBeforeTheEnd(), { ...ref, epoch: 1 }, GIVEN_UP)).rejects.toThrow('killed');
    const reached = async () => (await test_.loader.runs.readControl(runId))!.run.value.epoch;
    for (let minute = 0; (await reached()) < epoch && minute < 60; minute += 1) {
      test_.clock.advance(60_000);
      await tick(test_.loader, orchestrations);
    }
    expect(await reached()).toBe(epoch);
    test_.ingestion.settleAll();
    expect(await takePosted(test_.loader, { ...ref, settler: 0, turn: 0, finished: null })).toEqual({
      kind: 'stop',
    });
    const [shard] = (await test_.loader.runs.readRun(runId))!.shards;
    await settleShard(test_.loader, { ...ref, settler: 0, shard: shard!.value.shard });
    const summary = await finishRun(test_.loader, ref);
    expect(summary?.objects).toMatchObject({ unknown: 5, ingested: 0 });
    expect(await listedStates()).toEqual(Array.from({ length: 5 }, () => 'unknown'));
  },
);

test('a part that decided before the end of its run can not write any more', async () => {
  await postAll();
  test_.ingestion.settleAll();
  const [shard] = (await test_.loader.runs.readRun(runId))!.shards;
  const ref = { v: 1, runId, epoch: 1 } as const;
  await takePosted(test_.loader, { ...ref, settler: 0, turn: 0, finished: null });
  const { runs } = test_.loader;
  let isFirst = true;
  const slow: Loader = {
    ...test_.loader,
    runs: {
      ...runs,
      commit: async (id, writes) => {
        if (isFirst && writes.some(({ value }) => value.row === 'shard')) {
          isFirst = false;
          await finishRun(test_.loader, ref, GIVEN_UP);
        }
        return runs.commit(id, writes);
      },
    },
  };
  await settleShard(slow, { ...ref, settler: 0, shard: shard!.value.shard });
  expect(isFirst).toBe(false);
  expect(await listedStates()).toEqual(Array.from({ length: 5 }, () => 'unknown'));
});

test('a run that is just ending takes no orders', async () => {
  await postAll();
  await expect(finishRun(dyingBeforeTheEnd(), { v: 1, runId, epoch: 1 }, GIVEN_UP)).rejects.toThrow('killed');
  await expect(cancelRun(test_.loader, runId)).rejects.toMatchObject({ code: 'runEnded' });
  await expect(suspendRun(test_.loader, runId)).rejects.toMatchObject({ code: 'runEnded' });
});
