import { afterAll, beforeAll, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

const OBJECTS = 500;

let under: StackUnderTest;

beforeAll(async () => {
  // Fence of 20 s: 15 s of a URL's life and 5 s for a download that has begun.
  under = await startStackUnderTest({
    settings: {
      LOADER_TIME_SCALE: '1',
      LOADER_URL_LIFETIME: '15s',
      LOADER_DOWNLOAD_GRACE: '5s',
      LOADER_SETTLE_DEADLINE: '12s',
      LOADER_TICK_SCHEDULE: '* * * * * *',
    },
  });
  await under.createTable('Killed');
  await under.upload(jsonObjects('killed', OBJECTS));
}, 60_000);

afterAll(() => under.stop());

test('a host that is killed in the middle of a run loses no row and doubles none', async () => {
  await under.putLoad('killed', {
    destination: { table: 'Killed' },
    concurrency: { lanes: 2, objectsPerActivity: 25 },
  });
  const runId = await under.app.startRun('killed');
  // In the middle of the posts: messages are in the queue, and lanes are at work on others.
  const queued = () => under.kusto.countRows('Killed').catch(() => 0);
  for (;;) {
    const { progress } = await under.app.readRun(runId);
    if (progress.objectsTotal === OBJECTS) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await new Promise((resolve) => setTimeout(resolve, 400));
  await under.stack.host.kill('SIGKILL');
  const before = await queued();
  expect(before).toBeLessThan(OBJECTS);
  await under.stack.restartHost();

  const { summary } = await under.waitForEnd(runId);
  expect(summary!.objects.failed).toBe(0);
  expect(summary!.objects.ingested + summary!.objects.unknown).toBe(OBJECTS);
  expect(summary!.objects.ingested).toBeGreaterThan(0);

  // What was between intent and record is settled, or loaded again behind the fence, by a run that starts by itself.
  const until = Date.now() + 90_000;
  const openRuns = async () => {
    const { runs } = (await under.app.request('GET', '/api/runs?load=killed')).body as {
      runs: { runId: string; finalState: string | null }[];
    };
    return runs.filter(({ finalState }) => finalState === null).length;
  };
  while ((await under.kusto.countRows('Killed')) < OBJECTS || (await openRuns()) > 0) {
    if (Date.now() > until) throw new Error('The rest was not loaded');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const [counted] = await under.kusto.query('Killed | summarize rows = count(), objects = dcount(line)');
  expect(counted).toEqual({ rows: OBJECTS, objects: OBJECTS });
}, 180_000);
