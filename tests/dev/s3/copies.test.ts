import { createHash } from 'node:crypto';
import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { useEndpoint } from './running-endpoint.ts';

const Bucket = 'data';
const endpoint = useEndpoint({ buckets: [Bucket, 'other', 'versioned'] });

const put = (Key: string, Body: string, extra: object = {}) =>
  endpoint.client.send(new PutObjectCommand({ Bucket, Key, Body, ...extra }));
const copy = (CopySource: string, Key: string, extra: Partial<CopyObjectCommandInput> = {}) =>
  endpoint.client.send(new CopyObjectCommand({ Bucket, Key, CopySource, ...extra }));
const head = (Key: string, extra: object = {}) =>
  endpoint.client.send(new HeadObjectCommand({ Bucket, Key, ...extra }));
const tagsOf = async (Key: string) =>
  (await endpoint.client.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;

test('a copy carries what was said about the source, with all of its tags', async () => {
  await put('source ü', 'copied', { ContentType: 'text/csv', Metadata: { a: '1' }, Tagging: 't=1' });
  const { CopyObjectResult } = await copy(`data/${encodeURIComponent('source ü')}`, 'copy');
  const { ETag } = await head('source ü');
  expect(CopyObjectResult?.ETag).toBe(ETag);
  expect(await head('copy')).toMatchObject({
    ContentType: 'text/csv',
    Metadata: { a: '1' },
    ContentLength: 6,
  });
  expect(await tagsOf('copy')).toEqual([{ Key: 't', Value: '1' }]);
});

test('a copy replaces metadata, tags and storage class only where it is told to', async () => {
  await put('from', 'x', { ContentType: 'text/csv', Metadata: { a: '1' }, Tagging: 't=1' });
  await copy('data/from', 'to', { Metadata: { b: '2' }, Tagging: 't=2', StorageClass: 'STANDARD_IA' });
  expect(await head('to')).toMatchObject({
    ContentType: 'text/csv',
    Metadata: { a: '1' },
    StorageClass: 'STANDARD_IA',
  });
  expect(await tagsOf('to')).toEqual([{ Key: 't', Value: '1' }]);
  await copy('data/from', 'to', { Metadata: { b: '2' }, MetadataDirective: 'REPLACE' });
  expect(await head('to')).toMatchObject({ ContentType: 'binary/octet-stream', Metadata: { b: '2' } });
  expect(await tagsOf('to')).toEqual([{ Key: 't', Value: '1' }]);
  await copy('data/from', 'to', { Tagging: 't=2', TaggingDirective: 'REPLACE' });
  expect([(await head('to')).Metadata, await tagsOf('to')]).toEqual([{ a: '1' }, [{ Key: 't', Value: '2' }]]);
  // A copy may ask for another checksum than its source has.
  const { CopyObjectResult } = await copy('data/from', 'to', { ChecksumAlgorithm: 'SHA256' });
  expect(CopyObjectResult?.ChecksumSHA256).toBe(createHash('sha256').update('x').digest('base64'));
});

test('a plus in the name of a source is a space, as in a form, unless it is encoded', async () => {
  await put('a b', 'space');
  await put('a+b', 'plus');
  await copy('data/a+b', 'of-plus');
  await copy('data/a%2Bb', 'of-encoded-plus');
  const read = async (Key: string) =>
    (await endpoint.client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString();
  expect([await read('of-plus'), await read('of-encoded-plus')]).toEqual(['space', 'plus']);
});

test.each([{ MetadataDirective: 'KEEP' }, { TaggingDirective: 'KEEP' }])('%j is refused', async (extra) => {
  await put('directed', 'x');
  const wrong = extra as Partial<CopyObjectCommandInput>;
  await expect(copy('data/directed', 'to', wrong)).rejects.toMatchObject({ name: 'InvalidArgument' });
});

test('an object is copied onto itself only with a change', async () => {
  await put('self', 'x', { Metadata: { a: '1' } });
  await expect(copy('data/self', 'self')).rejects.toMatchObject({ name: 'InvalidRequest' });
  await copy('data/self', 'self', { MetadataDirective: 'REPLACE', Metadata: { b: '2' } });
  expect((await head('self')).Metadata).toEqual({ b: '2' });
  await copy('data/self', 'self', { StorageClass: 'STANDARD_IA' });
  expect((await head('self')).StorageClass).toBe('STANDARD_IA');
  await copy('data/self', 'self', { ServerSideEncryption: 'AES256' });
});

test('a copy obeys the conditions on its source and on its target', async () => {
  const { ETag = '' } = await put('cond', 'x');
  const past = new Date(Date.now() - 60_000);
  const future = new Date(Date.now() + 60_000);
  for (const extra of [
    { CopySourceIfMatch: '"0"' },
    { CopySourceIfNoneMatch: ETag },
    { CopySourceIfModifiedSince: future },
    { CopySourceIfUnmodifiedSince: past },
    { IfNoneMatch: '*' },
    { IfMatch: '"0"' },
  ]) {
    await put('target', 'there');
    await expect(copy('data/cond', 'target', extra), JSON.stringify(extra)).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
  }
  await copy('data/cond', 'target', { CopySourceIfMatch: ETag, CopySourceIfUnmodifiedSince: past });
  await copy('data/cond', 'fresh', { CopySourceIfNoneMatch: '"0"', IfNoneMatch: '*' });
});

test('copies between buckets, of a version, and back over what replaced it', async () => {
  const versioned = 'versioned';
  await endpoint.client.send(
    new PutBucketVersioningCommand({ Bucket: versioned, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  const write = async (Body: string) => (await put('k', Body, { Bucket: versioned })).VersionId ?? '';
  const [first, second] = [await write('1'), await write('2')];
  const read = async (bucket: string) =>
    (
      await endpoint.client.send(new GetObjectCommand({ Bucket: bucket, Key: 'k' }))
    ).Body?.transformToString();
  const copied = await copy(`versioned/k?versionId=${first}`, 'k', { Bucket: 'other' });
  expect([copied.CopySourceVersionId, copied.VersionId, await read('other')]).toEqual([
    first,
    undefined,
    '1',
  ]);
  const onto = (id: string) => copy(`versioned/k?versionId=${id}`, 'k', { Bucket: versioned });
  await expect(onto(second)).rejects.toMatchObject({ name: 'InvalidRequest' });
  const restored = await onto(first);
  expect([await read(versioned), [first, second].includes(restored.VersionId ?? first)]).toEqual([
    '1',
    false,
  ]);
});

test.each([
  ['data/none', 'NoSuchKey'],
  ['no-such-bucket/k', 'NoSuchBucket'],
  ['data', 'InvalidArgument'],
  ['data/from?versionId=nonsense', 'InvalidArgument'],
  ['data/cold', 'InvalidObjectState'],
])('a copy of %s is %s', async (source, name) => {
  await put('cold', 'x', { StorageClass: 'DEEP_ARCHIVE' });
  await expect(copy(source, 'target')).rejects.toMatchObject({ name });
});
