import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  SelectObjectContentCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { expect, test } from 'vitest';
import { readError, useEndpoint } from './running-endpoint.ts';
import { sendSigned } from './signed-request.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

async function readText(Key: string, extra: object = {}): Promise<string | undefined> {
  const got = await endpoint.client.send(new GetObjectCommand({ Bucket, Key, ...extra }));
  return got.Body?.transformToString();
}

const put = (Key: string, Body: string | Buffer, extra: object = {}) =>
  endpoint.client.send(new PutObjectCommand({ Bucket, Key, Body, ...extra }));

test.each([
  './dot',
  '../up',
  'a//b',
  '/lead',
  'file',
  'file/',
  'file/x',
  'new\nline\r',
  'q?#%25 +',
  '日本/😀',
  'x'.repeat(1024),
  'a/../b',
])('key %j holds its own object', async (key) => {
  await put(key, `body of ${key}`);
  expect(await readText(key)).toBe(`body of ${key}`);
});

test('a key of more than 1,024 bytes is refused', async () => {
  await expect(put('ü'.repeat(513), 'x')).rejects.toMatchObject({ name: 'KeyTooLongError' });
});

test('an object comes back with all that was said about it', async () => {
  const Metadata = { colour: 'blue', 'two-words': 'a  b' };
  const written = await put('described', 'abc', {
    ContentType: 'text/csv',
    ContentEncoding: 'gzip',
    CacheControl: 'no-store',
    Metadata,
  });
  expect(written.ETag).toBe(`"${createHash('md5').update('abc').digest('hex')}"`);
  const head = await endpoint.client.send(
    new HeadObjectCommand({ Bucket, Key: 'described', ChecksumMode: 'ENABLED' }),
  );
  expect(head).toMatchObject({
    ContentLength: 3,
    ContentType: 'text/csv',
    ContentEncoding: 'gzip',
    CacheControl: 'no-store',
    Metadata,
    ETag: written.ETag,
    ChecksumCRC32: 'NSRBwg==',
    ChecksumType: 'FULL_OBJECT',
  });
  const overridden = await endpoint.client.send(
    new GetObjectCommand({ Bucket, Key: 'described', ResponseContentType: 'a/b' }),
  );
  expect(overridden.ContentType).toBe('a/b');
});

test.each([
  ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
  ['bytes=7-', 206, '789', 'bytes 7-9/10'],
  ['bytes=-2', 206, '89', 'bytes 8-9/10'],
  ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
  ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
  ['bytes=5-4', 200, '0123456789', null],
  ['bytes=0-1,3-4', 200, '0123456789', null],
  ['bytes=10-', 416, 'InvalidRange', 'bytes */10'],
  ['bytes=-0', 416, 'InvalidRange', 'bytes */10'],
])('range %s is answered with %i', async (Range, status, expected, contentRange) => {
  await put('digits', '0123456789');
  const url = await getSignedUrl(endpoint.client, new GetObjectCommand({ Bucket, Key: 'digits' }));
  const response = await fetch(url, { headers: { range: Range } });
  expect([response.status, response.headers.get('content-range')]).toEqual([status, contentRange]);
  const { code, text } = await readError(response);
  expect(code ?? text).toBe(expected);
});

test('conditions on reads', async () => {
  const { ETag = '' } = await put('conditional', 'x');
  const past = new Date(Date.now() - 60_000);
  const future = new Date(Date.now() + 60_000);
  const status = async (extra: object) => {
    try {
      return (await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'conditional', ...extra })))
        .$metadata.httpStatusCode;
    } catch (error) {
      return (error as { $metadata: { httpStatusCode: number } }).$metadata.httpStatusCode;
    }
  };
  expect(await status({ IfMatch: ETag })).toBe(200);
  expect(await status({ IfMatch: '"0"' })).toBe(412);
  expect(await status({ IfNoneMatch: ETag })).toBe(304);
  expect(await status({ IfNoneMatch: '"0"', IfModifiedSince: future })).toBe(200);
  expect(await status({ IfModifiedSince: future })).toBe(304);
  expect(await status({ IfModifiedSince: past })).toBe(200);
  expect(await status({ IfUnmodifiedSince: past })).toBe(412);
  expect(await status({ IfMatch: ETag, IfUnmodifiedSince: past })).toBe(200);
});

test.each([
  ['ChecksumCRC32', 'AAAAAA==', 'BadDigest'],
  ['ChecksumCRC32C', 'AAAAAA==', 'BadDigest'],
  ['ChecksumCRC64NVME', 'AAAAAAAAAAA=', 'BadDigest'],
  ['ChecksumSHA1', 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'BadDigest'],
  ['ChecksumSHA256', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'BadDigest'],
  ['ChecksumCRC32', 'AAA=', 'InvalidRequest'],
  ['ContentMD5', 'AAAAAAAAAAAAAAAAAAAAAA==', 'BadDigest'],
  ['ContentMD5', 'nonsense', 'InvalidDigest'],
])('a wrong %s (%s) is %s and changes nothing', async (name, value, code) => {
  await put('kept', 'old');
  await expect(put('kept', 'new', { [name]: value })).rejects.toMatchObject({
    name: code,
    $metadata: { httpStatusCode: 400 },
  });
  expect(await readText('kept')).toBe('old');
});

