import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startS3 } from '../../../dev/s3/index.ts';
import { type RunningEndpoint, startEndpoint } from './running-endpoint.ts';

let endpoint: RunningEndpoint;
afterAll(() => endpoint.stop());
beforeAll(async () => {
  endpoint = await startEndpoint();
  await endpoint.s3.seedObjects('data', [
    { key: 'a/1.csv', body: 'x'.repeat(100_000), contentType: 'text/csv' },
    { key: 'b', body: 'b' },
  ]);
});
beforeEach(() => {
  endpoint.s3.clearFaults();
  endpoint.s3.resetRequestCounts();
});

const get = async (Key: string) =>
  (await endpoint.client.send(new GetObjectCommand({ Bucket: 'data', Key }))).Body?.transformToString();
const control = (path: string, init: RequestInit = {}, key = 'local-access-key') =>
  fetch(`${endpoint.s3.settings.endpoint}/-/control${path}`, {
    ...init,
    headers: { 'x-local-access-key': key },
  });

test('a fault hits the requests that match, as often as it says, and no others', async () => {
  endpoint.s3.injectFault({
    operation: 'GetObject',
    key: 'a/*.csv',
    skip: 1,
    times: 2,
    action: { kind: 'error', code: 'SlowDown' },
  });
  await get('a/1.csv');
  await expect(get('a/1.csv')).rejects.toMatchObject({
    name: 'SlowDown',
    $metadata: { httpStatusCode: 503 },
  });
  expect(await get('b')).toBe('b');
  await expect(get('a/1.csv')).rejects.toMatchObject({ name: 'SlowDown' });
  expect((await get('a/1.csv'))?.length).toBe(100_000);
  expect(endpoint.s3.requestCounts()).toEqual({ GetObject: { requests: 5, errors: 2 } });
});

test('a truncated body is too short for its length, and a reset is no answer', async () => {
  endpoint.s3.injectFault({ method: 'GET', action: { kind: 'truncate', afterBytes: 1000 } });
  const response = await fetch(
    await getSignedUrl(endpoint.client, new GetObjectCommand({ Bucket: 'data', Key: 'a/1.csv' })),
  );
  expect([response.status, response.headers.get('content-length')]).toEqual([200, '100000']);
  let received = 0;
  const reading = (async () => {
    for await (const chunk of response.body ?? []) received += chunk.length;
  })();
  await expect(reading).rejects.toThrow();
  expect(received).toBe(1000);
  endpoint.s3.injectFault({ action: { kind: 'reset', when: 'before' } });
  await expect(get('b')).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(await get('b')).toBe('b');
});

test('a reset after the work leaves the work done', async () => {
  endpoint.s3.injectFault({ operation: 'PutObject', action: { kind: 'reset', when: 'after' } });
  const put = endpoint.client.send(new PutObjectCommand({ Bucket: 'data', Key: 'done', Body: 'done' }));
  await expect(put).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(await get('done')).toBe('done');
});

test('a delay holds the request up', async () => {
  endpoint.s3.injectFault({ action: { kind: 'delay', delayMs: 120 } });
  const start = performance.now();
  expect(await get('b')).toBe('b');
  expect(performance.now() - start).toBeGreaterThan(110);
});

test('faults and counters over HTTP, for those who have the key', async () => {
  expect((await control('/stats', {}, 'guess')).status).toBe(403);
  const rule = { operation: 'ListObjectsV2', action: { kind: 'error', code: 'InternalError' } };
  const made = await control('/faults', { method: 'POST', body: JSON.stringify(rule) });
  expect([made.status, await made.json()]).toEqual([201, { id: expect.any(Number) }]);
  const list = () => endpoint.client.send(new ListObjectsV2Command({ Bucket: 'data' }));
  await expect(list()).rejects.toMatchObject({ name: 'InternalError' });
  await list();
  expect(await (await control('/stats')).json()).toEqual({
    operations: { ListObjectsV2: { requests: 2, errors: 1 } },
  });
  for (const bad of [
    {},
    { action: { kind: 'error', code: 'Nope' } },
    { action: { kind: 'reset' }, tmes: 2 },
    { times: 0, action: { kind: 'reset' } },
  ]) {
    expect((await control('/faults', { method: 'POST', body: JSON.stringify(bad) })).status).toBe(400);
  }
  await control('/stats', { method: 'DELETE' });
  expect(endpoint.s3.requestCounts()).toEqual({});
});

test('1,500 objects are seeded in less than a second of CPU time', async () => {
  const start = process.threadCpuUsage();
  const objects = Array.from({ length: 1500 }, (_, index) => ({ key: `seed/${index}`, body: `${index}` }));
  expect(await endpoint.s3.seedObjects('data', objects)).toBe(1500);
  const { user, system } = process.threadCpuUsage(start);
  expect(user + system).toBeLessThan(1_000_000);
  expect(await get('seed/1499')).toBe('1499');
  await expect(endpoint.s3.seedObjects('nowhere', objects)).rejects.toThrow(/no bucket nowhere/);
});

test('a folder outlives its endpoint, has one at a time, and keeps no replaced bodies', async () => {
  const folder = await mkdtemp(join(tmpdir(), 's3-folder-'));
  try {
    const first = await startS3({ folder, buckets: ['kept'] });
    await expect(startS3({ folder })).rejects.toThrow(/in use by another S3 endpoint/);
    for (let run = 0; run < 3; run += 1)
      await first.seedObjects('kept', [{ key: 'k', body: 'x'.repeat(50_000) }]);
    await first.stop();
    await first.stop();
    expect(await first.status()).toBe('stopped');
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    );
    expect(files.filter((entry) => /^[0-9a-f]{32}$/.test(entry.name))).toHaveLength(1);
    const second = await startS3({ folder, publicBuckets: ['kept'] });
    try {
      const response = await fetch(`${second.settings.endpoint}/kept/k`);
      expect((await response.text()).length).toBe(50_000);
    } finally {
      await second.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
