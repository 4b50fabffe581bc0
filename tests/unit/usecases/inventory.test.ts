import { beforeEach, expect, test } from 'vitest';

import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { planPage } from '../../../shared/usecases/plan-page.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

const prepare = () => ({ ...createTestLoader(), orchestrations: createMemoryOrchestrations() });
const HOUR = 3_600_000;
let under: ReturnType<typeof prepare>;

beforeEach(async () => {
  under = prepare();
  await putInventoryLoad();
});

const putInventoryLoad = (more: object = {}) =>
  putLoad(
    under.loader,
    'flights',
    definitionOf({
      source: {
        bucket: 'memory-bucket',
        prefix: 'in/',
        inventory: 's3://lists/memory-bucket/daily/',
        writtenOnce: true,
      },
      ...more,
    }),
  );

test('objects come from the list instead of a listing, and the other filters apply', async () => {
  for (let index = 0; index < 25; index += 1) under.source.put({ key: `in/${index}` });
  under.source.put({ key: 'other/1' });
  under.source.takeInventory(10);
  under.source.put({ key: 'in/too-late' });
  const summary = await runLoad(under, under.orchestrations);
  expect(summary).toMatchObject({
    state: 'completed',
    plan: { listed: 26, selected: 25, skipped: { prefix: 1 } },
    objects: { ingested: 25 },
  });
  expect(under.source.callCounts).toMatchObject({ listPage: 0, head: 0, readInventory: 3 });
  // The same list again, then a newer one.
  expect(await runLoad(under, under.orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 25 } } });
  under.source.takeInventory(1000);
  expect(await runLoad(under, under.orchestrations)).toMatchObject({ objects: { ingested: 1 } });
});

test("a run's own prefix holds for a list, too", async () => {
  for (const key of ['in/2025/1', 'in/2026/1', 'in/2026/2']) under.source.put({ key });
  under.source.takeInventory(10);
  expect(
    await runLoad(under, under.orchestrations, { options: { ...NO_OPTIONS, prefix: 'in/2026/' } }),
  ).toMatchObject({
    plan: { selected: 2, skipped: { prefix: 1 } },
    objects: { ingested: 2 },
  });
});

test('of keys that were overwritten since the list was made, the present version is loaded, once', async () => {
  const source = { bucket: 'memory-bucket', prefix: 'in/', inventory: 's3://lists/memory-bucket/daily/' };
  await putLoad(under.loader, 'flights', definitionOf({ changed: 'reload', source }));
  for (const key of ['in/a', 'in/b', 'in/c']) under.source.put({ key });
  under.source.takeInventory(10);
  under.clock.advance(HOUR);
  under.source.put({ key: 'in/a' });
  under.clock.advance(HOUR);
  expect(await runLoad(under, under.orchestrations)).toMatchObject({ objects: { ingested: 3 } });
  const again = await runLoad(under, under.orchestrations);
  expect(again).toMatchObject({ state: 'completed', plan: { selected: 0, skipped: { unchanged: 3 } } });
  under.source.put({ key: 'in/a' });
  under.source.remove('in/b');
  const third = await runLoad(under, under.orchestrations);
  expect(third).toMatchObject({ plan: { listed: 3, selected: 1 }, objects: { ingested: 1 } });
  expect(await runLoad(under, under.orchestrations)).toMatchObject({ plan: { selected: 0 } });
  expect(under.ingestion.messages).toHaveLength(4);
});

