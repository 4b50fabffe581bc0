import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import type { FaultRule } from '../../../dev/s3/index.ts';
import { useEndpoint } from './running-endpoint.ts';

const Bucket = 'data';
const sizeBytes = 400_000;
const endpoint = useEndpoint();
beforeAll(async () => {
  const keys = Array.from({ length: 200 }, (_, index) => ({ key: `many/${index}`, body: `${index}` }));
  await endpoint.s3.seedObjects(Bucket, [{ key: 'big', body: 'x'.repeat(sizeBytes) }, ...keys]);
});
beforeEach(() => endpoint.s3.clearFaults());

const head = (Key: string) => endpoint.client.send(new HeadObjectCommand({ Bucket, Key }));

/** Asks for each key once, all at the same time, and tells which ones failed. */
async function findHit(keys: readonly string[]): Promise<string[]> {
  const results = await Promise.allSettled(keys.map(head));
  return keys.filter((_, index) => results[index]?.status === 'rejected').toSorted();
}

test('a percentage hits the same requests each time, whatever their order, and others with another seed', async () => {
  const keys = Array.from({ length: 200 }, (_, index) => `many/${index}`);
  const hitWith = async (seed: number, order: readonly string[]) => {
    endpoint.s3.clearFaults();
    endpoint.s3.injectFault({ percent: 20, seed, action: { kind: 'error', code: 'SlowDown' } });
    return findHit(order);
  };
  const hit = await hitWith(7, keys);
  expect(hit.length).toBeGreaterThan(20);
  expect(hit.length).toBeLessThan(60);
  expect(await hitWith(7, keys.toReversed())).toEqual(hit);
  expect(await hitWith(8, keys)).not.toEqual(hit);
  // The same requests once more are other draws: a retry may get through.
  const again = await findHit(keys);
  expect([again.length > 20, again.length < 60]).toEqual([true, true]);
});

test('a percentage may have an end', async () => {
  endpoint.s3.injectFault({ percent: 100, times: 2, action: { kind: 'error', code: 'InternalError' } });
  expect(await findHit(['many/1', 'many/2', 'many/3'])).toHaveLength(2);
});

test.each([
  ['SlowDown', 503],
  ['InternalError', 500],
  ['ServiceUnavailable', 503],
  ['ExpiredToken', 400],
  ['AccessDenied', 403],
] as const)('%s is answered with %i on request', async (code, status) => {
  endpoint.s3.injectFault({ operation: 'GetObject', action: { kind: 'error', code } });
  await expect(endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'many/1' }))).rejects.toMatchObject({
    name: code,
    $metadata: { httpStatusCode: status },
  });
});

/** Reads a body and tells how it ended, how much had come and how long the last byte took. */
async function readRaw(Key: string): Promise<{ received: number; code: string | undefined; tookMs: number }> {
  const url = await getSignedUrl(endpoint.client, new GetObjectCommand({ Bucket, Key }));
  const start = performance.now();
  return new Promise((resolve) => {
    let received = 0;
    const end = (error?: NodeJS.ErrnoException): void =>
      resolve({ received, code: error?.code, tookMs: performance.now() - start });
    const get = request(url, (response) => {
      response.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      response.on('end', () => end());
      response.on('error', end);
    });
    get.on('error', end);
    get.end();
  });
}

test('a body is reset in its middle', async () => {
  endpoint.s3.injectFault({ method: 'GET', action: { kind: 'reset', when: 'body', afterBytes: 150_000 } });
  const { received, code } = await readRaw('big');
  expect(code).toBe('ECONNRESET');
  // A reset may overtake what is on its way; nothing comes after it.
  expect(received).toBeLessThanOrEqual(150_000);
  expect(await readRaw('big')).toMatchObject({ received: sizeBytes, code: undefined });
});

test('a body trickles no faster than it should, and whole', async () => {
  endpoint.s3.injectFault({ method: 'GET', action: { kind: 'trickle', bytesPerSecond: 1_000_000 } });
  const { received, code, tookMs } = await readRaw('big');
  expect([received, code]).toEqual([sizeBytes, undefined]);
  expect(tookMs).toBeGreaterThan(380);
});

test('a delay ends with the endpoint, which does nothing any more then', async () => {
  const folder = await mkdtemp(join(tmpdir(), 's3-delayed-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const script = fileURLToPath(new URL('stopped-in-delay.ts', import.meta.url));
  const { stderr } = await promisify(execFile)(process.execPath, [script, folder], { timeout: 30_000 });
  expect(stderr).toBe('');
});

test('an object is another one when it is read than when it was listed', async () => {
  await endpoint.s3.seedObjects(Bucket, [{ key: 'moving/1', body: 'old', contentType: 'text/csv' }]);
  const rule: FaultRule = {
    operation: 'GetObject',
    key: 'moving/*',
    action: { kind: 'replace', body: 'new bytes' },
  };
  const list = async () =>
    (await endpoint.client.send(new ListObjectsV2Command({ Bucket, Prefix: 'moving/' }))).Contents?.[0];
  const listed = await list();
  endpoint.s3.injectFault(rule);
  const get = (IfMatch?: string) =>
    endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'moving/1', IfMatch }));
  await expect(get(listed?.ETag)).rejects.toMatchObject({ name: 'PreconditionFailed' });
  const got = await get();
  expect([got.ContentType, await got.Body?.transformToString()]).toEqual(['text/csv', 'new bytes']);
  expect(await list()).toMatchObject({ ETag: got.ETag, Size: 9 });
  // What is not there is not made.
  endpoint.s3.injectFault({ ...rule, key: 'nothing' });
  await expect(endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'nothing' }))).rejects.toMatchObject({
    name: 'NoSuchKey',
  });
});

test.each([
  [{ percent: 0, action: { kind: 'reset' } }, 'percent'],
  [{ percent: 101, action: { kind: 'reset' } }, 'percent'],
  [{ seed: 1, action: { kind: 'reset' } }, 'give percent'],
  [{ percent: 1, seed: 0.5, action: { kind: 'reset' } }, 'seed'],
  [{ action: { kind: 'trickle', bytesPerSecond: 0 } }, 'bytesPerSecond'],
  [{ action: { kind: 'reset', when: 'body' } }, 'afterBytes'],
  [{ action: { kind: 'reset', when: 'before', afterBytes: 1 } }, 'afterBytes'],
  [{ action: { kind: 'replace' } }, 'body'],
  [{ action: { kind: 'slow' } }, 'kind'],
])('the rule %j is refused', async (rule, name) => {
  const response = await fetch(`${endpoint.s3.settings.endpoint}/-/control/faults`, {
    method: 'POST',
    headers: { 'x-local-access-key': endpoint.s3.settings.accessKeyId },
    body: JSON.stringify(rule),
  });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(name);
});
