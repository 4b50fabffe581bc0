import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TableClient } from '@azure/data-tables';
import { type BlobClient, BlobSASPermissions, BlobServiceClient } from '@azure/storage-blob';
import { QueueServiceClient } from '@azure/storage-queue';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import {
  type RunningStorageProxy,
  type StorageFaultAction,
  startStorageProxy,
} from '../../../dev/storage-proxy/index.ts';

let folder: string;
let azurite: RunningAzurite;
let proxy: RunningStorageProxy;
let names = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'storage-proxy-'));
  azurite = await startAzurite({ folder, inMemory: true });
  proxy = await startStorageProxy({ azurite });
});
afterEach(() => proxy.clearFaults());
afterAll(async () => {
  await proxy?.stop();
  await azurite?.stop();
  await rm(folder, { recursive: true, force: true });
});

const once = { retryOptions: { maxTries: 1 } };

async function newQueue() {
  const queue = QueueServiceClient.fromConnectionString(proxy.connectionString, once).getQueueClient(
    `queue${++names}`,
  );
  await queue.create();
  const count = async () => (await queue.getProperties()).approximateMessagesCount;
  return { queue, count };
}

async function newContainer() {
  const container = BlobServiceClient.fromConnectionString(proxy.connectionString, once).getContainerClient(
    `container${++names}`,
  );
  await container.create();
  return container;
}

async function newTable() {
  const table = TableClient.fromConnectionString(proxy.connectionString, `table${++names}`, {
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 0 },
  });
  await table.createTable();
  return table;
}

/** What a call fails with; a call that does not fail is a failed test. */
async function failureOf(call: Promise<unknown>): Promise<Record<string, unknown>> {
  return call.then(
    () => expect.unreachable('the call succeeded'),
    (error: unknown) => error as Record<string, unknown>,
  );
}

describe('without rules', () => {
  it('passes signed requests of every service through, both ways', async () => {
    const container = await newContainer();
    const body = randomBytes(6 * 1024 * 1024);
    const blob = container.getBlockBlobClient('a/b c+d%20é.bin');
    await blob.uploadData(body, { blockSize: 1024 * 1024, concurrency: 4 });
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    expect(digest(await blob.downloadToBuffer())).toBe(digest(body));
    // A SAS signs the path, not the address.
    const url = await blob.generateSasUrl({
      expiresOn: new Date(Date.now() + 60_000),
      permissions: BlobSASPermissions.parse('r'),
    });
    expect(new URL(url).port).toBe(new URL(proxy.settings.blobEndpoint).port);
    const ranged = await fetch(url, { headers: { range: 'bytes=5-9' } });
    expect([ranged.status, Buffer.from(await ranged.arrayBuffer())]).toEqual([206, body.subarray(5, 10)]);

    const { queue, count } = await newQueue();
    await queue.sendMessage('text');
    expect((await queue.receiveMessages()).receivedMessageItems.map((each) => each.messageText)).toEqual([
      'text',
    ]);
    expect(await count()).toBe(1);

    const table = await newTable();
    await table.submitTransaction([
      ['create', { partitionKey: 'p', rowKey: "it's", value: 1 }],
      ['create', { partitionKey: 'p', rowKey: 'b', value: 2 }],
    ]);
    expect(await table.getEntity('p', "it's")).toMatchObject({ value: 1 });
  });

  it('keeps idle connections no longer than the service does', async () => {
    const keepAliveOf = async (endpoint: string) => {
      const { headers } = await fetch(endpoint);
      return Number(/^timeout=(\d+)$/.exec(headers.get('keep-alive') ?? '')?.[1]);
    };
    // Clients meet the end of an idle connection as early as Azurite by itself would end it.
    expect(await keepAliveOf(proxy.settings.queueEndpoint)).toBe(5);
    expect(await keepAliveOf(azurite.settings.queueEndpoint)).toBeGreaterThanOrEqual(5);
  });

  it('leaves a wrong signature to the service', async () => {
    const key = Buffer.from('not the right key of the account').toString('base64');
    const wrong = proxy.connectionString.replace(/AccountKey=[^;]+/, `AccountKey=${key}`);
    const error = await failureOf(
      BlobServiceClient.fromConnectionString(wrong, once).getContainerClient('denied').create(),
    );
    expect(error).toMatchObject({ statusCode: 403, code: 'AuthorizationFailure' });
  });
});

