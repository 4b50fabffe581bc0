import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DurableClient } from '../../host/durable-client.ts';
import { killAgainAndAgain } from './kill-points.ts';
import { readTrace, runHost, temporaryFolder } from './running-host.ts';

it.each([1, 2])(
  'loses nothing however often it is killed at its commits (seed %i)',
  killAgainAndAgain,
  120_000,
);

it('goes on where it was after kill -9 at any time', async () => {
  const folder = temporaryFolder();
  const trace = join(folder, 'trace');
  const options = { stateFile: join(folder, 'state.db'), env: { TRACE_FILE: trace }, logLevel: 'none' };
  let { host } = await runHost('durable', options);
  const id = await new DurableClient(host).start('lanes', { lanes: 2, shards: 5, perShard: 8 });
  for (const delayMs of [15, 90]) {
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await host.kill('SIGKILL');
    ({ host } = await runHost('durable', options));
  }
  const status = await new DurableClient(host).finish(id);
  expect(status).toMatchObject({ runtimeStatus: 'Completed', output: 2 * 5 * 56 });
  // Each of the 80 activities ran; some may have run again after a kill, never more than once a host.
  const runs = readTrace(trace);
  expect(runs.length).toBeGreaterThanOrEqual(80);
  expect(runs.length).toBeLessThanOrEqual(80 + 2 * 20);
});

it('keeps keys, events and timers over a kill', async () => {
  const stateFile = join(temporaryFolder(), 'state.db');
  const first = (await runHost('durable', { stateFile, logLevel: 'none' })).host;
  const client = new DurableClient(first);
  const timer = await client.start('timer', { waitMs: 1_500 });
  const waiter = await client.start('waiter');
  await client.until(waiter, ({ runtimeStatus }) => runtimeStatus === 'Running');
  await client.raise(waiter, 'go', 'before');
  await client.until(timer, ({ runtimeStatus }) => runtimeStatus === 'Running');
  await first.kill('SIGKILL');
  const second = (await runHost('durable', { stateFile, logLevel: 'none' })).host;
  expect(second.masterKey).toBe(first.masterKey);
  const again = new DurableClient(second);
  await again.raise(waiter, 'go', 'after');
  expect((await again.finish(waiter)).output).toEqual(['before', 'after']);
  expect((await again.finish(timer)).output).toBeGreaterThanOrEqual(1_500);
});

it('ends with its running activities within the grace on SIGTERM, and continues later', async () => {
  const stateFile = join(temporaryFolder(), 'state.db');
  const first = (await runHost('durable', { stateFile, logLevel: 'none', graceMs: 2_000 })).host;
  const id = await new DurableClient(first).start('fan', { count: 100 });
  await first.stop();
  expect(await first.ended).toBe(0);
  expect(await first.status()).toBe('stopped');
  const second = (await runHost('durable', { stateFile, logLevel: 'none' })).host;
  expect((await new DurableClient(second).finish(id)).output).toBe(9_900);
});
