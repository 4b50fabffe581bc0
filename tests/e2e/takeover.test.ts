import { afterAll, beforeAll, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

const OBJECTS = 300;

let under: StackUnderTest;

beforeAll(async () => {
  // A run is silent after 10 s and taken over 3 s later.
  under = await startStackUnderTest({
    settings: {
      LOADER_TIME_SCALE: '60',
      LOADER_TICK_SCHEDULE: '* * * * * *',
      // A busy machine may take longer than the scaled deadline to report.
      LOADER_SETTLE_DEADLINE: '2h',
    },
  });
  await under.createTable('Orphaned');
  await under.upload(jsonObjects('orphaned', OBJECTS));
}, 60_000);

afterAll(() => under.stop());

/** Ends an instance as somebody with the Durable extension's own API does. */
async function terminate(instanceId: string): Promise<void> {
  const { url, systemKey } = under.stack.host;
  const path = `/runtime/webhooks/durabletask/instances/${instanceId}/terminate?reason=test&code=${systemKey}`;
  const response = await fetch(new URL(path, url), { method: 'POST' });
  expect([202, 404, 410]).toContain(response.status);
}

test('a run whose instances were ended from outside is taken over and loads every object once', async () => {
  await under.putLoad('orphaned', {
    destination: { table: 'Orphaned' },
    concurrency: { lanes: 2, objectsPerActivity: 1 },
  });
  const runId = await under.app.startRun('orphaned');
  for (;;) {
    const { progress } = await under.app.readRun(runId);
    if (progress.objectsTotal === OBJECTS) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const parts = ['', '-planner', '-lane-0', '-lane-1', '-settler-0'];
  for (const part of parts) await terminate(`${runId}-e1${part}`);

  const { summary } = await under.waitForEnd(runId, 120_000);
  expect(summary).toMatchObject({
    state: 'completed',
    epochs: 2,
    objects: { ingested: OBJECTS, failed: 0, unknown: 0 },
  });
  const [counted] = await under.kusto.query('Orphaned | summarize rows = count(), objects = dcount(line)');
  expect(counted).toEqual({ rows: OBJECTS, objects: OBJECTS });
}, 180_000);