test.each(['before', 'behind'])(
  'a list may hold an older version of a key, too (the newer one stands %s it): the newer one is loaded, once',
  async (where) => {
    for (const key of ['in/a', 'in/b']) under.source.put({ key });
    under.source.takeInventory(10);
    under.clock.advance(HOUR);
    const newer = under.source.put({ key: 'in/a' });
    const { readInventory } = under.source;
    under.source.readInventory = async (input) => {
      const page = await readInventory(input);
      return { ...page, objects: where === 'before' ? [newer, ...page.objects] : [...page.objects, newer] };
    };
    expect(await runLoad(under, under.orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: 2 },
      plan: { listed: 2, selected: 2 },
    });
    expect(under.source.presignCalls.filter(({ key }) => key === 'in/a')).toMatchObject([
      { version: newer.version },
    ]);
    expect(await runLoad(under, under.orchestrations)).toMatchObject({
      plan: { selected: 0, skipped: { unchanged: 2 } },
    });
  },
);

test('an object that is gone since the list was made is gone, and keeps nothing else', async () => {
  for (const key of ['in/a', 'in/b']) under.source.put({ key });
  under.source.takeInventory(10);
  under.source.remove('in/b');
  const summary = await runLoad(under, under.orchestrations, {
    whenIdle: () => {
      for (const { sourceId, url } of under.ingestion.messages)
        if (url.includes('in/b'))
          under.ingestion.setStatus(sourceId, {
            status: 'Failed',
            errorCode: 'Download_SourceNotFound',
            failureStatus: 'Permanent',
          });
      under.ingestion.settleAll();
    },
  });
  expect(summary.objects).toMatchObject({ ingested: 1, gone: 1 });
});

test('a planner that looks at many dated keys gives signs of life', async () => {
  const source = { bucket: 'memory-bucket', prefix: 'in/', inventory: 's3://lists/memory-bucket/daily/' };
  await putLoad(under.loader, 'flights', definitionOf({ changed: 'reload', source }));
  for (let index = 0; index < 12_000; index += 1) under.source.put({ key: `in/${index}` });
  under.source.takeInventory(100_000);
  await runLoad(under, under.orchestrations);
  under.clock.advance(HOUR);
  for (let index = 0; index < 12_000; index += 1) under.source.put({ key: `in/${index}` });
  under.source.takeInventory(100_000);
  const { runId } = await startRun(under.loader, under.orchestrations, {
    load: 'flights',
    trigger: 'manual',
  });
  const { head } = under.source;
  let heads = 0;
  const beats = new Set<string>();
  under.source.head = async (key) => {
    heads += 1;
    if (heads % 4000 === 0) {
      under.clock.advance(5 * 60_000);
      const view = await under.loader.runs.readRun(runId);
      beats.add(view!.parts.find(({ value }) => value.part === 'planner')!.value.heartbeatAt);
    }
    return head(key);
  };
  await planPage(under.loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 });
  expect(heads).toBe(12_000);
  expect(beats.size).toBe(3);
});

test('without a list the run fails before anything is loaded, and says what to do', async () => {
  under.source.put({ key: 'in/a' });
  const summary = await runLoad(under, under.orchestrations);
  expect(summary).toMatchObject({ state: 'failed', problem: { code: 'inventoryNotUsable' } });
  expect(under.ingestion.attempts).toEqual([]);
});

test('a definition names a list or files, not both, and a list by an address of S3', async () => {
  const put = (source: object) =>
    putLoad(under.loader, 'x', definitionOf({ source: { bucket: 'memory-bucket', ...source } }));
  const problemsOf = async (source: object) => {
    const error = await put(source).catch((thrown: unknown) => thrown);
    return error instanceof LoaderError ? error.problems : error;
  };
  expect(await problemsOf({ inventory: 's3://lists/x/manifest.json', files: ['a'] })).toEqual([
    { field: 'source.inventory', message: 'must not be there beside files' },
  ]);
  expect(await problemsOf({ inventory: 'https://lists/x/' })).toMatchObject([{ field: 'source.inventory' }]);
  expect(await problemsOf({ inventory: 's3://lists/x.csv.gz' })).toMatchObject([
    { field: 'source.inventory' },
  ]);
  expect(await problemsOf({ inventory: 's3://lists/' })).toMatchObject([{ field: 'source.inventory' }]);
  await put({ inventory: 's3://lists/manifest.json' });
});
