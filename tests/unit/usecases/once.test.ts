import { beforeEach, expect, test } from 'vitest';
import { runOutput } from '../../../shared/contracts/durable.ts';
import type { RunSummary } from '../../../shared/domain/run-summary.ts';

import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { deleteLoad, putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const HOUR = 3_600_000;
const BEHIND_THE_FENCE = 8 * HOUR;
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

const tickOnce = () => tickLoads(test_, orchestrations);

beforeEach(() => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
});

/** Starts a run and cancels it when its lanes have posted. */
async function runAndCancel() {
  test_.clock.advance(1000);
  const { runId } = await startRun(test_.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  let isCancelled = false;
  const summary = await driveRun(test_, orchestrations, runId, {
    whenIdle: () => {
      test_.ingestion.settleAll();
      if (!isCancelled) void cancelRun(test_.loader, runId);
      isCancelled = true;
    },
  });
  expect(summary.state).toBe('cancelled');
  return summary;
}

test('a version that was settled in a cancelled run is not posted again after a newer one was loaded', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
  test_.source.put({ key: 'in/1', sizeBytes: 11 });
  await runLoad(test_, orchestrations, SILENT);
  test_.ingestion.settleAll(); // a late report: version 1 is in
  await runAndCancel();
  test_.source.put({ key: 'in/1', sizeBytes: 22 });
  await runAndCancel(); // loads version 2, cancelled while its report is awaited
  await runLoad(test_, orchestrations);
  await runLoad(test_, orchestrations);
  expect(test_.ingestion.messages.map(({ rawSizeBytes }) => rawSizeBytes)).toEqual([11, 22]);
});

test('an object that failed for good while it was rechecked is not posted again without retryFailed', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  test_.ingestion.settleAll({
    status: 'Failed',
    errorCode: 'Stream_WrongNumberOfFields',
    failureStatus: 'Permanent',
  });
  await runAndCancel(); // records the failure
  const last = await runLoad(test_, orchestrations);
  expect(test_.ingestion.messages).toHaveLength(1);
  expect(last.plan.skipped).toMatchObject({ failedBefore: 1 });
});

test('a run names the version that it settled when the object also has a newer one that it loads', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
  const old = test_.source.put({ key: 'in/1', sizeBytes: 11 });
  await runLoad(test_, orchestrations, SILENT);
  test_.ingestion.settleAll();
  const now = test_.source.put({ key: 'in/1', sizeBytes: 22 });
  const summary = await runLoad(test_, orchestrations);
  const { objects } = await listObjects(test_.loader, summary.runId, {
    state: 'ingested',
    limit: 10,
    after: null,
  });
  const versions = new Map([
    [11, old.version],
    [22, now.version],
  ]);
  for (const { version, sizeBytes } of objects) expect(version).toBe(versions.get(sizeBytes));
});

test('an object of a public bucket, whose URL never expires, is not posted again by itself', async () => {
  await putLoad(
    test_.loader,
    'flights',
    definitionOf({ source: { bucket: 'memory-bucket', credentials: 'anonymous' } }),
  );
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  const runId = await tickOnce();
  if (runId !== null) await driveRun(test_, orchestrations, runId);
  await runLoad(test_, orchestrations);
  expect(test_.ingestion.messages).toHaveLength(1);
});

test('an object that was rewritten before its message could be posted again is not loaded under its old version', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
  test_.source.put({ key: 'in/1', sizeBytes: 11 });
  await runLoad(test_, orchestrations, SILENT);
  test_.source.put({ key: 'in/1', sizeBytes: 22 });
  test_.clock.advance(BEHIND_THE_FENCE);
  // Behind the fence the old message is dead. A new one for the old version would make ADX read the new content.
  await driveRun(test_, orchestrations, (await tickOnce())!);
  await runLoad(test_, orchestrations);
  const reads = test_.ingestion.messages.slice(1);
  expect(reads.map(({ rawSizeBytes }) => rawSizeBytes)).toEqual([22]);
});

test('what crosses the durable boundary at the end of a run is below 16 KiB', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  const long = 'x'.repeat(900);
  for (let index = 0; index < 30; index += 1) test_.source.put({ key: `in/${long}/${index}` });
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(BEHIND_THE_FENCE);
  const answer = await driveRun(test_, orchestrations, (await tickOnce())!);
  expect(answer.repostedUnproven.length).toBeGreaterThan(0);
  const bytesOf = (summary: RunSummary) => Buffer.byteLength(JSON.stringify(runOutput(summary)));
  expect(bytesOf(answer)).toBeLessThan(16 * 1024);
  // S3's longest keys; in JSON some characters have six bytes.
  for (const character of ['x', 'é', '\u0001']) {
    const key = character.repeat(1024 / Buffer.byteLength(character));
    const named = (length: number) => Array.from({ length }, () => key);
    const byObject = {
      differing: 1000,
      differences: named(20).map((one) => ({ key: one, expected: 1, found: 2 })),
    };
    const summary = {
      ...answer,
      problem: { code: 'internal', message: '\u{1f4a5}'.repeat(1000), remedy: 'none' } as const,
      slowest: named(5).map((one) => ({ key: one, durationMs: 1 })),
      repostedUnproven: named(20),
      rows: { ...answer.rows, byObject },
    };
    expect(bytesOf(summary)).toBeLessThan(16 * 1024);
    expect(runOutput(summary).rows.byObject).toMatchObject({ differing: 1000 });
  }
});

