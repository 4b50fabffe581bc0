import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { QueueServiceClient } from '@azure/storage-queue';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import type { FunctionsHost } from '../../../dev/functions-host/index.ts';
import { until } from '../../host/app-under-test.ts';
import { DurableClient } from '../../host/durable-client.ts';
import { runHost, temporaryFolder } from './running-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'triggers-azurite-'));
let azurite: RunningAzurite;

beforeAll(async () => {
  azurite = await startAzurite({ folder, inMemory: true });
});
afterAll(async () => {
  await azurite?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const state = () => join(temporaryFolder(), 'state.db');
const queue = (name: string) =>
  QueueServiceClient.fromConnectionString(azurite.connectionString).getQueueClient(name);

describe('queues', () => {
  it('hand over each message twice at the same time when told to', async () => {
    const { host } = await runHost('queue', {
      stateFile: state(),
      env: { AzureWebJobsStorage: azurite.connectionString },
      queueMessagesTwice: true,
      logLevel: 'none',
    });
    const work = queue('host-work');
    await work.createIfNotExists();
    const message = Buffer.from(JSON.stringify({ id: 'twice', sleepMs: 200 })).toString('base64');
    await work.sendMessage(message);
    await until(
      async () => (await work.getProperties()).approximateMessagesCount,
      (count) => count === 0,
    );
    const { deliveries, mostAtOnce } = (await (await fetch(`${host.url}/api/deliveries`)).json()) as {
      deliveries: { messageId: string; dequeueCount: number }[];
      mostAtOnce: number;
    };
    expect(deliveries.map(({ dequeueCount }) => dequeueCount)).toEqual([1, 1]);
    expect(new Set(deliveries.map(({ messageId }) => messageId)).size).toBe(1);
    expect(mostAtOnce).toBe(2);
    // Without a queue, by the admin endpoint.
    const asked = await fetch(`${host.url}/admin/functions/worker`, {
      method: 'POST',
      headers: { 'x-functions-key': host.masterKey },
      body: JSON.stringify({ input: '{"id":"asked for"}' }),
    });
    expect(asked.status).toBe(202);
    await until(
      async () => (await fetch(`${host.url}/api/deliveries`)).text(),
      (text) => text.includes('asked for'),
    );
  });

  it('are written by activities', async () => {
    const { host } = await runHost('outputs', {
      stateFile: state(),
      env: { FUNCTIONS: 'activity', AzureWebJobsWork: azurite.connectionString, Work: 'not-looked-at' },
      logLevel: 'none',
    });
    expect((await new DurableClient(host).run('writes')).output).toBe('written');
    const { receivedMessageItems } = await queue('from-activity').receiveMessages();
    expect(receivedMessageItems.map((each) => Buffer.from(each.messageText, 'base64').toString())).toEqual([
      '{"n":1}',
    ]);
  });

  it.each([
    ['trigger', 'Work__queueServiceUri', 'the queue trigger of reader: the connection Work is by identity'],
    [
      'trigger',
      'AzureWebJobsWork__accountName',
      'by identity (AzureWebJobsWork__...), and there is no managed identity here',
    ],
    ['activity', 'Work__serviceUri', 'the queue output of writer: the connection Work is by identity'],
  ])(
    'refuse a connection by identity of a %s at the start where there is none (%s)',
    async (which, setting, reason) => {
      const env = {
        FUNCTIONS: which,
        IDENTITY_ENDPOINT: '',
        [setting]: 'https://account.queue.core.windows.net',
      };
      await expect(runHost('outputs', { stateFile: state(), env })).rejects.toThrow(reason);
    },
  );

  it.each([
    ['trigger', 'the queue trigger of reader: setting Work with a storage connection string is missing'],
    ['trigger', 'the queue trigger of reader: "no_queue" is no name of a queue'],
    ['orchestrator', 'Function "emits": an orchestrator with output bindings writes them on every replay'],
  ])('refuse a %s that can not work at the start: %s', async (which, reason) => {
    const hasName = reason.includes('no name of a queue');
    const env = {
      FUNCTIONS: which,
      ...(which === 'orchestrator' || hasName ? { Work: azurite.connectionString } : {}),
      ...(hasName ? { QUEUE_NAME: 'no_queue' } : {}),
    };
    await expect(runHost('outputs', { stateFile: state(), env })).rejects.toThrow(reason);
  });
});

describe('timers', () => {
  const hourMs = 3_600_000;
  const readHourly = async (host: FunctionsHost) =>
    ((await (await fetch(`${host.url}/api/ticks`)).json()) as { hourly: { timer: object }[] }).hourly;

  it('run once, late, after missed ticks, unless their schedule was changed', async () => {
    const stateFile = state();
    const env = { AzureWebJobsStorage: '' };
    const first = (await runHost('timer', { stateFile, env, logLevel: 'none' })).host;
    expect(await readHourly(first)).toEqual([]);
    await first.stop();
    const lastMs = Math.floor(Date.now() / hourMs - 3) * hourMs;
    moveBack(stateFile, lastMs);
    const second = (await runHost('timer', { stateFile, env, logLevel: 'none' })).host;
    const [tick, ...more] = await until(
      () => readHourly(second),
      (ticks) => ticks.length > 0,
    );
    expect(more).toEqual([]);
    expect(tick?.timer).toMatchObject({
      isPastDue: true,
      scheduleStatus: { last: new Date(lastMs).toISOString(), next: new Date(lastMs + hourMs).toISOString() },
    });
    await second.stop();
    moveBack(stateFile, lastMs);
    const changed = { ...env, HOURLY_SCHEDULE: '0 30 * * * *' };
    const third = (await runHost('timer', { stateFile, env: changed, logLevel: 'none' })).host;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await readHourly(third)).toEqual([]);
  });
});

/** Makes the hourly timer look as if it had run last at the given time. */
function moveBack(stateFile: string, lastMs: number): void {
  const [last, next] = [lastMs, lastMs + 3_600_000].map((ms) => new Date(ms).toISOString());
  const status = JSON.stringify({ Last: last, Next: next, LastUpdated: last });
  const database = new DatabaseSync(stateFile);
  const { changes } = database
    .prepare("UPDATE timer_trigger SET status = ? WHERE name = 'hourly'")
    .run(status);
  expect(changes).toBe(1);
  database.close();
}
