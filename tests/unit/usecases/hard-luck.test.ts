import { beforeEach, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { receiveEvent } from '../../../shared/usecases/receive-event.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const BEHIND_THE_FENCE = 8 * HOUR;
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

async function tickOnce(): Promise<string | null> {
  const before = orchestrations.started.size;
  await tick(test_.loader, orchestrations);
  return orchestrations.started.size === before
    ? null
    : [...orchestrations.started.keys()].at(-1)!.replace(/-e1$/, '');
}

/** Ticks for so many hours, and all runs that they start. */
async function ticking(hours: number): Promise<number> {
  let runs = 0;
  for (let minute = 0; minute < 60 * hours; minute += 1) {
    test_.clock.advance(MINUTE);
    const runId = await tickOnce();
    if (runId === null) continue;
    runs += 1;
    await driveRun(test_, orchestrations, runId);
  }
  return runs;
}

function announce(...keys: string[]) {
  return receiveEvent(test_.loader, {
    Records: keys.map((key) => ({
      eventSource: 'aws:s3',
      eventName: 'ObjectCreated:Put',
      s3: { bucket: { name: 'memory-bucket' }, object: { key, size: 1, eTag: 'x' } },
    })),
  });
}

const loadedKeys = () => test_.ingestion.messages.map(({ url }) => new URL(url).pathname.slice(1)).sort();

test('announced objects are not lost when the credentials end while a page of them is looked at', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  const keys = Array.from({ length: 40 }, (_, index) => `in/${String(index).padStart(2, '0')}`);
  for (const key of keys) test_.source.put({ key });
  await announce(...keys);
  const { head } = test_.source;
  let heads = 0;
  let areRenewed = false;
  test_.loader.source = async () => ({
    ...test_.source,
    head: (key) => {
      heads += 1;
      if (heads > 20 && !areRenewed)
        return Promise.reject(new LoaderError('sourceAccessDenied', 'HEAD, HTTP 403'));
      return head(key);
    },
    listPage: (input) =>
      areRenewed
        ? test_.source.listPage(input)
        : Promise.reject(new LoaderError('sourceAccessDenied', 'ExpiredToken')),
  });
  await driveRun(test_, orchestrations, (await tickOnce())!);
  areRenewed = true;
  await ticking(2);
  expect(loadedKeys()).toEqual(keys);
});

test('one object that can not be looked at does not keep others from being posted again behind the fence', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  test_.source.put({ key: 'in/2' });
  await runLoad(test_, orchestrations, SILENT);
  const { head } = test_.source;
  test_.loader.source = async () => ({
    ...test_.source,
    head: (key) =>
      key === 'in/1' ? Promise.reject(new LoaderError('sourceAccessDenied', 'HTTP 403')) : head(key),
  });
  test_.clock.advance(BEHIND_THE_FENCE);
  await ticking(3);
  expect(loadedKeys().filter((key) => key === 'in/2')).toHaveLength(2);
});

test('an object that was posted again without proof is named as such, also when the queues refused it first', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  test_.ingestion.endPosts('refused');
  await driveRun(test_, orchestrations, (await tickOnce())!);
  test_.ingestion.endPosts('accepted');
  const last = await runLoad(test_, orchestrations);
  expect(last).toMatchObject({ state: 'completedWithDiscrepancy', repostedUnproven: ['in/1'] });
}, 20_000);

test('a late success of the first message settles an object that was posted again, at the next look', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  const first = test_.ingestion.messages[0]!;
  test_.clock.advance(BEHIND_THE_FENCE);
  await driveRun(test_, orchestrations, (await tickOnce())!, SILENT);
  test_.ingestion.setStatus(first.sourceId, { status: 'Succeeded' });
  const third = await runLoad(test_, orchestrations, SILENT);
  expect(third.objects.ingested).toBe(1);
});

test('an announced object whose URL expired with the credentials is signed again by a later run', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ events: true }));
  test_.source.put({ key: 'in/1' });
  await announce('in/1');
  const { presignGet } = test_.source;
  let isShort = true;
  test_.loader.source = async () => ({
    ...test_.source,
    presignGet: (input) => presignGet(isShort ? { ...input, lifetimeMs: 5000 } : input),
  });
  const first = await driveRun(test_, orchestrations, (await tickOnce())!, {
    whenIdle: () => {
      const age = test_.clock.now().getTime() - Date.parse('2026-01-31T12:00:00.000Z');
      if (age > 6000)
        test_.ingestion.settleAll({
          status: 'Failed',
          errorCode: 'Download_Forbidden',
          failureStatus: 'Permanent',
        });
    },
  });
  expect(first.failures).toHaveProperty('urlExpired');
  isShort = false;
  await ticking(1);
  expect(loadedKeys()).toHaveLength(2);
});
