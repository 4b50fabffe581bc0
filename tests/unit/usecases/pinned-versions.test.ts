import { beforeEach, describe, expect, test } from 'vitest';

import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import { deleteLoad, getLoad, putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { startRerun } from '../../../shared/usecases/rerun.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { announceKeys, driveRun, putObjects, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

const pinned = (source: object = {}, changes: object = {}) =>
  definitionOf({ source: { bucket: 'memory-bucket', pinVersions: true, ...source }, ...changes });
const putPinned = (...definition: Parameters<typeof pinned>) =>
  putLoad(test_.loader, 'flights', pinned(...definition));
/** Version ids that messages have ADX read, in order; of the objects as they were put. */
const posted = () => test_.ingestion.messages.map(({ url }) => new URL(url).searchParams.get('versionId'));
const put = (key: string) => test_.source.put({ key }).version.slice(2);
const GONE = {
  status: 'Failed',
  errorCode: 'Download_SourceNotFound',
  failureStatus: 'Permanent',
} as const;

/** Overwrites the key once its message is in the queue, before ADX reports. */
function overwriting(key: string) {
  const written: string[] = [];
  return {
    written,
    whenIdle: () => {
      if (written.length === 0 && test_.ingestion.messages.length > 0) written.push(put(key));
      test_.ingestion.settleAll();
    },
  };
}

test('a key that is overwritten while it is loaded is loaded as it was listed, and its new version by the next run', async () => {
  await putPinned({}, { changed: 'reload' });
  const listed = put('in/1');
  const { written, whenIdle } = overwriting('in/1');
  expect(await runLoad(test_, orchestrations, { whenIdle })).toMatchObject({
    state: 'completed',
    objects: { ingested: 1, changed: 0 },
  });
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: 1 },
    repostedUnproven: [],
  });
  expect(posted()).toEqual([listed, ...written]);
  expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 1 } } });
});

test('where changed keys are skipped only the listed version is loaded', async () => {
  await putPinned();
  const listed = put('in/1');
  const { whenIdle } = overwriting('in/1');
  expect(await runLoad(test_, orchestrations, { whenIdle })).toMatchObject({ state: 'completed' });
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    plan: { skipped: { changed: 1 } },
  });
  expect(posted()).toEqual([listed]);
});

test('what a version id pins is not looked at again', async () => {
  await putPinned();
  putObjects(test_, 40);
  expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 40 } });
  expect(test_.source.callCounts).toMatchObject({ head: 0, listPage: 1 });
});

test('a version that was deleted for good before ADX read it is gone; what its key holds now is for the next run', async () => {
  await putPinned();
  putObjects(test_, 2);
  let present = '';
  const summary = await runLoad(test_, orchestrations, {
    whenIdle: () => {
      const message = test_.ingestion.messages.find(({ url }) => url.includes('001'));
      if (message !== undefined && present === '') {
        present = put('in/001');
        test_.ingestion.setStatus(message.sourceId, GONE);
      }
      test_.ingestion.settleAll();
    },
  });
  expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 1, gone: 1 } });
  expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 1 } });
  expect(posted()).toHaveLength(3);
  expect(posted().at(-1)).toBe(present);
});

test('a version that ADX never reported is given up where its key holds another behind the fence, which is then loaded', async () => {
  await putPinned({}, { changed: 'reload' });
  put('in/1');
  await runLoad(test_, orchestrations, { whenIdle: () => undefined });
  const present = put('in/1');
  test_.clock.advance(8 * 3_600_000);
  expect(await driveRun(test_, orchestrations, (await tickLoads(test_, orchestrations))!)).toMatchObject({
    state: 'completedWithDiscrepancy',
    objects: { changed: 1 },
  });
  // The first message can have brought no row of this version.
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: 1 },
    repostedUnproven: [],
  });
  expect(posted().at(-1)).toBe(present);
});

