import { beforeEach, describe, expect, test } from 'vitest';

import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { startRerun } from '../../../shared/usecases/rerun.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { announceKeys, driveRun, runLoad, tickHours, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

const putFiles = (files: readonly string[], more: object = {}) =>
  putLoad(test_.loader, 'flights', definitionOf({ source: { bucket: 'memory-bucket', files, ...more } }));

test('loads the objects that are named, without a listing, and says which are not there', async () => {
  for (const key of ['in/a', 'in/b', 'in/c']) test_.source.put({ key });
  await putFiles(['in/c', 'in/a', 'in/missing', 'in/a'], { writtenOnce: true });
  const summary = await runLoad(test_, orchestrations);
  expect(summary).toMatchObject({
    state: 'completed',
    objects: { ingested: 2 },
    plan: { listed: 3, selected: 2, skipped: { gone: 1 } },
  });
  expect(test_.source.callCounts.listPage).toBe(0);
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    plan: { selected: 0, skipped: { gone: 1, unchanged: 2 } },
  });
});

test('as many as a load may name, of which the durable boundary sees none', async () => {
  const files = Array.from({ length: 10_000 }, (_, index) => `in/${String(index).padStart(206, 'x')}`);
  for (const key of [files[0]!, files[9999]!]) test_.source.put({ key });
  await putFiles(files);
  const summary = await runLoad(test_, orchestrations);
  expect(summary).toMatchObject({
    objects: { ingested: 2 },
    plan: { listed: 10_000, skipped: { gone: 9998 } },
  });
  for (const crossing of [summary, ...orchestrations.started.values()])
    expect(JSON.stringify(crossing).length).toBeLessThan(16 * 1024);
});

test('over several pages, in any order, and with the other filters', async () => {
  const files = Array.from(
    { length: 4500 },
    (_, index) => `in/${(index * 7919) % 4500}.${index % 2 === 0 ? 'json' : 'csv'}`,
  );
  for (const key of new Set(files)) test_.source.put({ key });
  await putFiles(files, { suffix: '.json' });
  const json = new Set(files.filter((key) => key.endsWith('.json'))).size;
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: json },
    plan: { selected: json },
  });
});

test("a run's own prefix holds for files that are named, too", async () => {
  for (const key of ['in/a/1', 'in/a/2', 'in/b/1']) test_.source.put({ key });
  await putFiles(['in/a/1', 'in/a/2', 'in/b/1'], { prefix: 'in/', wildcard: '*/1' });
  const options = { ...NO_OPTIONS, prefix: 'in/a/' };
  expect(await runLoad(test_, orchestrations, { options })).toMatchObject({
    plan: { selected: 1, skipped: { prefix: 1, wildcard: 1 } },
    objects: { ingested: 1 },
  });
});

test('an object that S3 refuses to show does not keep the others from being loaded', async () => {
  for (const key of ['in/a', 'in/b', 'in/encrypted']) test_.source.put({ key });
  await putFiles(['in/a', 'in/encrypted', 'in/b']);
  const { head } = test_.source;
  test_.source.head = (key) =>
    key === 'in/encrypted'
      ? Promise.reject(new LoaderError('sourceAccessDenied', 'HEAD, HTTP 400'))
      : head(key);
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completedWithFailures',
    objects: { ingested: 2 },
    plan: { listed: 3, selected: 2, skipped: { unreadable: 1 } },
  });
});

test('also where the service lists keys in another order than S3, which named keys are the way around', async () => {
  for (const key of ['in/a', 'in/b']) test_.source.put({ key });
  await putFiles(['in/a', 'in/b']);
  const { head } = test_.source;
  test_.source.head = (key) =>
    key === 'in/a' ? Promise.reject(new LoaderError('sourceAccessDenied', 'no')) : head(key);
  test_.source.listPage = () => Promise.reject(new LoaderError('invalidDefinition', 'in no order'));
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    objects: { ingested: 1 },
    plan: { skipped: { unreadable: 1 } },
  });
});

test('an object that S3 refuses to show once is looked at once more before it counts as unreadable', async () => {
  test_.source.put({ key: 'in/a' });
  await putFiles(['in/a']);
  test_.source.failNext('head', new LoaderError('sourceAccessDenied', 'the session has ended'));
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: 1 },
  });
});

test('waits for a bucket that does not answer rather than plan without an object', async () => {
  test_.source.put({ key: 'in/a' });
  await putFiles(['in/a']);
  test_.source.failNext('head', new LoaderError('sourceUnavailable', 'away'), 2);
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    objects: { ingested: 1 },
  });
});

describe('with events', () => {
  const putFilesWithEvents = (files: readonly string[] | null) =>
    putLoad(
      test_.loader,
      'flights',
      definitionOf({ source: { bucket: 'memory-bucket', files }, events: true }),
    );
  const pending = () =>
    test_.loader.loads.readPending(
      { load: 'flights', bucket: 'memory-bucket' },
      { afterKey: null, limit: 10 },
    );

  test('takes those for the named keys, and starts no run for others', async () => {
    for (const key of ['in/a', 'in/b', 'in/other']) test_.source.put({ key });
    await putFilesWithEvents(['in/a', 'in/b']);
    await announceKeys(test_, ['in/other']);
    expect(await pending()).toEqual([]);
    expect(await tickLoads(test_, orchestrations)).toBeNull();
    await announceKeys(test_, ['in/b', 'in/other']);
    const summary = await driveRun(test_, orchestrations, (await tickLoads(test_, orchestrations))!);
    expect(summary).toMatchObject({ objects: { ingested: 1 }, plan: { listed: 1, skipped: {} } });
    expect(test_.ingestion.messages.map(({ url }) => new URL(url).pathname)).toEqual(['/in/b']);
  });

  test('an announced key that waits when others are named is used up and not loaded', async () => {
    for (const key of ['in/a', 'in/b']) test_.source.put({ key });
    await putFilesWithEvents(null);
    await announceKeys(test_, ['in/a', 'in/b']);
    await putFilesWithEvents(['in/b']);
    const summary = await driveRun(test_, orchestrations, (await tickLoads(test_, orchestrations))!);
    expect(summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 1 },
      plan: { listed: 2, selected: 1, skipped: { files: 1 } },
    });
    expect(await pending()).toEqual([]);
    expect(await tickHours(test_, orchestrations, 1)).toBe(0);
  });
});

test('a rerun leaves out what is not named any more', async () => {
  for (const key of ['in/a', 'in/b']) test_.source.put({ key });
  await putFiles(['in/a', 'in/b']);
  const failed = await runLoad(test_, orchestrations, {
    whenIdle: () =>
      void test_.ingestion.settleAll({
        status: 'Failed',
        errorCode: 'Stream_WrongNumberOfFields',
        failureStatus: 'Permanent',
      }),
  });
  expect(failed.objects.failed).toBe(2);
  await putFiles(['in/b']);
  test_.clock.advance(1000);
  const { runId } = await startRerun(test_.loader, orchestrations, {
    rerun: { runId: failed.runId, objects: 'failed', acceptDoubles: false },
    idempotencyKey: null,
  });
  expect(await driveRun(test_, orchestrations, runId)).toMatchObject({
    objects: { ingested: 1 },
    plan: { selected: 1, skipped: { files: 1 } },
  });
});