test('a schedule that was taken away for a week and put back does not start for what fell due meanwhile', async () => {
  const daily = definitionOf({ schedule: { cron: '0 2 * * *' } });
  await putLoad(test_.loader, 'flights', daily);
  await tickOnce();
  await putLoad(test_.loader, 'flights', definitionOf());
  for (let day = 0; day < 7; day += 1) {
    test_.clock.advance(24 * HOUR);
    await tickOnce();
  }
  await putLoad(test_.loader, 'flights', daily);
  expect(await tickOnce()).toBeNull();
});

test('a load that is deleted and created again does not start for what fell due in between', async () => {
  const daily = definitionOf({ schedule: { cron: '0 2 * * *' } });
  await putLoad(test_.loader, 'flights', daily);
  await tickOnce();
  await deleteLoad(test_.loader, 'flights');
  test_.clock.advance(7 * 24 * HOUR);
  await putLoad(test_.loader, 'flights', daily);
  expect(await tickOnce()).toBeNull();
});

test.each([
  ['created', null],
  ['changed', { cron: '0 2 * * *' }],
  ['moved', { cron: '0 13 * * *', timeZone: 'Asia/Kolkata' }],
])(
  'what falls due between the PUT of a load that is %s and the first tick behind it is started, once',
  async (load, before) => {
    if (before !== null) {
      await putLoad(test_.loader, load, definitionOf({ schedule: before }));
      await tickOnce();
    }
    test_.clock.advance(HOUR - 40_000);
    await putLoad(test_.loader, load, definitionOf({ schedule: { cron: '0 13 * * *' } }));
    test_.clock.advance(40_200);
    const runId = await tickOnce();
    expect(runId).toBe(`${load}-20260131T130000Z-cron`);
    await driveRun(test_, orchestrations, runId!);
    test_.clock.advance(60_000);
    expect(await tickOnce()).toBeNull();
  },
);

test('a schedule that no tick has seen for hours after it was set is caught up once, by its latest instant', async () => {
  await putLoad(test_.loader, 'hourly', definitionOf({ schedule: { cron: '30 * * * *' } }));
  test_.clock.advance(5 * HOUR);
  const runId = await tickOnce();
  expect(runId).toBe('hourly-20260131T163000Z-cron');
  await driveRun(test_, orchestrations, runId!);
  test_.clock.advance(60_000);
  expect(await tickOnce()).toBeNull();
});

test('a load is not started for what fell due before its schedule was set', async () => {
  test_.clock.advance(200);
  await putLoad(test_.loader, 'flights', definitionOf({ schedule: { cron: '0 12 * * *' } }));
  expect(await tickOnce()).toBeNull();
  test_.clock.advance(60_000);
  expect(await tickOnce()).toBeNull();
});

test('an object that was settled in a cancelled run is not counted as ingested again by the next one', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  test_.ingestion.settleAll();
  const cancelled = await runAndCancel();
  const next = await runLoad(test_, orchestrations);
  expect(cancelled.objects.ingested + next.objects.ingested).toBe(1);
});

test('an object that was gone is loaded when it is uploaded again, also with the same content', async () => {
  await putLoad(test_.loader, 'flights', definitionOf());
  test_.source.put({ key: 'in/1', version: 'e:same' });
  const first = await runLoad(test_, orchestrations, {
    whenIdle: () => {
      test_.source.remove('in/1');
      test_.ingestion.settleAll({
        status: 'Failed',
        errorCode: 'Download_SourceNotFound',
        failureStatus: 'Permanent',
      });
    },
  });
  expect(first).toMatchObject({ state: 'completed', objects: { gone: 1 } });
  expect(first.failures).toHaveProperty('objectGone');
  await runLoad(test_, orchestrations);
  test_.source.put({ key: 'in/1', version: 'e:same' });
  expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 1 } });
});

test('an object whose URL expired before ADX read it is signed again by the next run', async () => {
  await putLoad(test_.loader, 'flights', definitionOf({ retry: { attempts: 1 } }));
  test_.source.put({ key: 'in/1' });
  await runLoad(test_, orchestrations, SILENT);
  test_.clock.advance(7 * HOUR);
  test_.ingestion.settleAll({
    status: 'Failed',
    errorCode: 'Download_Forbidden',
    failureStatus: 'Permanent',
  });
  const second = await runLoad(test_, orchestrations);
  expect(second.failures).toHaveProperty('urlExpired');
  expect(await runLoad(test_, orchestrations)).toMatchObject({ objects: { ingested: 1 } });
});