test('named and announced keys, and those of a rerun, have the versions of a listing', async () => {
  await putPinned({}, { events: true });
  const versions = [put('in/1'), put('in/2')];
  const failing = () => {
    const second = test_.ingestion.messages.find(({ url }) => url.includes('in/2'));
    if (second !== undefined)
      test_.ingestion.setStatus(second.sourceId, {
        status: 'Failed',
        errorCode: 'BadRequest_InvalidBlob',
        failureStatus: 'Permanent',
      });
    test_.ingestion.settleAll();
  };
  const { runId } = await runLoad(test_, orchestrations, { whenIdle: failing });
  const seen = async (id: string) => {
    const { objects } = await listObjects(test_.loader, id, { state: null, limit: 9, after: null });
    return objects.map(({ version }) => version).sort();
  };
  expect(await seen(runId)).toEqual(versions.map((id) => `v:${id}`).sort());

  await announceKeys(test_, ['in/1', 'in/2']);
  const announced = await driveRun(test_, orchestrations, (await tickLoads(test_, orchestrations))!);
  expect(announced.plan.skipped).toEqual({ unchanged: 1, failedBefore: 1 });
  test_.clock.advance(1000);
  const rerun = { runId, objects: 'failed', acceptDoubles: false } as const;
  const again = await startRerun(test_.loader, orchestrations, { rerun, idempotencyKey: null });
  expect(await driveRun(test_, orchestrations, again.runId)).toMatchObject({ objects: { ingested: 1 } });
  expect(new Set(posted().slice(0, 2))).toEqual(new Set(versions));
  expect(posted().slice(2)).toEqual([versions[1]]);
  await putPinned({ files: ['in/1', 'in/2'] });
  expect((await runLoad(test_, orchestrations)).plan.skipped).toEqual({ unchanged: 2 });
});

test.each([1, 4])(
  'keys of which only deleted versions are left cost pages, and hide nothing (%i listers)',
  async (listers) => {
    await putPinned({ listers });
    for (let folder = 0; folder < 9; folder += 1)
      for (let index = 0; index < 1100; index += 1) put(`in/${folder}/${String(index).padStart(4, '0')}`);
    for (let folder = 0; folder < 8; folder += 1)
      for (let index = 0; index < 1100; index += 1)
        if (folder % 4 !== 1 || index !== 700)
          test_.source.remove(`in/${folder}/${String(index).padStart(4, '0')}`);
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      plan: { listed: 1102, selected: 1102 },
      objects: { ingested: 1102 },
    });
    const prefix = 'in/3/';
    expect(await runLoad(test_, orchestrations, { options: { ...NO_OPTIONS, prefix } })).toMatchObject({
      state: 'completed',
      plan: { listed: 0 },
    });
  },
);

describe('source.pinVersions of a load that is there', () => {
  test.each([false, true])('stays %s', async (pinVersions) => {
    await putPinned({ pinVersions });
    await expect(putPinned({ pinVersions: !pinVersions })).rejects.toMatchObject({
      code: 'invalidDefinition',
      problems: [
        { field: 'source.pinVersions', message: expect.stringContaining(`must stay ${pinVersions}: `) },
      ],
    });
    expect((await getLoad(test_.loader, 'flights')).definition.source.pinVersions).toBe(pinVersions);
    // Everything else may change, also in a load of a version that did not know the field.
    await putPinned({ pinVersions, prefix: 'in/' });
  });

  test('may change with the bucket or the destination, or after a deletion: the ledger is a new one', async () => {
    await putPinned({ pinVersions: false });
    const destination = { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'U' };
    await putPinned({}, { destination });
    await putPinned({ pinVersions: false, bucket: 'another-bucket' }, { destination });
    await deleteLoad(test_.loader, 'flights');
    const { entry } = await putPinned({ bucket: 'another-bucket' }, { destination });
    expect(entry.generation).toBe(4);
  });

  test('is false in a load that was put before there was the field', async () => {
    await putLoad(test_.loader, 'flights', definitionOf());
    const { documents } = test_.loader;
    const stored = (await documents.get('loads/flights.json'))!;
    const entry = JSON.parse(stored.body) as { definition: { source: { pinVersions?: boolean } } };
    delete entry.definition.source.pinVersions;
    await documents.put('loads/flights.json', JSON.stringify(entry), { etag: stored.etag });
    putObjects(test_, 1);
    await runLoad(test_, orchestrations);
    expect(posted()).toEqual([null]);
    await putLoad(test_.loader, 'flights', definitionOf());
    await expect(putPinned()).rejects.toMatchObject({ code: 'invalidDefinition' });
  });
});
