import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { beginUpload, useEndpoint } from './running-endpoint.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

const create = (Key: string, extra: object = {}) => beginUpload(endpoint, Key, extra);
/** A client that brings checksums only where it is told to. */
const plainClient = () => endpoint.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' });

test('a part without the checksum that its upload is about is refused', async () => {
  const upload = await create('summed', { ChecksumAlgorithm: 'SHA256' });
  const send = (extra: object) =>
    plainClient().send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'x', ...extra }));
  await expect(send({})).rejects.toMatchObject({
    name: 'InvalidRequest',
    message: expect.stringContaining('expected checksum Type: sha256, actual checksum Type: null'),
  });
  await expect(send({ ChecksumAlgorithm: 'CRC32' })).rejects.toMatchObject({ name: 'InvalidRequest' });
  await expect(
    send({ ChecksumSHA256: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' }),
  ).rejects.toMatchObject({ name: 'BadDigest' });
  const parts = await endpoint.client.send(new ListPartsCommand(upload));
  expect(parts.Parts).toBeUndefined();
});

test('a part with a checksum that its upload is not about is refused', async () => {
  const client = plainClient();
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'unsummed' }));
  const part = { Bucket, Key: 'unsummed', UploadId, PartNumber: 1, Body: 'x' };
  await expect(
    client.send(new UploadPartCommand({ ...part, ChecksumAlgorithm: 'SHA256' })),
  ).rejects.toMatchObject({
    name: 'InvalidRequest',
    message: expect.stringContaining('expected checksum Type: null, actual checksum Type: sha256'),
  });
  await client.send(new UploadPartCommand(part));
  await expect(
    client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'unsummed', ChecksumType: 'FULL_OBJECT' })),
  ).rejects.toMatchObject({ name: 'InvalidRequest' });
});

test('a composite checksum needs that of every part, and the right one', async () => {
  const upload = await create('composite', { ChecksumAlgorithm: 'CRC32' });
  const part = await endpoint.client.send(
    new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'x', ChecksumAlgorithm: 'CRC32' }),
  );
  const complete = (extra: object, request: object = {}) =>
    endpoint.client.send(
      new CompleteMultipartUploadCommand({
        ...upload,
        ...request,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag: part.ETag, ...extra }] },
      }),
    );
  await expect(complete({})).rejects.toMatchObject({ name: 'InvalidRequest' });
  await expect(complete({ ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject({ name: 'InvalidPart' });
  const { ChecksumCRC32 } = part;
  await expect(complete({ ChecksumCRC32 }, { ChecksumType: 'FULL_OBJECT' })).rejects.toMatchObject({
    name: 'InvalidRequest',
  });
  await expect(complete({ ChecksumCRC32 }, { ChecksumCRC32: 'AAAAAA==-1' })).rejects.toMatchObject({
    name: 'BadDigest',
  });
  await expect(complete({ ChecksumCRC32 }, { MpuObjectSize: 2 })).rejects.toMatchObject({
    name: 'InvalidRequest',
  });
  const done = await complete({ ChecksumCRC32 });
  expect([done.ChecksumCRC32?.endsWith('-1'), done.ChecksumType]).toEqual([true, 'COMPOSITE']);
});

test('an upload is completed only where nothing is in its way', async () => {
  await endpoint.s3.seedObjects(Bucket, [{ key: 'taken', body: 'old' }]);
  const upload = await create('taken');
  const { ETag } = await endpoint.client.send(
    new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'new' }),
  );
  const complete = (extra: object) =>
    endpoint.client.send(
      new CompleteMultipartUploadCommand({
        ...upload,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
        ...extra,
      }),
    );
  await expect(complete({ IfNoneMatch: '*' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await expect(complete({ MultipartUpload: { Parts: [] } })).rejects.toMatchObject({ name: 'MalformedXML' });
  expect((await endpoint.client.send(new HeadObjectCommand({ Bucket, Key: 'taken' }))).ContentLength).toBe(3);
  await complete({});
});

test.each([
  [{ PartNumber: 0 }, 'InvalidArgument'],
  [{ PartNumber: 10_001 }, 'InvalidArgument'],
  [{ PartNumber: 1, UploadId: 'nonsense' }, 'NoSuchUpload'],
  [{ PartNumber: 1, Key: 'another-key' }, 'NoSuchUpload'],
])('a part with %j is %s', async (extra, name) => {
  const upload = await create('numbers');
  await expect(
    endpoint.client.send(new UploadPartCommand({ ...upload, Body: 'x', ...extra })),
  ).rejects.toMatchObject({ name });
});

test.each([
  [{ CopySourceRange: 'bytes=5-10' }, 'InvalidArgument'],
  [{ CopySourceRange: 'bytes=5-' }, 'InvalidArgument'],
  [{ CopySourceRange: 'bytes=5-4' }, 'InvalidArgument'],
  [{ CopySource: 'data/none' }, 'NoSuchKey'],
  [{ CopySource: 'data/cold' }, 'InvalidObjectState'],
  [{ CopySourceIfMatch: '"0"' }, 'PreconditionFailed'],
])('a copied part with %j is %s', async (extra, name) => {
  await endpoint.s3.seedObjects(Bucket, [{ key: 'ten', body: '0123456789' }]);
  await endpoint.client.send(
    new PutObjectCommand({ Bucket, Key: 'cold', Body: 'x', StorageClass: 'GLACIER' }),
  );
  const upload = await create('copied');
  await expect(
    endpoint.client.send(
      new UploadPartCopyCommand({ ...upload, PartNumber: 1, CopySource: 'data/ten', ...extra }),
    ),
  ).rejects.toMatchObject({ name });
});

test.each([
  [{ ChecksumAlgorithm: 'SHA256' as const, ChecksumType: 'FULL_OBJECT' as const }],
  [{ ChecksumAlgorithm: 'CRC64NVME' as const, ChecksumType: 'COMPOSITE' as const }],
])('an upload with %j is refused', async (extra) => {
  await expect(create('impossible', extra)).rejects.toMatchObject({ name: 'InvalidRequest' });
});

test('a checksum algorithm that the endpoint has not is refused by name', async () => {
  const refused = { name: 'NotImplemented', message: expect.stringContaining('SHA512') };
  await expect(create('impossible', { ChecksumAlgorithm: 'SHA512' })).rejects.toMatchObject(refused);
});
