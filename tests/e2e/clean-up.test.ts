import { afterAll, beforeAll, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

let under: StackUnderTest;

beforeAll(async () => {
  // At a time scale of 10: runs and histories go after 10 s.
  under = await startStackUnderTest({
    settings: {
      LOADER_RETENTION_RUNS: '100s',
      LOADER_RETENTION_HISTORY: '100s',
      LOADER_CLEAN_UP_SCHEDULE: '* * * * * *',
    },
  });
}, 60_000);

afterAll(() => under.stop());

async function instancesOf(runId: string): Promise<number> {
  const { url, systemKey } = under.stack.host;
  const path = `/runtime/webhooks/durabletask/instances?instanceIdPrefix=${runId}&code=${systemKey}`;
  const response = await fetch(new URL(path, url));
  return ((await response.json()) as unknown[]).length;
}

test('old runs and the histories of their orchestrations are removed, and the ledger stays', async () => {
  await under.createTable('Old');
  await under.upload(jsonObjects('old', 20));
  await under.putLoad('old', { destination: { table: 'Old' } });
  const { runId } = await under.run('old');
  expect(await instancesOf(runId)).toBeGreaterThan(0);
  const isThere = async () => (await under.app.request('GET', `/api/runs/${runId}`)).status === 200;
  for (const until = Date.now() + 60_000; (await isThere()) || (await instancesOf(runId)) > 0; ) {
    if (Date.now() > until) throw new Error('The run or its history was not removed');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect((await under.run('old')).summary).toMatchObject({ plan: { skipped: { unchanged: 20 } } });
  expect(await under.kusto.countRows('Old')).toBe(20);
});
