import {
  CreateMultipartUploadCommand,
  DeleteBucketTaggingCommand,
  DeleteObjectTaggingCommand,
  GetBucketTaggingCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type Tag,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { useEndpoint } from './running-endpoint.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

const put = (Key: string, Tagging?: string) =>
  endpoint.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', Tagging }));
const setTags = (Key: string, TagSet: Tag[]) =>
  endpoint.client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }));
const tagsOf = async (Key: string, VersionId?: string) =>
  (await endpoint.client.send(new GetObjectTaggingCommand({ Bucket, Key, VersionId }))).TagSet;
const manyTags = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ Key: `k${index}`, Value: '' }));

test('tags come with an upload as a query string has them', async () => {
  await put('tagged', 'project=a%20b+c&%C3%BC%2F=1%2B1%3D2&empty=');
  expect(await tagsOf('tagged')).toEqual([
    { Key: 'project', Value: 'a b c' },
    { Key: 'ü/', Value: '1+1=2' },
    { Key: 'empty', Value: '' },
  ]);
});

test('tags are counted, replaced and removed, and leave the object as it is', async () => {
  await put('counted', 'a=1&b=2');
  const before = await endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'counted' }));
  expect((await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'counted' }))).TagCount).toBe(2);
  await setTags('counted', [{ Key: 'c', Value: 'x'.repeat(256) }]);
  expect(await tagsOf('counted')).toEqual([{ Key: 'c', Value: 'x'.repeat(256) }]);
  await endpoint.client.send(new DeleteObjectTaggingCommand({ Bucket, Key: 'counted' }));
  expect(await tagsOf('counted')).toEqual([]);
  const after = await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'counted' }));
  expect([after.TagCount, after.ETag, after.LastModified]).toEqual([
    undefined,
    before.ETag,
    before.LastModified,
  ]);
});

test.each([
  ['eleven tags', manyTags(11), 'BadRequest'],
  ['a key twice', [...manyTags(1), ...manyTags(1)], 'InvalidTag'],
  ['a key of 129 characters', [{ Key: 'k'.repeat(129), Value: '' }], 'InvalidTag'],
  ['a value of 257 characters', [{ Key: 'k', Value: 'v'.repeat(257) }], 'InvalidTag'],
  ['a character that tags can not have', [{ Key: 'k', Value: '{' }], 'InvalidTag'],
  ['a key of AWS', [{ Key: 'aws:k', Value: '' }], 'InvalidTag'],
])('%s are refused and change nothing', async (_name, tags, name) => {
  await put('kept', 'old=1');
  await expect(setTags('kept', tags)).rejects.toMatchObject({ name, $metadata: { httpStatusCode: 400 } });
  expect(await tagsOf('kept')).toEqual([{ Key: 'old', Value: '1' }]);
});

test.each([
  ['a=1&a=2', 'InvalidArgument'],
  ['a=1=2', 'InvalidArgument'],
  ['a=%zz', 'InvalidArgument'],
  ['=', 'InvalidArgument'],
  [
    manyTags(11)
      .map(({ Key }) => `${Key}=`)
      .join('&'),
    'BadRequest',
  ],
  [`${'k'.repeat(129)}=`, 'InvalidTag'],
])('an upload with the tags %s is refused', async (tagging, name) => {
  await expect(put('refused', tagging)).rejects.toMatchObject({ name });
  await expect(
    endpoint.client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'refused', Tagging: tagging })),
  ).rejects.toMatchObject({ name });
  await expect(tagsOf('refused')).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test('each version has tags of its own', async () => {
  const versioned = { Bucket: 'tag-versions' };
  endpoint.s3.createBucket(versioned.Bucket);
  const VersioningConfiguration = { Status: 'Enabled' as const };
  await endpoint.client.send(new PutBucketVersioningCommand({ ...versioned, VersioningConfiguration }));
  const write = async (Tagging: string) =>
    (await endpoint.client.send(new PutObjectCommand({ ...versioned, Key: 'k', Body: 'x', Tagging })))
      .VersionId;
  const [first, second] = [await write('n=1'), await write('n=2')];
  const Tagging = { TagSet: [{ Key: 'n', Value: 'one' }] };
  const set = await endpoint.client.send(
    new PutObjectTaggingCommand({ ...versioned, Key: 'k', VersionId: first, Tagging }),
  );
  expect(set.VersionId).toBe(first);
  const read = (VersionId?: string) =>
    endpoint.client.send(new GetObjectTaggingCommand({ ...versioned, Key: 'k', VersionId }));
  expect(await read(first)).toMatchObject({ VersionId: first, TagSet: [{ Key: 'n', Value: 'one' }] });
  expect(await read()).toMatchObject({ VersionId: second, TagSet: [{ Key: 'n', Value: '2' }] });
});

test('buckets have tags, too', async () => {
  const { client } = endpoint;
  const read = async () => (await client.send(new GetBucketTaggingCommand({ Bucket }))).TagSet;
  const none = { name: 'NoSuchTagSet', $metadata: { httpStatusCode: 404 } };
  await expect(read()).rejects.toMatchObject(none);
  const set = (TagSet: Tag[]) => client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
  await set(manyTags(50));
  expect(await read()).toEqual(manyTags(50));
  await expect(set(manyTags(51))).rejects.toMatchObject({ name: 'BadRequest' });
  await client.send(new DeleteBucketTaggingCommand({ Bucket }));
  await expect(read()).rejects.toMatchObject(none);
});
