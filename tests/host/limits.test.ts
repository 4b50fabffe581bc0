import { describe, expect, it } from 'vitest';
import { useApp } from './app-under-test.ts';
import { DurableClient } from './durable-client.ts';

/** As in the app's host.json. */
const maxConcurrentActivities = 3;
const maxConcurrentOrchestrators = 2;

const app = useApp('limits');
const client = new DurableClient(app);

interface Most {
  readonly activities: number;
  readonly orchestrators: number;
}

describe.skipIf(!app.isServed)(app.title, () => {
  it('runs as many activities and orchestrators at once as host.json allows, and never more', async () => {
    const ids = await Promise.all(
      Array.from({ length: 6 }, () => client.start('fan', { count: 4, sleepMs: 150 })),
    );
    for (const id of ids) expect((await client.finish(id)).output).toBe(4);
    const most = (await (await fetch(`${app.url}/api/most`)).json()) as Most;
    expect(most).toMatchObject({
      activities: maxConcurrentActivities,
      orchestrators: maxConcurrentOrchestrators,
    });
  });
});
