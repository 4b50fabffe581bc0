import { expect } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

const OBJECTS = 500;

/** A stack whose fence is 20 s: 15 s of a URL's life and 5 s for a download that has begun. */
export function startStackWithShortFence(): Promise<StackUnderTest> {
  return startStackUnderTest({
    settings: {
      LOADER_TIME_SCALE: '1',
      LOADER_URL_LIFETIME: '15s',
      LOADER_DOWNLOAD_GRACE: '5s',
      LOADER_SETTLE_DEADLINE: '12s',
      LOADER_TICK_SCHEDULE: '* * * * * *',
    },
  });
}

/**
 * Runs a load of 500 objects, kills the functions host with SIGKILL so long after planning has ended, starts it again,
 * and expects every row once, when all runs that begin by themselves have ended.
 */
export async function killInARun(under: StackUnderTest, load: string, afterMs: number): Promise<void> {
  const table = `T_${load.replaceAll('-', '_')}`;
  await under.createTable(table);
  await under.upload(jsonObjects(load, OBJECTS));
  await under.putLoad(load, {
    destination: { table },
    concurrency: { lanes: 2, objectsPerActivity: 25 },
  });
  const runId = await under.app.startRun(load);
  for (;;) {
    const { progress } = await under.app.readRun(runId);
    if (progress.objectsTotal === OBJECTS) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  await under.stack.host.kill('SIGKILL');
  expect(await under.kusto.countRows(table)).toBeLessThan(OBJECTS);
  await under.stack.restartHost();

  const { summary } = await under.waitForEnd(runId);
  expect(summary!.objects.failed).toBe(0);
  expect(summary!.objects.ingested + summary!.objects.unknown).toBe(OBJECTS);

  // What was between intent and record is settled, or loaded again behind the fence, by a run that starts by itself.
  const until = Date.now() + 90_000;
  const openRuns = async () => {
    const { runs } = (await under.app.request('GET', `/api/runs?load=${load}`)).body as {
      runs: { runId: string; finalState: string | null }[];
    };
    return runs.filter(({ finalState }) => finalState === null).length;
  };
  while ((await under.kusto.countRows(table)) < OBJECTS || (await openRuns()) > 0) {
    if (Date.now() > until) throw new Error('The rest was not loaded');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const [counted] = await under.kusto.query(`${table} | summarize rows = count(), objects = dcount(line)`);
  expect(counted).toEqual({ rows: OBJECTS, objects: OBJECTS });
}
