import { beforeEach, describe, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cleanUp } from '../../../shared/usecases/clean-up.ts';
import { deleteLoad, putLoad } from '../../../shared/usecases/load-catalog.ts';
import { readOperation } from '../../../shared/usecases/operation-documents.ts';
import { listRuns } from '../../../shared/usecases/read-run.ts';
import { startRerun } from '../../../shared/usecases/rerun.ts';
import { startReset } from '../../../shared/usecases/reset-ledger.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { startUndo } from '../../../shared/usecases/undo-run.ts';
import { crashAt, surviving } from '../../fakes/crashing-loader.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { announceKeys, putObjects, runLoad } from '../../fakes/run-load.ts';
import { driveOperation, undoRun } from '../../fakes/run-operation.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const DAY = 24 * 3_600_000;

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(async () => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
  await putLoad(test_.loader, 'flights', definitionOf());
  putObjects(test_, 20);
});

const left = async () =>
  (await listRuns(test_.loader, { load: null, limit: 100, after: null })).runs.map(({ runId }) => runId);
const documentsOf = (runId: string) => test_.loader.documents.list(`runs/${runId}/`);

describe('what has been kept for long enough is removed', () => {
  test('runs with all that was written for them, and histories; the ledger stays', async () => {
    const old = await runLoad(test_, orchestrations);
    test_.clock.advance(60 * DAY);
    const recent = await runLoad(test_, orchestrations);
    test_.clock.advance(31 * DAY);
    expect((await documentsOf(old.runId)).length).toBeGreaterThan(3);
    await cleanUp(test_.loader, orchestrations);
    expect(await left()).toEqual([recent.runId]);
    expect(await documentsOf(old.runId)).toEqual([]);
    expect((await listRuns(test_.loader, { load: 'flights', limit: 9, after: null })).runs).toHaveLength(1);
    expect((await documentsOf(recent.runId)).length).toBeGreaterThan(3);
    expect(orchestrations.purges).toEqual([new Date(test_.clock.now().getTime() - 7 * DAY)]);
    expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 20 } } });
  });

  test('status entities of its messages in the cluster, but for those of open objects', async () => {
    const { runId } = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        for (const { sourceId } of test_.ingestion.messages.slice(1))
          test_.ingestion.setStatus(sourceId, { status: 'Succeeded' });
      },
    });
    const ids = test_.ingestion.messages.map(({ sourceId }) => sourceId);
    const left_ = async () =>
      [...(await test_.ingestion.readStatuses(ids)).values()].filter((status) => status !== null).length;
    test_.clock.advance(91 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect([await left_(), await left()]).toEqual([20, [runId]]);
    // The next run settles the open one; both are removed in one pass.
    test_.ingestion.settleAll();
    await runLoad(test_, orchestrations);
    test_.clock.advance(91 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect([await left_(), await left()]).toEqual([0, []]);
  });

  test('but not at once those in a cluster that is away: the run waits for it, for a week', async () => {
    const { runId } = await runLoad(test_, orchestrations);
    test_.clock.advance(91 * DAY);
    const second = await runLoad(test_, orchestrations);
    test_.ingestion.failNext('removeStatuses', new LoaderError('clusterUnavailable', 'away'), 9);
    await cleanUp(test_.loader, orchestrations);
    expect(await left()).toEqual([second.runId, runId]);
    expect((await documentsOf(runId)).length).toBeGreaterThan(3);
    expect(test_.logged.some((line) => line.includes('statusesLeft'))).toBe(true);
    expect(test_.ingestion.callCounts.removeStatuses).toBe(1);
    test_.clock.advance(7 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect([await left(), await documentsOf(runId)]).toEqual([[second.runId], []]);
  });

  test('but not those in a cluster that permits no removal: the run goes all the same', async () => {
    await runLoad(test_, orchestrations);
    const removeStatuses = async () => null;
    const ingestion = async () => ({ ...test_.ingestion, removeStatuses });
    test_.clock.advance(91 * DAY);
    await cleanUp({ ...test_.loader, ingestion }, orchestrations);
    expect(await left()).toEqual([]);
  });

  test('status entities of more shards than a pass comes to, by the next ones', async () => {
    await putLoad(
      test_.loader,
      'flights',
      definitionOf({ concurrency: { lanes: 4, objectsPerActivity: 1 } }),
    );
    const { runId } = await runLoad(test_, orchestrations);
    const shards = (await test_.loader.documents.list(`runs/${runId}/outcomes/`)).length;
    expect(shards).toBeGreaterThan(2);
    test_.clock.advance(91 * DAY);
    // A question takes as long as a pass has for all of them.
    const removeStatuses: typeof test_.ingestion.removeStatuses = (ids) => {
      test_.clock.advance(20_000);
      return test_.ingestion.removeStatuses(ids);
    };
    const slow = { ...test_.loader, ingestion: async () => ({ ...test_.ingestion, removeStatuses }) };
    for (let pass = 1; pass < shards; pass += 1) {
      await cleanUp(slow, orchestrations);
      expect([await left(), test_.ingestion.callCounts.removeStatuses]).toEqual([[runId], pass]);
    }
    await cleanUp(slow, orchestrations);
    expect([await left(), test_.ingestion.callCounts.removeStatuses]).toEqual([[], shards]);
  });

  test('idempotency keys of runs that began as long ago: the same key then begins a run of its own', async () => {
    const start = () =>
      startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual', idempotencyKey: 'k' });
    const first = await start();
    await test_.loader.loads.releaseLock('flights', first.runId);
    test_.clock.advance(89 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect(await start()).toEqual({ runId: first.runId, isNew: false });
    test_.clock.advance(2 * DAY);
    await cleanUp(test_.loader, orchestrations);
    const second = await start();
    expect([second.isNew, second.runId === first.runId]).toEqual([true, false]);
  });

  test('operations with what names them, an undo with the last run of its unit', async () => {
    const operationsLeft = () => test_.loader.documents.list('operations/');
    await putLoad(test_.loader, 'flights', definitionOf({ tagWindow: 'day' }));
    const first = await runLoad(test_, orchestrations);
    const { operationId } = await undoRun(test_.loader, test_.clock, orchestrations, first.runId);
    test_.clock.advance(1000);
    await startReset(test_.loader, orchestrations, { load: 'flights', prefix: '' });
    await driveOperation(test_.loader, test_.clock, orchestrations);
    expect(await operationsLeft()).toHaveLength(3);
    test_.clock.advance(89 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect(await operationsLeft()).toHaveLength(3);
    test_.clock.advance(2 * DAY);
    // As long as its rows can be counted, it must be known that they were dropped.
    const busy = {
      ...test_.loader,
      runs: { ...test_.loader.runs, listCreatedBefore: async () => ({ runs: [], next: null }) },
    };
    await cleanUp(busy, orchestrations);
    expect(await operationsLeft()).toHaveLength(2);
    expect(await readOperation(test_.loader, operationId)).toMatchObject({ state: 'succeeded' });
    await cleanUp(test_.loader, orchestrations);
    expect(await operationsLeft()).toEqual([]);
  });

  test('what a deleted load has left, unless it was created anew', async () => {
    const { loader } = test_;
    const events = { ...definitionOf({ events: true, schedule: { cron: '0 3 * * *' } }) };
    const pending = () =>
      loader.loads.readPending({ load: 'flights', bucket: 'memory-bucket' }, { afterKey: null, limit: 10 });
    const leftOfLoad = async () => [
      (await pending()).length,
      (await loader.loads.listUnsettled('flights')).length,
      (await loader.loads.readSchedule('flights')) === null ? 0 : 1,
    ];
    await putLoad(loader, 'flights', events);
    await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual', idempotencyKey: 'k' });
    await loader.loads.releaseLock('flights', (await loader.loads.readLock('flights'))!.request.runId);
    await runLoad(test_, orchestrations, { whenIdle: () => undefined });
    await tick(loader, orchestrations);
    await announceKeys(test_, ['in/000', 'in/001']);
    await deleteLoad(loader, 'flights');
    test_.clock.advance(89 * DAY);
    await cleanUp(loader, orchestrations);
    expect(await leftOfLoad()).toEqual([2, 1, 1]);
    test_.clock.advance(2 * DAY);
    await cleanUp(loader, orchestrations);
    expect(await leftOfLoad()).toEqual([0, 0, 0]);
    const claimed = await loader.loads.claimIdempotencyKey({
      load: 'flights',
      idempotencyKey: 'k',
      runId: 'other',
      fingerprint: 'f',
    });
    expect(claimed.isNew).toBe(true);

    // A load of the same name has its own.
    await putLoad(loader, 'flights', events);
    await announceKeys(test_, ['in/000']);
    await cleanUp(loader, orchestrations);
    expect((await leftOfLoad())[0]).toBe(1);
  });

  test('by several at the same time, and by a host that dies anywhere in between', async () => {
    const runs = [await runLoad(test_, orchestrations), await runLoad(test_, orchestrations)];
    test_.clock.advance(91 * DAY);
    await Promise.all([cleanUp(test_.loader, orchestrations), cleanUp(test_.loader, orchestrations)]);
    expect(await left()).toEqual([]);
    for (const { runId } of runs) expect(await documentsOf(runId)).toEqual([]);
  });

  test('in spite of a death in the middle: the next pass finds the rest', async () => {
    const { runId } = await runLoad(test_, orchestrations);
    test_.clock.advance(91 * DAY);
    let deletions = 0;
    const { delete: remove } = test_.loader.documents;
    const dying = {
      ...test_.loader,
      documents: {
        ...test_.loader.documents,
        delete: async (path: string) => {
          deletions += 1;
          if (deletions > 2) throw new LoaderError('stateUnavailable', 'away');
          await remove.call(test_.loader.documents, path);
        },
      },
    };
    await cleanUp(dying, orchestrations);
    expect(await left()).toEqual([runId]);
    expect(test_.logged.some((line) => line.includes('cleanUpFailed'))).toBe(true);
    await cleanUp(test_.loader, orchestrations);
    expect([await left(), await documentsOf(runId)]).toEqual([[], []]);
  });
});

describe('what is needed stays, however old it is', () => {
  test('a run that has not ended', async () => {
    const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
    test_.clock.advance(91 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect(await left()).toEqual([runId]);
    expect((await documentsOf(runId)).length).toBeGreaterThan(0);
  });

  test('a run whose objects are open', async () => {
    const { runId } = await runLoad(test_, orchestrations, { whenIdle: () => undefined });
    test_.clock.advance(91 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect(await left()).toEqual([runId]);
    // The next run settles them, and the one after it may be without the first.
    expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 20 } });
    await cleanUp(test_.loader, orchestrations);
    expect(await left()).not.toContain(runId);
  });

  test('an undo that has not ended', async () => {
    const { runId } = await runLoad(test_, orchestrations);
    test_.clock.advance(1000);
    const { operationId } = await startUndo(test_.loader, orchestrations, runId);
    test_.clock.advance(91 * DAY);
    await cleanUp(test_.loader, orchestrations);
    expect(await readOperation(test_.loader, operationId)).toMatchObject({ state: 'running' });
    expect(await driveOperation(test_.loader, test_.clock, orchestrations)).toMatchObject({
      state: 'succeeded',
    });
  });

  test('a run that is run again', async () => {
    const failed = await runLoad(test_, orchestrations, {
      whenIdle: () =>
        void test_.ingestion.settleAll({
          status: 'Failed',
          errorCode: 'Stream_WrongNumberOfFields',
          failureStatus: 'Permanent',
        }),
    });
    test_.clock.advance(91 * DAY);
    await startRerun(test_.loader, orchestrations, {
      rerun: { runId: failed.runId, objects: 'failed', acceptDoubles: false },
      idempotencyKey: null,
    });
    await cleanUp(test_.loader, orchestrations);
    expect(await left()).toContain(failed.runId);
  });

  test('a host that dies while it removes rows leaves a name by which the next pass finds them', async () => {
    const { runId } = await runLoad(test_, orchestrations);
    test_.clock.advance(91 * DAY);
    const host = crashAt(test_.loader, 0, 'before');
    await surviving(host, () => cleanUp(host.loader, orchestrations));
    await cleanUp(test_.loader, orchestrations);
    expect([await left(), await documentsOf(runId)]).toEqual([[], []]);
  });
});
