import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningEndpoint, readError, startEndpoint } from './running-endpoint.ts';
import { sendSigned } from './signed-request.ts';

let endpoint: RunningEndpoint;
afterAll(() => endpoint.stop());
let nowMs = Date.now();

beforeAll(async () => {
  endpoint = await startEndpoint({
    buckets: ['data', 'open-data'],
    publicBuckets: ['open-data'],
    clock: () => new Date(nowMs),
    extraCredentials: [
      { accessKeyId: 'temporary', secretAccessKey: 'secret-2', sessionToken: 'token-2' },
      {
        accessKeyId: 'short',
        secretAccessKey: 'secret-4',
        sessionToken: 'token-4',
        expiresAt: new Date(nowMs + 60_000),
      },
      { accessKeyId: 'gone', secretAccessKey: 'secret-3', sessionToken: 'token-3', expiresAt: new Date(0) },
    ],
  });
  await endpoint.s3.seedObjects('data', [
    { key: 'a b/ü+%&=.txt', body: 'hello' },
    { key: 'other', body: 'other' },
  ]);
  await endpoint.s3.seedObjects('open-data', [{ key: 'k', body: 'free' }]);
});

const command = new GetObjectCommand({ Bucket: 'data', Key: 'a b/ü+%&=.txt' });
const sign = (expiresIn: number) => getSignedUrl(endpoint.client, command, { expiresIn });

async function fetchError(url: string | URL, init?: RequestInit) {
  return readError(await fetch(url, init));
}

test('a presigned URL reads exactly its object with its method', async () => {
  const url = await sign(60);
  const response = await fetch(url);
  expect([response.status, await response.text()]).toEqual([200, 'hello']);
  expect(await fetchError(url, { method: 'DELETE' })).toMatchObject({
    status: 403,
    code: 'SignatureDoesNotMatch',
  });
  expect(await fetchError(url.replace(/\/data\/[^?]*/, '/data/other'))).toMatchObject({
    code: 'SignatureDoesNotMatch',
  });
  expect(await fetchError(`${url}&versionId=null`)).toMatchObject({ code: 'SignatureDoesNotMatch' });
  expect(await fetchError(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=61'))).toMatchObject({
    code: 'SignatureDoesNotMatch',
  });
  expect(await fetchError(url, { headers: { 'x-amz-meta-a': '1' } })).toMatchObject({
    status: 403,
    code: 'AccessDenied',
  });
  expect(await fetchError(url, { headers: { authorization: 'AWS4-HMAC-SHA256 x' } })).toMatchObject({
    status: 400,
    code: 'InvalidArgument',
  });
});

test('a presigned URL dies when its time is over, and is not valid before it', async () => {
  const url = await sign(60);
  const before = nowMs;
  try {
    nowMs = before + 62_000;
    const { status, code, text } = await fetchError(url);
    expect([status, code, text.includes('Request has expired')]).toEqual([403, 'AccessDenied', true]);
    nowMs = before - 16 * 60_000;
    expect((await fetchError(url)).text).toContain('Request is not yet valid');
  } finally {
    nowMs = before;
  }
});

test.each(['0', '-1', '604801', 'soon'])('X-Amz-Expires=%s is refused', async (expires) => {
  const url = (await sign(60)).replace('X-Amz-Expires=60', `X-Amz-Expires=${expires}`);
  expect(await fetchError(url)).toMatchObject({ status: 400, code: 'AuthorizationQueryParametersError' });
});

test.each([
  ['an unknown key', { accessKeyId: 'nobody', secretAccessKey: 'x' }, 403, 'InvalidAccessKeyId'],
  ['a wrong secret', { accessKeyId: 'local-access-key', secretAccessKey: 'x' }, 403, 'SignatureDoesNotMatch'],
  [
    'a temporary key without token',
    { accessKeyId: 'temporary', secretAccessKey: 'secret-2' },
    403,
    'InvalidAccessKeyId',
  ],
  [
    'a wrong token',
    { accessKeyId: 'temporary', secretAccessKey: 'secret-2', sessionToken: 'x' },
    400,
    'InvalidToken',
  ],
  [
    'an expired token',
    { accessKeyId: 'gone', secretAccessKey: 'secret-3', sessionToken: 'token-3' },
    400,
    'ExpiredToken',
  ],
])('%s is refused, by header and in a URL', async (_name, credentials, status, code) => {
  const client = endpoint.newClient({ credentials });
  await expect(client.send(command)).rejects.toMatchObject({
    name: code,
    $metadata: { httpStatusCode: status },
  });
  expect(await fetchError(await getSignedUrl(client, command))).toMatchObject({ status, code });
});

test('a temporary key works with its token', async () => {
  const credentials = { accessKeyId: 'temporary', secretAccessKey: 'secret-2', sessionToken: 'token-2' };
  const client = endpoint.newClient({ credentials });
  expect(await (await client.send(command)).Body?.transformToString()).toBe('hello');
  expect((await fetch(await getSignedUrl(client, command))).status).toBe(200);
});

test('a session ends while it is in use', async () => {
  const client = endpoint.newClient({
    credentials: { accessKeyId: 'short', secretAccessKey: 'secret-4', sessionToken: 'token-4' },
  });
  const url = await getSignedUrl(client, command, { expiresIn: 3600 });
  expect((await fetch(url)).status).toBe(200);
  const before = nowMs;
  try {
    nowMs = before + 60_000;
    await expect(client.send(command)).rejects.toMatchObject({ name: 'ExpiredToken' });
    // A URL dies with the session that signed it, however long it was meant to live.
    expect(await fetchError(url)).toMatchObject({ status: 400, code: 'ExpiredToken' });
  } finally {
    nowMs = before;
  }
});

