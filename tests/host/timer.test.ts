import { describe, expect, it } from 'vitest';
import { until, useApp } from './app-under-test.ts';

// The real host keeps the state of its timers in storage; our own needs none.
const app = useApp('timer');

interface Ticks {
  readonly everySecond: readonly { readonly atMs: number; readonly timer: Record<string, unknown> }[];
  readonly slow: readonly { readonly startMs: number; readonly endMs: number }[];
  readonly startup: readonly { readonly retryCount: number; readonly isPastDue: boolean }[];
  readonly hourly: readonly { readonly timer: { readonly isPastDue: boolean } }[];
  readonly mostAtOnce: number;
}

describe.skipIf(!app.isServed)(app.title, () => {
  const read = async () => (await (await fetch(`${app.url}/api/ticks`)).json()) as Ticks;

  it('runs a function at its times, once each', async () => {
    const { everySecond } = await until(read, (ticks) => ticks.everySecond.length >= 3);
    // A little early is on time; late is late, up to the next tick.
    const seconds = everySecond.map(({ atMs }) => Math.floor((atMs + 50) / 1000));
    expect(new Set(seconds).size).toBe(seconds.length);
    expect(everySecond[0]?.timer).toMatchObject({ isPastDue: false, schedule: { adjustForDST: true } });
  });

  it('runs at start-up when told to, again while it fails and retries are left', async () => {
    const { startup } = await until(read, (ticks) => ticks.startup.length >= 3);
    expect(startup).toEqual([0, 1, 2].map((retryCount) => ({ retryCount, isPastDue: false })));
  });

  it('never runs a function beside itself, and catches up with one run', async () => {
    const { slow, mostAtOnce } = await until(read, (ticks) => ticks.slow.length >= 3);
    expect(mostAtOnce).toBe(1);
    // A tick fell due while it ran, so that the next run follows at once.
    for (const [at, run] of slow.slice(1).entries())
      expect(run.startMs - (slow[at]?.endMs ?? 0)).toBeLessThan(500);
  });

  it('runs a function that the admin endpoint is asked for', async ({ skip }) => {
    if (app.masterKey === undefined) return skip('HOST_MASTER_KEY is not given');
    const before = (await read()).hourly.length;
    const response = await fetch(`${app.url}/admin/functions/hourly`, {
      method: 'POST',
      headers: { 'x-functions-key': app.masterKey, 'content-type': 'application/json' },
      body: '{"input":""}',
    });
    expect(response.status).toBe(202);
    await until(read, (ticks) => ticks.hourly.length > before);
  });
});
