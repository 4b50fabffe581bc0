import { describe, expect, it } from 'vitest';
import { useApp } from './app-under-test.ts';
import { DurableClient } from './durable-client.ts';

const app = useApp('durable');
const client = new DurableClient(app);

/** How often activities ran that left a trace with this text. */
async function executions(text: string): Promise<number> {
  const all = (await (await fetch(`${app.url}/api/executions`)).json()) as Record<string, number>;
  return all[text] ?? 0;
}

describe.skipIf(!app.isServed)(`${app.title}: orchestrations`, () => {
  it('run activities one after the other and show input, output and custom status', async () => {
    const status = await client.run('hello', { a: 1 });
    expect(status).toMatchObject({
      name: 'hello',
      runtimeStatus: 'Completed',
      input: { a: 1 },
      output: { first: { a: 1 }, second: 'text' },
      customStatus: { step: 2 },
    });
  });

  it('carry values of every kind there and back', async () => {
    const { output } = await client.run('values');
    const { values, back, nothing } = output as Record<string, unknown[]>;
    expect(back).toEqual(values);
    expect(nothing).toBeNull();
  });

  it('know what they replay', async () => {
    expect((await client.run('replays')).output).toEqual([true, true, false]);
  });

  it('fan out 100 activities', async () => {
    expect((await client.run('fan', { count: 100 })).output).toBe(9_900);
  });

  it('run lanes of sub-orchestrations with continue-as-new', async () => {
    const id = await client.start('lanes', { lanes: 3, shards: 7, perShard: 5 });
    expect((await client.finish(id)).output).toBe(3 * 7 * 20);
    expect(await client.status(`${id}-lane-2`)).toMatchObject({ runtimeStatus: 'Completed', output: 140 });
    expect(await client.status(`${id}-lane-0-shard-1`)).toMatchObject({ output: 20 });
  });

  it('get the failures of activities and sub-orchestrations, and retry them', async () => {
    const { output } = await client.run('catching');
    const { caught, attempt } = output as { caught: string[]; attempt: number };
    expect(attempt).toBe(3);
    expect(caught).toHaveLength(3);
    for (const message of caught) expect(message).toContain("Activity function 'fail' failed: no luck with");
    expect(caught[0]).toContain("Orchestrator function 'failing' failed");
  });

  it('retry as often as told, with a growing pause', async () => {
    const id = await client.start('backoff');
    const { output } = await client.finish(id);
    // 100 ms and 300 ms; none after the third attempt.
    expect(output).toBeGreaterThanOrEqual(400);
    expect(await executions(`fail ${JSON.stringify(id)}`)).toBe(3);
  });

  it('get the results of a group in order, failed units as data', async () => {
    expect((await client.run('mixedGroup')).output).toEqual([
      { ok: true },
      { ok: false, error: true },
      { ok: true },
    ]);
  });

  it('fail when they throw', async () => {
    const status = await client.run('failing');
    expect(status.runtimeStatus).toBe('Failed');
    expect(status.output).toContain(
      "Orchestrator function 'failing' failed: Activity function 'fail' failed",
    );
    const path = `instances/${status.instanceId}`;
    expect((await client.durable('GET', path)).status).toBe(200);
    const asError = `${path}?returnInternalServerErrorOnFailure=true`;
    expect((await client.durable('GET', asError)).status).toBe(500);
  });

  it('wait for timers by their time', async () => {
    const { output } = await client.run('timer', { waitMs: 250 });
    expect(output).toBeGreaterThanOrEqual(250);
  });

  it('cancel a timer that lost a race', async () => {
    expect((await client.run('race')).output).toEqual(['won', 'after']);
  });

  it('wait for the loser of a race alone, then go on', async () => {
    const id = await client.start('lateLoser');
    expect((await client.finish(id)).output).toEqual(['won', 14, 'after']);
    // Each task ran once.
    expect(await executions(`slow ${JSON.stringify({ of: id, value: 7 })}`)).toBe(1);
  });

  it('get external events in order, early ones too', async () => {
    const id = await client.start('waiter');
    for (const value of [1, { two: 2 }]) expect(await client.raise(id, 'go', value)).toBe(202);
    expect(await client.finish(id)).toMatchObject({ output: [1, { two: 2 }], customStatus: 'first' });
  });

  it('keep events over continue-as-new that came after it', async () => {
    const id = await client.start('counter', { left: 5, sum: 0 });
    for (const value of [1, 2, 3, 4, 5]) {
      await client.raise(id, 'add', value);
      await client.until(id, ({ input }) => (input as { left: number }).left <= Math.max(1, 5 - value));
    }
    expect((await client.finish(id)).output).toBe(15);
  });

  it('lose events over continue-as-new that they had got and not read', async () => {
    const id = await client.start('dropsBuffered', { round: 0 });
    for (const event of ['add', 'add', 'ready']) await client.raise(id, event, 1);
    const status = await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Completed');
    expect(status.output).toBe('dropped');
  });

  it('never get results of the execution before continue-as-new', async () => {
    const id = await client.start('leavesWork', { round: 0 });
    const { output } = await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Completed');
    const [waitedMs, echoed] = output as [number, object];
    expect(waitedMs).toBeGreaterThanOrEqual(1_000);
    expect(echoed).toMatchObject({ of: 'the second' });
  });

  it('start others from activities', async () => {
    const { output } = await client.run('startsOthers');
    expect((await client.finish(output as string)).output).toMatchObject({ first: { from: 'activity' } });
  });

  it('are suspended and resumed without losing events', async () => {
    const id = await client.start('waiter');
    await client.durable('POST', `instances/${id}/suspend?reason=pause`);
    const suspended = await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Suspended');
    expect(suspended.output).toBeNull();
    await client.raise(id, 'go', 'a');
    await client.raise(id, 'go', 'b');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await client.status(id)).runtimeStatus).toBe('Suspended');
    await client.durable('POST', `instances/${id}/resume?reason=on`);
    expect((await client.finish(id)).output).toEqual(['a', 'b']);
  });

  it.each(['terminate', 'suspend'])('take %s for themselves, not for their children', async (action) => {
    const id = await client.start('lanes', { lanes: 1, shards: 4, perShard: 30 });
    await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Running');
    await client.durable('POST', `instances/${id}/${action}?reason=enough`);
    const after = action === 'terminate' ? 'Terminated' : 'Suspended';
    const stopped = await client.until(id, ({ runtimeStatus }) => runtimeStatus === after);
    expect(stopped.output).toBe(action === 'terminate' ? 'enough' : null);
    expect((await client.finish(`${id}-lane-0`)).output).toBe(4 * 870);
    expect((await client.status(id)).runtimeStatus).toBe(after);
    if (action === 'terminate') return;
    await client.durable('POST', `instances/${id}/terminate?reason=for good`);
    expect(await client.finish(id)).toMatchObject({ runtimeStatus: 'Terminated', output: 'for good' });
  });
});