test('another region is refused with the right one', async () => {
  const client = endpoint.newClient({ region: 'eu-west-1', followRegionRedirects: false });
  await expect(client.send(command)).rejects.toMatchObject({
    name: 'AuthorizationHeaderMalformed',
    Region: 'us-east-1',
  });
});

test('a clock that is off by more than 15 minutes is refused', async () => {
  const before = nowMs;
  nowMs = before + 16 * 60_000;
  // A client of its own: the SDK remembers by how much its clock was said to be off.
  const client = endpoint.newClient();
  try {
    await expect(client.send(command)).rejects.toMatchObject({ name: 'RequestTimeTooSkewed' });
  } finally {
    nowMs = before;
  }
});

test('without a signature only public buckets can be read, and nothing written', async () => {
  const at = endpoint.s3.settings.endpoint;
  expect(await fetchError(`${at}/data/other`)).toMatchObject({ status: 403, code: 'AccessDenied' });
  expect(await (await fetch(`${at}/open-data/k`)).text()).toBe('free');
  expect(await (await fetch(`${at}/open-data?list-type=2`)).text()).toContain('<Key>k</Key>');
  expect(await fetchError(`${at}/open-data/k`, { method: 'PUT', body: 'x' })).toMatchObject({ status: 403 });
  expect(await fetchError(`${at}/open-data/k?response-content-type=a`)).toMatchObject({
    status: 400,
    code: 'InvalidRequest',
  });
});

test('old and foreign ways to sign are refused by name', async () => {
  const at = endpoint.s3.settings.endpoint;
  expect(await fetchError(`${at}/data/other`, { headers: { authorization: 'AWS key:sig' } })).toMatchObject({
    status: 400,
    code: 'InvalidRequest',
  });
  expect(await fetchError(`${at}/data/other?X-Amz-Algorithm=AWS4-HMAC-SHA256`)).toMatchObject({
    status: 400,
    code: 'AuthorizationQueryParametersError',
  });
});

test('the bucket may be in the host', async () => {
  const port = new URL(endpoint.s3.settings.endpoint).port;
  const client = endpoint.newClient({ endpoint: `http://s3.localhost:${port}`, forcePathStyle: false });
  const virtual = new URL(await getSignedUrl(client, command));
  expect(virtual.hostname).toBe('data.s3.localhost');
  const { request } = await import('node:http');
  const status = await new Promise((resolve, reject) => {
    request(
      { host: '127.0.0.1', port, path: virtual.pathname + virtual.search, headers: { host: virtual.host } },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    )
      .on('error', reject)
      .end();
  });
  expect(status).toBe(200);
});

test('a bucket in the host is written, listed and emptied', async () => {
  const { settings } = endpoint.s3;
  const host = `data.localhost:${new URL(settings.endpoint).port}`;
  const send = (method: string, path: string, query: [string, string][] = []) =>
    sendSigned(settings, { method, path, query, headers: { host }, body: method === 'PUT' ? 'x' : '' });
  expect((await send('PUT', '/in/host')).status).toBe(200);
  const listing: [string, string][] = [
    ['list-type', '2'],
    ['prefix', 'in/'],
  ];
  expect((await send('GET', '/', listing)).text).toContain('<Key>in/host</Key>');
  expect((await send('DELETE', '/in/host')).status).toBe(204);
  expect((await send('GET', '/', listing)).text).toContain('<KeyCount>0</KeyCount>');
});

test('URLs are signed for HEAD and DELETE, and with other headers for the answer', async () => {
  const target = { Bucket: 'data', Key: 'by-url' };
  await endpoint.s3.seedObjects('data', [{ key: target.Key, body: 'abc' }]);
  const head = await fetch(await getSignedUrl(endpoint.client, new HeadObjectCommand(target)), {
    method: 'HEAD',
  });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '3']);
  const ResponseContentDisposition = 'attachment; filename="a.csv"';
  const get = new GetObjectCommand({ ...target, ResponseContentDisposition });
  const got = await fetch(await getSignedUrl(endpoint.client, get));
  expect(got.headers.get('content-disposition')).toBe(ResponseContentDisposition);
  const url = await getSignedUrl(endpoint.client, new DeleteObjectCommand(target));
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(204);
  expect((await fetch(url.replace('DeleteObject', 'GetObject'))).status).toBe(403);
});

test('HEAD errors have no body, and every answer has a request id', async () => {
  const missing = new HeadObjectCommand({ Bucket: 'data', Key: 'missing' });
  await expect(endpoint.client.send(missing)).rejects.toMatchObject({ name: 'NotFound' });
  const response = await fetch(
    await getSignedUrl(endpoint.client, new ListObjectsV2Command({ Bucket: 'nowhere' })),
  );
  expect(response.headers.get('x-amz-request-id')).toMatch(/^[0-9A-F]{16}$/);
  expect(await readError(response)).toMatchObject({ status: 404, code: 'NoSuchBucket' });
});

test('a presigned PUT stores what is sent', async () => {
  const put = new PutObjectCommand({ Bucket: 'data', Key: 'put-by-url', ContentType: 'text/csv' });
  const client = endpoint.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  const response = await fetch(await getSignedUrl(client, put), {
    method: 'PUT',
    body: 'a,b',
    headers: { 'content-type': 'text/csv' },
  });
  expect(response.status).toBe(200);
  const got = await client.send(new GetObjectCommand({ Bucket: 'data', Key: 'put-by-url' }));
  expect([got.ContentType, await got.Body?.transformToString()]).toEqual(['text/csv', 'a,b']);
});
