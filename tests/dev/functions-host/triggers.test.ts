import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { QueueServiceClient } from '@azure/storage-queue';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readTrace, runHost, temporaryFolder } from './running-host.ts';

let azurite: ChildProcess;
let connection: string;

beforeAll(async () => {
  const port = await findFreePort();
  const script = new URL('../../../node_modules/azurite/dist/src/queue/main.js', import.meta.url).pathname;
  const args = [script, '--inMemoryPersistence', '--silent', '--skipApiVersionCheck', '--disableTelemetry'];
  azurite = spawn(process.execPath, [...args, '--queuePort', String(port)], { stdio: 'ignore' });
  // Azurite's published development account; no secret.
  const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
  const account = 'devstoreaccount1';
  connection = `DefaultEndpointsProtocol=http;AccountName=${account};AccountKey=${key};QueueEndpoint=http://127.0.0.1:${port}/${account};`;
  await until(() =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    ),
  );
});
afterAll(async () => {
  if (azurite.exitCode !== null) return;
  azurite.kill('SIGTERM');
  await once(azurite, 'exit');
});

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(check: () => Promise<boolean> | boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error('The condition did not come true in time.');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function entries(trace: string): Record<string, unknown>[] {
  return readTrace(trace).map((line) => JSON.parse(line) as Record<string, unknown>);
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');

it('handles queue messages, writes outputs only on success, and moves poison away', async () => {
  const folder = temporaryFolder();
  const trace = join(folder, 'trace');
  const service = QueueServiceClient.fromConnectionString(connection);
  const work = service.getQueueClient('work');
  await work.create();
  await work.sendMessage(encode({ n: 1 }));
  await work.sendMessage(encode({ poison: true }));
  // Plain text where host.json says base64, as it does when it says nothing: the function never sees it.
  await work.sendMessage('{"n":1.5}');
  await runHost('triggers', {
    stateFile: join(folder, 'state.db'),
    env: {
      TRACE_FILE: trace,
      AzureWebJobsStorage: connection,
      QUEUE_NAME: 'work',
      TIMER_SCHEDULE: '1.00:00:00',
    },
    logLevel: 'none',
  });
  const poison = service.getQueueClient('work-poison');
  await until(
    async () =>
      (await poison.exists()) &&
      (await poison.peekMessages({ numberOfMessages: 9 })).peekedMessageItems.length === 2,
  );
  const messages = () => entries(trace).filter((each) => each.message !== undefined);
  expect(messages()).toContainEqual({ message: { n: 1 }, dequeueCount: 1 });
  expect(messages().filter((each) => (each.message as { n?: number }).n !== undefined)).toHaveLength(1);
  expect(messages().filter((each) => (each.message as { poison?: boolean }).poison)).toHaveLength(2);
  const results = await service.getQueueClient('results').receiveMessages({ numberOfMessages: 10 });
  const texts = results.receivedMessageItems.map((each) =>
    Buffer.from(each.messageText, 'base64').toString(),
  );
  expect(texts).toEqual(['{"got":{"n":1}}']);
  await until(async () => ((await work.getProperties()).approximateMessagesCount ?? 0) === 0);
});

it('handles each message twice when told to', async () => {
  const folder = temporaryFolder();
  const trace = join(folder, 'trace');
  const queue = QueueServiceClient.fromConnectionString(connection).getQueueClient('twice');
  await queue.create();
  await runHost('triggers', {
    stateFile: join(folder, 'state.db'),
    env: {
      TRACE_FILE: trace,
      AzureWebJobsStorage: connection,
      QUEUE_NAME: 'twice',
      TIMER_SCHEDULE: '1.00:00:00',
    },
    queueMessagesTwice: true,
    logLevel: 'none',
  });
  await queue.sendMessage(encode({ n: 2 }));
  await until(async () => ((await queue.getProperties()).approximateMessagesCount ?? 0) === 0);
  expect(entries(trace).filter((each) => each.message !== undefined)).toHaveLength(2);
});

it('runs timers at their times, at start-up with retries, and after a missed tick', async () => {
  const folder = temporaryFolder();
  const trace = join(folder, 'trace');
  const stateFile = join(folder, 'state.db');
  const env = { TRACE_FILE: trace, TIMER_SCHEDULE: '* * * * * *', AzureWebJobsStorage: '' };
  const first = (await runHost('triggers', { stateFile, env, logLevel: 'none' })).host;
  await until(() => entries(trace).filter((each) => each.tick !== undefined).length >= 2);
  expect(entries(trace).filter((each) => each.startup !== undefined)).toEqual([
    { startup: 0 },
    { startup: 1 },
    { startup: 2 },
  ]);
  expect(entries(trace).find((each) => each.tick)?.tick).toMatchObject({
    isPastDue: false,
    schedule: { adjustForDST: true },
  });
  const headers = { 'x-functions-key': first.masterKey };
  const started = await fetch(`${first.url}/admin/functions/hourly`, {
    method: 'POST',
    headers,
    body: '{"input":""}',
  });
  expect(started.status).toBe(202);
  await until(() => entries(trace).some((each) => each.hourly !== undefined));
  await first.stop();
  moveBack(stateFile);
  await runHost('triggers', { stateFile, env, logLevel: 'none' });
  await until(() =>
    entries(trace).some((each) => (each.hourly as { isPastDue?: boolean } | undefined)?.isPastDue === true),
  );
});

/** Makes the hourly timer look as if its last tick had been missed. */
function moveBack(stateFile: string): void {
  const database = new DatabaseSync(stateFile);
  const { status } = database.prepare("SELECT status FROM timer_trigger WHERE name = 'hourly'").get() as {
    status: string;
  };
  const moved = JSON.stringify({
    ...(JSON.parse(status) as object),
    Next: new Date(Date.now() - 60_000).toISOString(),
  });
  database.prepare("UPDATE timer_trigger SET status = ? WHERE name = 'hourly'").run(moved);
  database.close();
}
