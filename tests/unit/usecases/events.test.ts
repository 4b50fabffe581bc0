import { beforeEach, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { getLoad, putLoad, seedLoads } from '../../../shared/usecases/load-catalog.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { announceKeys, driveRun, runLoad, tickHours, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

const tickOnce = () => tickLoads(test_, orchestrations);
const announce = (...keys: string[]) => announceKeys(test_, keys);

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

const loadedKeys = () => test_.ingestion.messages.map(({ url }) => new URL(url).pathname.slice(1)).sort();

test('an announced object that could not be posted is loaded by a later run', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  test_.ingestion.failNext('warmUp', new LoaderError('clusterUnavailable', 'away'), 5);
  const failed = await driveRun(test_, orchestrations, (await tickOnce())!);
  expect(failed.failures).toHaveProperty('notPosted');
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual(['in/1']);
});

test('an announced object that every queue refused is loaded by a later run', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true, retry: { attempts: 3 } }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  test_.ingestion.endPosts((_, attempt) => (attempt < 3 ? 'refused' : 'accepted'));
  const failed = await driveRun(test_, orchestrations, (await tickOnce())!);
  expect(failed.failures).toHaveProperty('queueRefused');
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual(['in/1']);
}, 20_000);

test('an announced object that ADX had no capacity for is loaded by a later run, ten minutes apart', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true, retry: { attempts: 1 } }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  const throttle = () =>
    void test_.ingestion.settleAll({
      status: 'Failed',
      errorCode: 'General_ThrottledIngestion',
      failureStatus: 'Exhausted',
    });
  const first = await driveRun(test_, orchestrations, (await tickOnce())!, { whenIdle: throttle });
  expect(first.failures).toHaveProperty('ingestionThrottled');
  const endedAt = test_.clock.now().getTime();
  await tickHours(test_, orchestrations, 1);
  const [, second] = test_.ingestion.attempts;
  expect(second?.arrived).toBe(true);
  const { runs } = await test_.loader.runs.listRuns({ load: 'flights', limit: 1 });
  expect(Date.parse(runs[0]!.createdAt) - endedAt).toBeGreaterThanOrEqual(9 * MINUTE);
  expect(runs[0]!.finalState).toBe('completed');
});

test('announced objects that a given-up run never began are loaded by a later run', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  const { planPage } = await import('../../../shared/usecases/plan-page.ts');
  const runId = (await tickOnce())!;
  await planPage(test_.loader, { v: 1, runId, epoch: 1, page: 0, attempt: 0 });
  for (let minute = 0; minute < 100; minute += 1) {
    test_.clock.advance(MINUTE);
    await tick(test_.loader, orchestrations);
    if ((await test_.loader.runs.readControl(runId))!.run.value.finalState !== null) break;
  }
  expect((await test_.loader.runs.readControl(runId))!.run.value.finalState).toBe('failed');
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual(['in/1']);
});

test('announced objects that a run stopped by onError never began are loaded by a later run', async () => {
  await putLoad(
    test_.loader,
    'flights',
    definitionOf({
      events: true,
      onError: { policy: 'stop' },
      concurrency: { lanes: 1, maxInFlight: 1, objectsPerActivity: 1 },
    }),
  );
  const keys = Array.from({ length: 5 }, (_, index) => `in/${index}`);
  for (const key of keys) test_.source.put({ key });
  await announce(...keys);
  let isFirst = true;
  const stopped = await driveRun(test_, orchestrations, (await tickOnce())!, {
    whenIdle: () => {
      const settled = test_.ingestion.settleAll(
        isFirst
          ? { status: 'Failed', errorCode: 'Stream_WrongNumberOfFields', failureStatus: 'Permanent' }
          : { status: 'Succeeded' },
      );
      if (settled > 0) isFirst = false;
    },
  });
  expect(stopped).toMatchObject({ state: 'stopped', objects: { failed: 1, notStarted: 4 } });
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual(keys);
});

