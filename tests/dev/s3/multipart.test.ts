import { createHash, randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { beginUpload, useEndpoint } from './running-endpoint.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

const create = (Key: string, extra: object = {}) => beginUpload(endpoint, Key, extra);

test.each([{}, { ChecksumAlgorithm: 'SHA256' as const }, { ChecksumAlgorithm: 'CRC32' as const }])(
  'parts make one object, with %j',
  async (extra) => {
    const first = randomBytes(5 * 1024 * 1024);
    const second = Buffer.from('the end');
    const whole = Buffer.concat([first, second]);
    const upload = await create('parts', { ContentType: 'text/csv', ...extra });
    // The SDK brings a CRC32 with each part unless it is told otherwise; an upload that chose nothing takes it.
    const send = (PartNumber: number, Body: Buffer) =>
      endpoint.client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ...extra }));
    const [two, one] = [await send(2, second), await send(1, first)];
    const Parts = [
      { ...one, PartNumber: 1 },
      { ...two, PartNumber: 2 },
    ];
    const complete = (parts: object[]) =>
      endpoint.client.send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }),
      );
    await expect(complete(Parts.toReversed())).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete([{ PartNumber: 1, ETag: '"0"' }])).rejects.toMatchObject({ name: 'InvalidPart' });
    await expect(
      endpoint.client.send(new HeadObjectCommand({ Bucket, Key: `parts-${upload.UploadId}` })),
    ).rejects.toMatchObject({ name: 'NotFound' });
    const { ETag } = await complete(Parts);
    const md5s = [first, second].map((part) => createHash('md5').update(part).digest());
    expect(ETag).toBe(`"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-2"`);
    const got = await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'parts' }));
    expect(whole.equals(Buffer.from((await got.Body?.transformToByteArray()) ?? []))).toBe(true);
    const across = await endpoint.client.send(
      new GetObjectCommand({ Bucket, Key: 'parts', Range: `bytes=${first.length - 2}-${first.length + 1}` }),
    );
    expect(
      Buffer.from((await across.Body?.transformToByteArray()) ?? []).equals(
        whole.subarray(first.length - 2, first.length + 2),
      ),
    ).toBe(true);
    const part = await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'parts', PartNumber: 2 }));
    expect([part.PartsCount, await part.Body?.transformToString()]).toEqual([2, 'the end']);
    const head = (PartNumber: number) =>
      endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'parts', PartNumber }));
    expect(await head(1)).toMatchObject({
      ContentLength: first.length,
      PartsCount: 2,
      ETag,
      ContentRange: `bytes 0-${first.length - 1}/${whole.length}`,
      $metadata: { httpStatusCode: 206 },
    });
    await expect(head(3)).rejects.toMatchObject({ $metadata: { httpStatusCode: 416 } });
    await expect(complete(Parts)).rejects.toMatchObject({ name: 'NoSuchUpload' });
  },
);

describe('an object that was uploaded in parts is dated by the start of its upload', () => {
  let fastByMs = 0;
  const clock = () => new Date(Date.now() + fastByMs);
  const dated = useEndpoint({ buckets: [Bucket, 'versioned'], clock });
  const complete = async (upload: Awaited<ReturnType<typeof beginUpload>>, Body: string) => {
    const { ETag } = await dated.client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body }));
    const Parts = [{ PartNumber: 1, ETag }];
    return dated.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  };

  test('although nobody could see it then', async () => {
    const upload = await beginUpload(dated, 'dated');
    // Less than a signature may be off.
    fastByMs = 600_000;
    await complete(upload, 'x');
    await dated.client.send(new PutObjectCommand({ Bucket, Key: 'put', Body: 'x' }));
    const modified = async (Key: string) =>
      (await dated.client.send(new HeadObjectCommand({ Bucket, Key }))).LastModified?.getTime() ?? 0;
    expect((await modified('put')) - (await modified('dated'))).toBeGreaterThanOrEqual(fastByMs);
    const { Contents } = await dated.client.send(new ListObjectsV2Command({ Bucket, Prefix: 'dated' }));
    expect(Contents?.[0]?.LastModified?.getTime()).toBe(await modified('dated'));
  });

  test('and with versions, what was begun last is current, whatever ends last', async () => {
    const VersioningConfiguration = { Status: 'Enabled' as const };
    await dated.client.send(new PutBucketVersioningCommand({ Bucket: 'versioned', VersioningConfiguration }));
    const of = { Bucket: 'versioned', Key: 'k' };
    const [first, second] = [
      await beginUpload(dated, 'k', { Bucket: 'versioned' }),
      await beginUpload(dated, 'k', { Bucket: 'versioned' }),
    ];
    const { VersionId: newer } = await complete(second, 'second');
    const { VersionId: older } = await complete(first, 'first');
    const got = await dated.client.send(new GetObjectCommand(of));
    expect([got.VersionId, await got.Body?.transformToString()]).toEqual([newer, 'second']);
    const { Versions } = await dated.client.send(new ListObjectVersionsCommand({ Bucket: 'versioned' }));
    expect(Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [newer, true],
      [older, false],
    ]);
    const third = await beginUpload(dated, 'k', { Bucket: 'versioned' });
    await dated.client.send(new DeleteObjectCommand(of));
    await complete(third, 'third');
    await expect(dated.client.send(new GetObjectCommand(of))).rejects.toMatchObject({ name: 'NoSuchKey' });
  });
});

test('small parts in the middle are refused, and an aborted upload is gone', async () => {
  const upload = await create('small');
  const Parts = [];
  for (const PartNumber of [1, 2]) {
    const { ETag } = await endpoint.client.send(
      new UploadPartCommand({ ...upload, PartNumber, Body: 'tiny' }),
    );
    Parts.push({ PartNumber, ETag });
  }
  const complete = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } });
  await expect(endpoint.client.send(complete)).rejects.toMatchObject({ name: 'EntityTooSmall' });
  await endpoint.client.send(new AbortMultipartUploadCommand(upload));
  await expect(endpoint.client.send(complete)).rejects.toMatchObject({ name: 'NoSuchUpload' });
});

test('a part may be a range of another object', async () => {
  await endpoint.s3.seedObjects(Bucket, [{ key: 'source', body: '0123456789' }]);
  const upload = await create('copied');
  const { CopyPartResult } = await endpoint.client.send(
    new UploadPartCopyCommand({
      ...upload,
      PartNumber: 1,
      CopySource: 'data/source',
      CopySourceRange: 'bytes=3-5',
    }),
  );
  const Parts = [{ PartNumber: 1, ETag: CopyPartResult?.ETag }];
  await endpoint.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  const got = await endpoint.client.send(new GetObjectCommand({ Bucket, Key: 'copied' }));
  expect(await got.Body?.transformToString()).toBe('345');
});