test('a body that is not the signed one is refused and not stored', async () => {
  const client = endpoint.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  client.middlewareStack.add(
    (next) => (args) => {
      Object.assign(args.request as object, { body: Buffer.from('nope!') });
      return next(args);
    },
    { step: 'deserialize', priority: 'low' },
  );
  const tampered = client.send(new PutObjectCommand({ Bucket, Key: 'tampered', Body: 'yes!!' }));
  await expect(tampered).rejects.toMatchObject({ name: 'XAmzContentSHA256Mismatch' });
  await expect(readText('tampered')).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test('a PUT of unknown length is refused as a transfer encoding that S3 has not', async () => {
  const client = endpoint.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: 'no-length' }));
  const body = Readable.toWeb(Readable.from(['abc'])) as ReadableStream;
  const response = await fetch(url, { method: 'PUT', body, duplex: 'half' } as RequestInit);
  expect(await readError(response)).toMatchObject({ status: 501, code: 'NotImplemented' });
});

test('conditional writes', async () => {
  await put('once', '1', { IfNoneMatch: '*' });
  await expect(put('once', '2', { IfNoneMatch: '*' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await expect(put('once', '2', { IfMatch: '"0"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  const writes = Array.from({ length: 10 }, (_, index) => put('raced', `${index}`, { IfNoneMatch: '*' }));
  const results = await Promise.allSettled(writes);
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
});

test('a reader of the old object ends with the old bytes', async () => {
  const old = randomBytes(8 * 1024 * 1024);
  await put('replaced', old);
  const got = await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'replaced' }));
  await put('replaced', 'new');
  expect(old.equals(Buffer.from((await got.Body?.transformToByteArray()) ?? []))).toBe(true);
  expect(await readText('replaced')).toBe('new');
});

test('concurrent writes leave one of the bodies, whole', async () => {
  const bodies = Array.from({ length: 12 }, (_, index) => Buffer.alloc(200_000, index + 1));
  await Promise.all(bodies.map((body) => put('contended', body)));
  const got = Buffer.from(
    (await (
      await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'contended' }))
    ).Body?.transformToByteArray()) ?? [],
  );
  expect(bodies.some((body) => body.equals(got))).toBe(true);
});

test('an upload that breaks off stores nothing', async () => {
  const client = endpoint.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: 'cut-off' }));
  await new Promise<void>((resolve) => {
    const upload = request(url, { method: 'PUT', headers: { 'content-length': 100_000 } });
    upload.on('error', () => resolve());
    upload.write(Buffer.alloc(50_000), () => setTimeout(() => upload.destroy(new Error('cut')), 30));
  });
  await expect(readText('cut-off')).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test('archived objects are listed and described but not read', async () => {
  await put('cold', 'x', { StorageClass: 'GLACIER' });
  expect((await endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'cold' }))).StorageClass).toBe(
    'GLACIER',
  );
  await expect(readText('cold')).rejects.toMatchObject({ name: 'InvalidObjectState' });
});

test('what is not supported is refused by name', async () => {
  const select = new SelectObjectContentCommand({
    Bucket,
    Key: 'x',
    Expression: 'SELECT * FROM S3Object',
    ExpressionType: 'SQL',
    InputSerialization: { CSV: {} },
    OutputSerialization: { CSV: {} },
  });
  await expect(endpoint.client.send(select)).rejects.toMatchObject({
    name: 'NotImplemented',
    message: expect.stringContaining('SelectObjectContent'),
  });
  await expect(put('x', 'x', { WebsiteRedirectLocation: '/y' })).rejects.toMatchObject({
    message: expect.stringContaining('x-amz-website-redirect-location'),
  });
  await expect(put('x', 'x', { ServerSideEncryption: 'aws:kms' })).rejects.toMatchObject({
    name: 'NotImplemented',
  });
  await expect(readText('x')).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test('user metadata of 2 KB is kept, a byte more is refused', async () => {
  const Metadata = { a: 'x'.repeat(1023), b: 'y'.repeat(1023) };
  await put('full', 'x', { Metadata });
  const head = () => endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'full' }));
  expect((await head()).Metadata).toEqual(Metadata);
  const more = { ...Metadata, b: 'y'.repeat(1024) };
  await expect(put('full', 'x', { Metadata: more })).rejects.toMatchObject({
    name: 'MetadataTooLarge',
    $metadata: { httpStatusCode: 400 },
  });
});

test('metadata that is not ASCII comes back as the documentation of S3 shows it', async () => {
  const response = await sendSigned(endpoint.s3.settings, {
    method: 'PUT',
    path: '/data/umlauts',
    headers: { 'x-amz-meta-nonascii': Buffer.from('ÄMÄZÕÑ S3').toString('latin1') },
    body: 'x',
  });
  expect(response.status).toBe(200);
  const { Metadata } = await endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'umlauts' }));
  expect(Metadata).toEqual({ nonascii: '=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=' });
});

test('more than 8 KB of headers are refused', async () => {
  const Metadata = Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [`m${index}`, 'x'.repeat(1000)]),
  );
  await expect(put('headers', 'x', { Metadata })).rejects.toMatchObject({
    name: 'RequestHeaderSectionTooLarge',
    $metadata: { httpStatusCode: 400 },
  });
});

test('the only part of an object that came in one piece is all of it, as a range', async () => {
  await put('one-piece', '0123456789');
  const part = (PartNumber: number) =>
    endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'one-piece', PartNumber }));
  const first = await part(1);
  expect(first).toMatchObject({ ContentRange: 'bytes 0-9/10', $metadata: { httpStatusCode: 206 } });
  expect([first.PartsCount, await first.Body?.transformToString()]).toEqual([undefined, '0123456789']);
  await expect(part(2)).rejects.toMatchObject({ name: 'InvalidPartNumber' });
});
