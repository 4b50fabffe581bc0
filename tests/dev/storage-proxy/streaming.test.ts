import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningStorageProxy, startStorageProxy } from '../../../dev/storage-proxy/index.ts';

/** A service that does just what a test tells it, where Azurite can't be made to. */
let handle: (incoming: IncomingMessage, answer: ServerResponse) => void;
const service = createServer((incoming, answer) => handle(incoming, answer));
let connections = 0;
let proxy: RunningStorageProxy;
let origin: string;

beforeAll(async () => {
  service.on('connection', () => {
    connections += 1;
  });
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  const endpoint = `http://127.0.0.1:${(service.address() as AddressInfo).port}/account`;
  proxy = await startStorageProxy({
    azurite: {
      settings: {
        connectionString: '',
        secondConnectionString: '',
        blobEndpoint: endpoint,
        queueEndpoint: endpoint,
        tableEndpoint: endpoint,
        accountName: 'account',
        accountKey: 'key',
      },
    },
  });
  origin = new URL(proxy.settings.blobEndpoint).origin;
});
afterAll(async () => {
  await proxy?.stop();
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

it('passes bodies on as they come, both ways', async () => {
  let onFirstHalf: () => void = () => undefined;
  const firstHalfArrived = new Promise<void>((resolve) => {
    onFirstHalf = resolve;
  });
  // The service echoes each chunk at once; the client sends the second one only after it has the first one back.
  handle = (incoming, answer) => {
    answer.writeHead(200, { 'content-type': 'text/plain' }).flushHeaders();
    incoming.on('data', (chunk: Buffer) => answer.write(chunk)).on('end', () => answer.end());
  };
  const outgoing = request(`${origin}/account/a`, { method: 'PUT' });
  outgoing.write('first');
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let received = '';
  response.on('data', (chunk: Buffer) => {
    received += chunk.toString();
    onFirstHalf();
  });
  await firstHalfArrived;
  expect(received).toBe('first');
  outgoing.end('second');
  await once(response, 'end');
  expect(received).toBe('firstsecond');
});

it('changes neither path, Host nor other headers, and names what it got in the same words', async () => {
  let seen: IncomingMessage | undefined;
  handle = (incoming, answer) => {
    seen = incoming;
    answer.writeHead(200, [
      'X-Ms-Thing',
      'a',
      'Set-Cookie',
      'b=1',
      'Set-Cookie',
      'c=2',
      'Content-Length',
      '0',
    ]);
    answer.end();
  };
  const path = "/account/t(PartitionKey='a%27b',RowKey='%2F')?$filter=x%20eq%201&sig=a%2Bb%3D";
  const outgoing = request(`${origin}${path}`, {
    headers: { 'x-ms-date': 'now', authorization: 'SharedKey account:x=' },
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  response.resume();
  expect(seen?.url).toBe(path);
  expect(seen?.headers).toMatchObject({
    host: new URL(origin).host,
    'x-ms-date': 'now',
    authorization: 'SharedKey account:x=',
  });
  const raw = response.rawHeaders.join('|');
  expect(raw).toContain('X-Ms-Thing|a|Set-Cookie|b=1|Set-Cookie|c=2|Content-Length|0');
});

it('keeps connections on both sides', async () => {
  handle = (incoming, answer) => {
    incoming.resume().once('end', () => answer.end('x'));
  };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  const before = connections;
  for (let round = 0; round < 20; round += 1) {
    const outgoing = request(`${origin}/account/a`, { agent, method: 'POST' });
    outgoing.end('body');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    ports.add(response.socket.localPort);
    response.resume();
    await once(response, 'end');
  }
  agent.destroy();
  expect(ports.size).toBe(1);
  expect(connections - before).toBeLessThanOrEqual(1);
});

it.each(['before', 'after'])('waits for nothing any more once it is stopped (a delay %s)', async (when) => {
  const script = fileURLToPath(new URL('stopped-in-delay.ts', import.meta.url));
  const { stderr } = await promisify(execFile)(process.execPath, [script, when], { timeout: 30_000 });
  expect(stderr).toBe('');
});

it('resets the connection when the service is gone, and takes the next request', async () => {
  handle = (incoming) => incoming.socket.destroy();
  const broken = request(`${origin}/account/a`, { agent: false });
  broken.end();
  const [error] = (await once(broken, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
  handle = (_, answer) => answer.end('x');
  expect(await (await fetch(`${origin}/account/a`)).text()).toBe('x');
});

it('is controlled over HTTP by those who know the account', async () => {
  handle = (_, answer) => answer.end('x');
  const control = (method: string, path: string, body?: object) =>
    fetch(`${origin}/-/control/${path}`, {
      method,
      headers: { 'x-local-access-key': 'account' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  expect((await fetch(`${origin}/-/control/faults`)).status).toBe(403);
  const rule = { service: 'blob', percent: 50, seed: 3, action: { kind: 'error', code: 'ServerBusy' } };
  const added = await control('POST', 'faults', rule);
  expect([added.status, await added.json()]).toEqual([201, { id: expect.any(Number) }]);
  const statuses: number[] = [];
  for (let round = 0; round < 20; round += 1) statuses.push((await fetch(`${origin}/account/a`)).status);
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  const { faults } = (await (await control('GET', 'faults')).json()) as { faults: object[] };
  expect(faults).toMatchObject([
    { rule, hits: statuses.filter((status) => status === 503).length, left: null },
  ]);
  const bad = await control('POST', 'faults', { action: { kind: 'error', code: 'ServerBusy' }, percent: 0 });
  expect([bad.status, await bad.json()]).toEqual([
    400,
    { error: expect.stringContaining('percent: must be above 0') },
  ]);
  expect((await control('DELETE', 'faults')).status).toBe(200);
  expect((await control('DELETE', 'faults/77')).status).toBe(404);
  expect((await control('GET', 'anything')).status).toBe(404);

  const table = `${new URL(proxy.settings.tableEndpoint).origin}/account/t`;
  // Asked of the very listener that is to be closed, the answer still comes.
  const own = await fetch(`${new URL(table).origin}/-/control/refusals/table`, {
    method: 'PUT',
    headers: { 'x-local-access-key': 'account' },
  });
  expect(own.status).toBe(200);
  await expect.poll(() => fetch(table).then(String, () => 'refused')).toBe('refused');
  expect((await control('DELETE', 'refusals/table')).status).toBe(200);
  expect((await fetch(table)).status).toBe(200);
});
