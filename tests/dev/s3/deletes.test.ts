import { crc32 } from 'node:zlib';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { listEverything } from './list-everything.ts';
import { useEndpoint } from './running-endpoint.ts';
import { sendSigned } from './signed-request.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

const put = (Key: string, extra: object = {}) =>
  endpoint.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...extra }));
const deleteMany = (Objects: { Key: string; VersionId?: string | undefined }[], extra: object = {}) =>
  endpoint.client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects }, ...extra }));
const deletion = (objects: string) => `<Delete>${objects}</Delete>`;

test('an object that is not there is deleted like one that is', async () => {
  await put('gone');
  for (let run = 0; run < 2; run += 1) {
    const { $metadata } = await endpoint.client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
    expect($metadata.httpStatusCode).toBe(204);
  }
});

test('a thousand keys of any kind are deleted at once, and told one by one unless quiet', async () => {
  const keys = Array.from({ length: 1000 }, (_, index) => `many/\n&<${index}>`);
  await endpoint.s3.seedObjects(
    Bucket,
    keys.map((key) => ({ key, body: '' })),
  );
  const objects = keys.map((Key) => ({ Key }));
  const { Deleted, Errors } = await deleteMany(objects);
  expect([Deleted?.map(({ Key }) => Key), Errors]).toEqual([keys, undefined]);
  expect((await listEverything(endpoint.client, Bucket)).size).toBe(0);
  const quiet = await deleteMany([], { Delete: { Objects: objects, Quiet: true } });
  expect(quiet.Deleted).toBeUndefined();
  await expect(deleteMany([...objects, { Key: 'one more' }])).rejects.toMatchObject({ name: 'MalformedXML' });
});

test('one key that is refused does not save the others', async () => {
  await put('deleted');
  const { Deleted, Errors } = await deleteMany([{ Key: 'x'.repeat(1025) }, { Key: 'deleted' }]);
  expect(Deleted).toEqual([{ Key: 'deleted' }]);
  expect(Errors).toMatchObject([{ Code: 'KeyTooLongError' }]);
});

test.each([
  ['not XML at all', 'x-amz-checksum-crc32', 'MalformedXML'],
  [deletion(''), 'x-amz-checksum-crc32', 'MalformedXML'],
  [deletion('<Object><Key></Key></Object>'), 'x-amz-checksum-crc32', 'MalformedXML'],
  [deletion('<Object><Key>a\u0001</Key></Object>'), 'x-amz-checksum-crc32', 'MalformedXML'],
  [deletion('<Object><Key>a&#x1;</Key></Object>'), 'x-amz-checksum-crc32', 'MalformedXML'],
  [deletion('<Object><Key>a&#xD800;</Key></Object>'), 'x-amz-checksum-crc32', 'MalformedXML'],
  [deletion('<Object><Key>k</Key></Object>'), null, 'InvalidRequest'],
])('the list %j with the checksum %s is %s', async (body, checksum, code) => {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(body));
  const { status, text } = await sendSigned(endpoint.s3.settings, {
    method: 'POST',
    path: '/data',
    query: [['delete', '']],
    headers: checksum === null ? {} : { [checksum]: value.toString('base64') },
    body,
  });
  expect([status, /<Code>(.*?)<\/Code>/.exec(text)?.[1]]).toEqual([400, code]);
});

test('with versions, keys get delete markers and versions are gone', async () => {
  const bucket = { Bucket: 'versioned' };
  endpoint.s3.createBucket(bucket.Bucket);
  const VersioningConfiguration = { Status: 'Enabled' as const };
  await endpoint.client.send(new PutBucketVersioningCommand({ ...bucket, VersioningConfiguration }));
  const { VersionId } = await put('k', bucket);
  const first = await deleteMany([{ Key: 'k' }], bucket);
  const DeleteMarkerVersionId = first.Deleted?.[0]?.DeleteMarkerVersionId;
  expect(first.Deleted).toEqual([{ Key: 'k', DeleteMarker: true, DeleteMarkerVersionId }]);
  const hidden = await sendSigned(endpoint.s3.settings, { method: 'GET', path: '/versioned/k' });
  expect([hidden.status, hidden.headers['x-amz-delete-marker'], hidden.headers['x-amz-version-id']]).toEqual([
    404,
    'true',
    DeleteMarkerVersionId,
  ]);
  await deleteMany([{ Key: 'k', VersionId: DeleteMarkerVersionId }], bucket);
  expect((await endpoint.client.send(new GetObjectCommand({ ...bucket, Key: 'k' }))).VersionId).toBe(
    VersionId,
  );
  await deleteMany([{ Key: 'k', VersionId }], bucket);
  const { Versions, DeleteMarkers } = await endpoint.client.send(new ListObjectVersionsCommand(bucket));
  expect([Versions, DeleteMarkers]).toEqual([undefined, undefined]);
});

test('a delete obeys If-Match', async () => {
  const { ETag } = await put('conditional');
  const remove = (IfMatch: string | undefined) =>
    endpoint.client.send(new DeleteObjectCommand({ Bucket, Key: 'conditional', IfMatch }));
  await expect(remove('"0"')).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await remove(ETag);
});
