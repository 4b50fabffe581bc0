import { request } from 'node:http';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createFreshConnections,
  type FreshConnections,
} from '../../../shared/adapters/kusto/fresh-connections.ts';

/** Has an event loop of its own, and closes connections after 0.8 s without a request, which it does not announce. */
const SERVER = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:http').createServer((_, response) => response.setHeader('connection', 'keep-alive').end());
  Object.assign(server, { keepAliveTimeout: 800, keepAliveTimeoutBuffer: 0 });
  let connections = 0;
  server.on('connection', () => { connections += 1; });
  parentPort.on('message', () => parentPort.postMessage(connections));
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

let server: Worker;
let url: string;

const answer = () => new Promise<number>((resolve) => server.once('message', resolve));

async function countConnections(): Promise<number> {
  server.postMessage('count');
  return answer();
}

beforeAll(async () => {
  server = new Worker(SERVER, { eval: true });
  url = `http://127.0.0.1:${await answer()}/`;
});

afterAll(() => server.terminate());

function post(connections: FreshConnections): Promise<void> {
  return new Promise((resolve, reject) => {
    request(url, { method: 'POST', agent: connections.agentFor(url) }, (response) => {
      response.resume().once('end', resolve);
    })
      .once('error', reject)
      .end('x');
  });
}

/** The process stands still, as one does that is frozen or has no CPU: what arrives meanwhile waits in the kernel. */
function standStill(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

test('a connection that has just been used is used again', async () => {
  const connections = createFreshConnections();
  const before = await countConnections();
  for (let index = 0; index < 5; index += 1) {
    await post(connections);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await countConnections()) - before).toBe(1);
});

test('no post meets a connection that the server has closed while the process stood still', async () => {
  const connections = createFreshConnections({ reuseMs: 50 });
  for (let round = 0; round < 2; round += 1) {
    // Each lane posts as soon as its answer is read, and that is when the process goes on.
    const lanes = Array.from({ length: 16 }, async () => {
      for (let index = 0; index < 3; index += 1) await post(connections);
    });
    await new Promise((resolve) => setTimeout(resolve, round));
    standStill(1100);
    await Promise.all(lanes);
    standStill(1100);
  }
});
