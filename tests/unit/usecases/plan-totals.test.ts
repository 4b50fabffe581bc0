import { beforeEach, describe, expect, test } from 'vitest';

import type { PartRow } from '../../../shared/domain/run-record.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import type { RunWrite } from '../../../shared/ports/run-store.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import type { Loader } from '../../../shared/usecases/loader.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { listObjects, readRunStatus } from '../../../shared/usecases/read-run.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { resumeRun, suspendRun } from '../../../shared/usecases/suspend-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import {
  createMemoryOrchestrations,
  drive,
  type MemoryOrchestrations,
} from '../../fakes/memory-orchestrations.ts';
import { driveRun } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
/** Each is a shard of its own; 80 come into the run with one commit. */
const OBJECTS = 100;
const FIRST = 80;
const SIZE = 10;

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;
let runId: string;

beforeEach(async () => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
  for (let index = 0; index < OBJECTS; index += 1)
    test_.source.put({ key: `in/${String(index).padStart(3, '0')}.json`, sizeBytes: SIZE });
  test_.source.put({ key: 'in/other.csv', sizeBytes: SIZE });
  const source = { bucket: 'memory-bucket', suffix: '.json' };
  const concurrency = { lanes: 32, maxInFlight: 32, objectsPerActivity: 1 };
  await putLoad(test_.loader, 'flights', definitionOf({ source, concurrency }));
  ({ runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' }));
});

const isBatch = (writes: readonly RunWrite[]) => writes.some(({ value }) => value.row === 'shard');
const holdsOf = (writes: readonly RunWrite[]) =>
  writes.map(({ value }) => value).find((row): row is PartRow => row.row === 'part')?.holds;

/** Plans the page up to the first commit of its shards, behind which this happens. */
async function planFirstBatch(behind: () => Promise<unknown>): Promise<void> {
  const { runs } = test_.loader;
  const loader: Loader = {
    ...test_.loader,
    runs: {
      ...runs,
      commit: async (id, writes) => {
        const isWritten = await runs.commit(id, writes);
        if (isWritten && isBatch(writes) && holdsOf(writes) === String(FIRST)) await behind();
        return isWritten;
      },
    },
  };
  await planPage(loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 });
  expect((await test_.loader.runs.readRun(runId))!.shards).toHaveLength(FIRST);
}

const suspend = () => suspendRun(test_.loader, runId);
const all = { listed: OBJECTS + 1, selected: OBJECTS, selectedBytes: OBJECTS * SIZE, skipped: { suffix: 1 } };

describe('of a page that comes into the run in several commits', () => {
  test('the plan counts the objects that are in, as the list of objects does', async () => {
    await planFirstBatch(suspend);
    const { progress } = await readRunStatus(test_.loader, runId);
    expect(progress).toMatchObject({ listed: OBJECTS + 1, objectsTotal: FIRST, bytesDone: 0 });
    expect(progress.bytesTotal).toBe(FIRST * SIZE);
    const { objects } = await listObjects(test_.loader, runId, { state: null, limit: 1000, after: null });
    expect(objects).toHaveLength(FIRST);
  });

  test('a cancel in between leaves a plan that agrees with the objects', async () => {
    await planFirstBatch(suspend);
    await cancelRun(test_.loader, runId);
    expect(await driveRun(test_, orchestrations, runId)).toMatchObject({
      state: 'cancelled',
      plan: { ...all, selected: FIRST, selectedBytes: FIRST * SIZE },
      objects: { ingested: 0, notStarted: FIRST },
    });
  });

  test('an error in between leaves a plan that agrees with the objects', async () => {
    const { commit } = test_.loader.runs;
    test_.loader.runs.commit = async (id, writes) => {
      const isNext = writes.some(({ value }) => value.row === 'shard' && value.state === 'planned');
      if (isNext && holdsOf(writes) !== String(FIRST)) throw new LoaderError('stateUnavailable', 'away');
      return commit(id, writes);
    };
    expect(await driveRun(test_, orchestrations, runId)).toMatchObject({
      state: 'completedWithFailures',
      problem: { code: 'stateUnavailable' },
      plan: { ...all, selected: FIRST, selectedBytes: FIRST * SIZE },
      objects: { ingested: FIRST },
    });
  });

  test('the plan counts each once when the run goes on, each activity twice', async () => {
    await planFirstBatch(suspend);
    await resumeRun(test_.loader, runId);
    expect(await driveRun(test_, orchestrations, runId, { twice: true })).toMatchObject({
      state: 'completed',
      plan: all,
      objects: { ingested: OBJECTS },
    });
  });

  test('the plan counts each once when another epoch goes on', async () => {
    await planFirstBatch(suspend);
    await resumeRun(test_.loader, runId);
    for (let minute = 0; minute < 20; minute += 1) {
      test_.clock.advance(MINUTE);
      await tick(test_.loader, orchestrations);
    }
    const input = orchestrations.started.get(`${runId}-e2`)!;
    const whenIdle = () => void test_.ingestion.settleAll();
    expect(await drive(test_.loader, test_.clock, input, { whenIdle })).toMatchObject({
      state: 'completed',
      epochs: 2,
      plan: all,
      objects: { ingested: OBJECTS },
    });
  });
});