describe('rules', () => {
  it('answer with the error of each service, which does nothing then', async () => {
    const { queue, count } = await newQueue();
    proxy.injectFault({ service: 'queue', method: 'post', action: { kind: 'error', code: 'ServerBusy' } });
    expect(await failureOf(queue.sendMessage('a'))).toMatchObject({ statusCode: 503, code: 'ServerBusy' });
    expect(await count()).toBe(0);
    await queue.sendMessage('b');
    expect(await count()).toBe(1);

    const container = await newContainer();
    proxy.injectFault({ service: 'blob', action: { kind: 'error', code: 'InternalError' } });
    expect(await failureOf(container.getBlobClient('a').getProperties())).toMatchObject({
      statusCode: 500,
      details: { errorCode: 'InternalError' },
    });

    const table = await newTable();
    proxy.injectFault({ service: 'table', action: { kind: 'error', code: 'TooManyRequests' } });
    const error = await failureOf(table.createEntity({ partitionKey: 'p', rowKey: 'r' }));
    expect(error).toMatchObject({
      statusCode: 429,
      details: { odataError: { code: 'TooManyRequests' } },
    });
  });

  it('answer with a status that names no storage error, as a gateway does', async () => {
    const { queue } = await newQueue();
    proxy.injectFault({ action: { kind: 'error', code: null, status: 502 } });
    const error = await failureOf(queue.sendMessage('a'));
    expect(error).toMatchObject({ statusCode: 502 });
    expect(
      (error.response as { headers: { get(name: string): unknown } }).headers.get('x-ms-error-code'),
    ).toBe(undefined);
  });

  it.each([
    ['before', 0],
    ['after', 1],
  ] as const)('reset the connection %s the service has worked', async (when, messages) => {
    const { queue, count } = await newQueue();
    proxy.injectFault({ method: 'POST', path: '/messages', action: { kind: 'reset', when } });
    const error = await failureOf(queue.sendMessage('a'));
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    expect(await count()).toBe(messages);
    expect(proxy.faults()).toMatchObject([{ hits: 1, left: 0 }]);
  });

  it('cut an answer in its body', async () => {
    const container = await newContainer();
    const blob = container.getBlockBlobClient('a');
    await blob.uploadData(randomBytes(100_000));
    proxy.injectFault({ service: 'blob', method: 'GET', action: { kind: 'truncate', afterBytes: 70_000 } });
    const url = await blob.generateSasUrl({
      expiresOn: new Date(Date.now() + 60_000),
      permissions: BlobSASPermissions.parse('r'),
    });
    const response = await fetch(url);
    expect(response.headers.get('content-length')).toBe('100000');
    let received = 0;
    const read = async () => {
      for await (const chunk of response.body!) received += chunk.length;
    };
    await failureOf(read());
    expect(received).toBe(70_000);
  });

  it('cut a request in its body, which the service then drops', async () => {
    const container = await newContainer();
    const blob = container.getBlockBlobClient('a');
    proxy.injectFault({ method: 'PUT', action: { kind: 'truncate', of: 'request', afterBytes: 50_000 } });
    await failureOf(blob.uploadData(randomBytes(100_000)));
    expect(await blob.exists()).toBe(false);
    await blob.uploadData(randomBytes(100_000));
  });

  it('delay a request, or the answer to one that is done', async () => {
    const { queue, count } = await newQueue();
    proxy.injectFault({ method: 'POST', action: { kind: 'delay', delayMs: 300 } });
    const startMs = performance.now();
    await queue.sendMessage('a');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(295);
    proxy.injectFault({ method: 'POST', action: { kind: 'delay', delayMs: 2_000, when: 'after' } });
    await failureOf(queue.sendMessage('b', { abortSignal: AbortSignal.timeout(500) }));
    expect(await count()).toBe(2);
  });

  it('drop a request whose client goes away while it is held up', async () => {
    const { queue, count } = await newQueue();
    proxy.injectFault({ method: 'POST', action: { kind: 'delay', delayMs: 300 } });
    await failureOf(queue.sendMessage('a', { abortSignal: AbortSignal.timeout(100) }));
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(await count()).toBe(0);
  });

  it('refuse connections until they are taken again', async () => {
    const { queue, count } = await newQueue();
    await proxy.refuseConnections('queue');
    // A connection that was kept is ended first.
    await expect.poll(async () => (await failureOf(queue.sendMessage('a'))).code).toBe('ECONNREFUSED');
    await newContainer();
    await proxy.acceptConnections('queue');
    await queue.sendMessage('b');
    expect(await count()).toBe(1);
  });

  it('let a client that tries again get its work done, whatever they do', async () => {
    const container = BlobServiceClient.fromConnectionString(proxy.connectionString, {
      retryOptions: { maxTries: 20, retryDelayInMs: 2, maxRetryDelayInMs: 10 },
    }).getContainerClient(`container${++names}`);
    await container.create();
    const actions: StorageFaultAction[] = [
      { kind: 'error', code: 'ServerBusy' },
      { kind: 'error', code: null, status: 503 },
      { kind: 'reset', when: 'before' },
      { kind: 'reset', when: 'after' },
      { kind: 'truncate', of: 'answer', afterBytes: 20_000 },
      { kind: 'truncate', of: 'request', afterBytes: 20_000 },
      { kind: 'delay', delayMs: 10, when: 'after' },
    ];
    for (const [seed, action] of actions.entries()) proxy.injectFault({ percent: 8, seed, action });
    const bodies = Array.from({ length: 60 }, () => randomBytes(40_000));
    const write = async (body: Buffer, at: number) => {
      const blob = container.getBlockBlobClient(String(at));
      await blob.uploadData(body);
      expect((await read(blob)).equals(body)).toBe(true);
    };
    // The SDK does not try again when a body is cut off.
    const read = async (blob: BlobClient): Promise<Buffer> => {
      for (;;) {
        const bytes = await blob.downloadToBuffer().catch((error: Error) => error);
        if (!(bytes instanceof Error)) return bytes;
        expect(bytes.name).toBe('AbortError');
      }
    };
    for (let at = 0; at < bodies.length; at += 6)
      await Promise.all(bodies.slice(at, at + 6).map((body, index) => write(body, at + index)));
    for (const { rule, hits } of proxy.faults()) expect([rule.action, hits > 0]).toEqual([rule.action, true]);
  });
});
