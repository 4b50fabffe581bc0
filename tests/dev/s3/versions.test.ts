import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningEndpoint, startEndpoint } from './running-endpoint.ts';

let endpoint: RunningEndpoint;
afterAll(() => endpoint.stop());
beforeAll(async () => {
  endpoint = await startEndpoint();
});

async function versionedBucket(Bucket: string): Promise<string> {
  endpoint.s3.createBucket(Bucket);
  await setVersioning(Bucket, 'Enabled');
  return Bucket;
}
const setVersioning = (Bucket: string, Status: 'Enabled' | 'Suspended') =>
  endpoint.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
const put = async (Bucket: string, Key: string, Body: string) =>
  (await endpoint.client.send(new PutObjectCommand({ Bucket, Key, Body }))).VersionId;
const read = async (Bucket: string, Key: string, VersionId?: string) =>
  (await endpoint.client.send(new GetObjectCommand({ Bucket, Key, VersionId }))).Body?.transformToString();

test('buckets are made once, found, and removed when they are empty', async () => {
  const Bucket = 'made-here';
  const { client } = endpoint;
  await client.send(new CreateBucketCommand({ Bucket }));
  await expect(client.send(new CreateBucketCommand({ Bucket }))).rejects.toMatchObject({
    name: 'BucketAlreadyOwnedByYou',
  });
  await expect(client.send(new CreateBucketCommand({ Bucket: 'Not_Valid' }))).rejects.toMatchObject({
    name: 'InvalidBucketName',
  });
  expect((await client.send(new HeadBucketCommand({ Bucket }))).BucketRegion).toBe('us-east-1');
  expect((await client.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBeFalsy();
  await put(Bucket, 'k', 'x');
  await expect(client.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({
    name: 'BucketNotEmpty',
  });
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  await client.send(new DeleteBucketCommand({ Bucket }));
  await expect(client.send(new HeadBucketCommand({ Bucket }))).rejects.toMatchObject({
    $metadata: { httpStatusCode: 404 },
  });
});

test('every version stays readable by its id until it is deleted by its id', async () => {
  const Bucket = await versionedBucket('versioned');
  const first = await put(Bucket, 'k', '1');
  const second = await put(Bucket, 'k', '2');
  expect([await read(Bucket, 'k'), await read(Bucket, 'k', first)]).toEqual(['2', '1']);
  const marker = await endpoint.client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  expect(marker.DeleteMarker).toBe(true);
  await expect(read(Bucket, 'k')).rejects.toMatchObject({ name: 'NoSuchKey' });
  await expect(read(Bucket, 'k', marker.VersionId)).rejects.toMatchObject({ name: 'MethodNotAllowed' });
  expect((await endpoint.client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
  expect(await read(Bucket, 'k', second)).toBe('2');
  await endpoint.client.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: marker.VersionId }));
  await endpoint.client.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: second }));
  expect(await read(Bucket, 'k')).toBe('1');
  await expect(read(Bucket, 'k', second)).rejects.toMatchObject({ name: 'NoSuchVersion' });
  await expect(read(Bucket, 'k', 'nonsense')).rejects.toMatchObject({ name: 'InvalidArgument' });
  expect((await endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))).VersionId).toBe(first);
});

test('suspended versioning writes and replaces the null version only', async () => {
  const Bucket = await versionedBucket('suspended');
  const kept = await put(Bucket, 'k', 'kept');
  await setVersioning(Bucket, 'Suspended');
  expect((await endpoint.client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Suspended');
  await put(Bucket, 'k', 'null 1');
  await put(Bucket, 'k', 'null 2');
  expect([await read(Bucket, 'k'), await read(Bucket, 'k', 'null'), await read(Bucket, 'k', kept)]).toEqual([
    'null 2',
    'null 2',
    'kept',
  ]);
  await endpoint.client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  const { Versions = [], DeleteMarkers = [] } = await endpoint.client.send(
    new ListObjectVersionsCommand({ Bucket }),
  );
  expect(Versions.map((version) => version.VersionId)).toEqual([kept]);
  expect(DeleteMarkers).toMatchObject([{ VersionId: 'null', IsLatest: true }]);
});

test('pages of versions hold each once, newest first, also when the last one seen is deleted meanwhile', async () => {
  const Bucket = await versionedBucket('paged');
  const expected: string[] = [];
  for (const key of ['a', 'b', 'b/c']) {
    const ids: string[] = [];
    for (const body of ['1', '2', '3']) ids.unshift(`${key}:${await put(Bucket, key, body)}`);
    expected.push(...ids);
  }
  for (const MaxKeys of [1, 2, 4]) {
    const found: string[] = [];
    const latest: string[] = [];
    let KeyMarker: string | undefined;
    let VersionIdMarker: string | undefined;
    do {
      const page = await endpoint.client.send(
        new ListObjectVersionsCommand({ Bucket, MaxKeys, KeyMarker, VersionIdMarker }),
      );
      for (const version of page.Versions ?? []) {
        found.push(`${version.Key}:${version.VersionId}`);
        if (version.IsLatest === true) latest.push(version.Key ?? '');
      }
      KeyMarker = page.NextKeyMarker;
      VersionIdMarker = page.NextVersionIdMarker;
    } while (KeyMarker !== undefined);
    expect(found).toEqual(expected);
    expect(latest).toEqual(['a', 'b', 'b/c']);
  }
  const page = await endpoint.client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 2 }));
  await endpoint.client.send(
    new DeleteObjectCommand({ Bucket, Key: 'a', VersionId: page.NextVersionIdMarker }),
  );
  const next = await endpoint.client.send(
    new ListObjectVersionsCommand({
      Bucket,
      MaxKeys: 1,
      KeyMarker: page.NextKeyMarker,
      VersionIdMarker: page.NextVersionIdMarker,
    }),
  );
  expect(`${next.Versions?.[0]?.Key}:${next.Versions?.[0]?.VersionId}`).toBe(expected[2]);
});