test('one announced object whose properties can not be read does not keep the others from being loaded', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  test_.source.put({ key: 'in/good' });
  // Deleted meanwhile, and the key may not list the bucket: S3 answers 403 for a key that is not there.
  const { head } = test_.source;
  test_.loader.source = async () => ({
    ...test_.source,
    head: (key) =>
      key === 'in/gone' ? Promise.reject(new LoaderError('sourceAccessDenied', 'HTTP 403')) : head(key),
  });
  await announce('in/gone', 'in/good');
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual(['in/good']);
});

test('events that wait when the destination is corrected are loaded into the right table', async () => {
  const definition = definitionOf({ events: true });
  await putLoad(test_.loader, 'flights', {
    ...definition,
    destination: { ...(definition.destination as object), table: 'Tt' },
  });
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  test_.ingestion.failNext('describeTable', new LoaderError('tableNotFound', 'no table Tt'));
  expect((await driveRun(test_, orchestrations, (await tickOnce())!)).state).toBe('failed');
  await putLoad(test_.loader, 'flights', definition);
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual(['in/1']);
});

test('an event for a key outside the prefix that the load has now is not loaded', async () => {
  await putLoad(
    test_.loader,
    'flights',
    definitionOf({ events: true, source: { bucket: 'memory-bucket', prefix: 'a/' } }),
  );
  test_.source.put({ key: 'a/1' });
  await announce('a/1');
  await putLoad(
    test_.loader,
    'flights',
    definitionOf({ events: true, source: { bucket: 'memory-bucket', prefix: 'b/' } }),
  );
  await tickHours(test_, orchestrations, 1);
  expect(loadedKeys()).toEqual([]);
});

test('a few announced objects do not make a run read the whole ledger', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  for (let index = 0; index < 5000; index += 1)
    test_.source.put({ key: `in/${String(index).padStart(5, '0')}` });
  await runLoad(test_, orchestrations);
  const keys = Array.from({ length: 70 }, (_, index) => `in/${String(index * 71).padStart(5, '0')}x`);
  for (const key of keys) test_.source.put({ key });
  await announce(...keys);
  let entries = 0;
  const { ledger } = test_.loader;
  const { readEach } = ledger;
  ledger.readEach = (name, asked, keep) =>
    readEach(name, asked, (entry, of) => {
      entries += 1;
      return keep(entry, of);
    });
  test_.clock.advance(MINUTE);
  expect((await driveRun(test_, orchestrations, (await tickOnce())!)).objects.ingested).toBe(70);
  expect(entries).toBeLessThan(1000);
});

test('a cancelled events run is not started again a minute later over the same objects', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  let runs = 0;
  for (let minute = 0; minute < 10; minute += 1) {
    const runId = await tickOnce();
    if (runId !== null) {
      runs += 1;
      await cancelRun(test_.loader, runId);
      await driveRun(test_, orchestrations, runId);
    }
    test_.clock.advance(MINUTE);
  }
  expect(runs).toBeLessThanOrEqual(1);
});

test('an edit of a load stays when the host starts again with the same file', async () => {
  const file = { name: 'flights', json: definitionOf({ description: 'from the file' }) };
  await seedLoads(test_.loader, [file]);
  await putLoad(test_.loader, 'flights', definitionOf({ description: 'edited' }));
  await seedLoads(test_.loader, [file]);
  expect((await getLoad(test_.loader, 'flights')).definition.description).toBe('edited');
});

test('a host that starts again with the same file does not load everything anew', async () => {
  const right = definitionOf();
  const file = { name: 'flights', json: right };
  for (let index = 0; index < 5; index += 1) test_.source.put({ key: `in/${index}` });
  await seedLoads(test_.loader, [file]);
  await runLoad(test_, orchestrations);
  // Somebody points the load to another table for an hour, and the host starts again.
  await putLoad(test_.loader, 'flights', {
    ...right,
    destination: { ...(right.destination as object), table: 'Other' },
  });
  await seedLoads(test_.loader, [file]);
  await runLoad(test_, orchestrations);
  expect(test_.ingestion.messages.filter(({ table }) => table === 'T')).toHaveLength(5);
});
