import { fork } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TableClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { QueueServiceClient } from '@azure/storage-queue';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAzurite } from '../../../dev/azurite/index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'azurite-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('all three services answer the Azure clients, and stop frees them', async () => {
  const azurite = await startAzurite({ folder: join(folder, 'a'), inMemory: true });
  try {
    const { connectionString } = azurite;
    const container = BlobServiceClient.fromConnectionString(connectionString).getContainerClient('one');
    await container.create();
    await container.uploadBlockBlob('b', 'hello', 5);
    expect((await container.getBlobClient('b').downloadToBuffer()).toString()).toBe('hello');
    const queue = QueueServiceClient.fromConnectionString(connectionString).getQueueClient('one');
    await queue.create();
    await queue.sendMessage('m');
    expect((await queue.receiveMessages()).receivedMessageItems[0]?.messageText).toBe('m');
    const table = TableClient.fromConnectionString(connectionString, 'one', {
      allowInsecureConnection: true,
    });
    await table.createTable();
    await table.createEntity({ partitionKey: 'p', rowKey: 'r', n: 1 });
    expect((await table.getEntity('p', 'r'))['n']).toBe(1);
    expect(await azurite.status()).toBe('running');
  } finally {
    await azurite.stop();
  }
  expect(await azurite.status()).toBe('stopped');
  await azurite.stop();
  await expect(fetch(azurite.settings.blobEndpoint)).rejects.toThrow();
});

test('what was written is there after a restart on the same folder', async () => {
  const first = await startAzurite({ folder: join(folder, 'b') });
  const clientFor = (connectionString: string) =>
    BlobServiceClient.fromConnectionString(connectionString).getContainerClient('kept');
  await clientFor(first.connectionString).create();
  await clientFor(first.connectionString).uploadBlockBlob('b', 'kept', 4);
  await first.stop();
  expect(await readdir(join(folder, 'b'))).not.toEqual([]);
  const second = await startAzurite({ folder: join(folder, 'b') });
  try {
    expect((await clientFor(second.connectionString).getBlobClient('b').downloadToBuffer()).toString()).toBe(
      'kept',
    );
  } finally {
    await second.stop();
  }
});

test('two instances start at the same time without meeting', async () => {
  const both = await Promise.all([
    startAzurite({ folder: join(folder, 'c'), inMemory: true }),
    startAzurite({ folder: join(folder, 'd'), inMemory: true }),
  ]);
  const endpoints = both.flatMap((part) => [
    part.settings.blobEndpoint,
    part.settings.queueEndpoint,
    part.settings.tableEndpoint,
  ]);
  await Promise.all(both.map((part) => part.stop()));
  expect(new Set(endpoints).size).toBe(6);
});

test('a port that is taken is an error that says so', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const port = (holder.address() as AddressInfo).port;
  try {
    await expect(
      startAzurite({ folder: join(folder, 'e'), inMemory: true, ports: { blob: port } }),
    ).rejects.toThrow(/EADDRINUSE/);
  } finally {
    await new Promise((resolve) => holder.close(resolve));
  }
});

test('it ends when its parent is killed', async () => {
  const script = join(folder, 'parent.ts');
  const index = new URL('../../../dev/azurite/index.ts', import.meta.url).href;
  await writeFile(
    script,
    `import { startAzurite } from ${JSON.stringify(index)};
     const part = await startAzurite({ folder: ${JSON.stringify(join(folder, 'f'))}, inMemory: true });
     process.send(part.settings.blobEndpoint);
     setInterval(() => undefined, 1000);`,
  );
  const parent = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const endpoint = await new Promise<string>((resolve, reject) => {
    parent.once('exit', (code) => reject(new Error(`parent ended with ${code}`)));
    parent.once('message', (message) => resolve(String(message)));
  });
  expect((await fetch(endpoint)).status).toBeGreaterThan(0);
  parent.kill('SIGKILL');
  const isGone = async () => {
    try {
      await fetch(endpoint);
      return false;
    } catch {
      return true;
    }
  };
  await expect.poll(isGone, { timeout: 5_000 }).toBe(true);
});
