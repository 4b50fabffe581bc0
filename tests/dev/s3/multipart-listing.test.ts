import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  GetObjectAttributesCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { beginUpload, useEndpoint } from './running-endpoint.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

const create = (Key: string, extra: object = {}) => beginUpload(endpoint, Key, extra);

/** Follows a listing of uploads to its end. */
async function listUploads(input: Partial<ListMultipartUploadsCommandInput>) {
  const uploads: string[] = [];
  const prefixes: string[] = [];
  let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  for (;;) {
    const page = await endpoint.client.send(
      new ListMultipartUploadsCommand({ Bucket, ...input, ...markers }),
    );
    uploads.push(...(page.Uploads ?? []).map((upload) => `${upload.Key} ${upload.UploadId}`));
    prefixes.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix));
    if (page.IsTruncated !== true) return { uploads, prefixes };
    markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
}

test('uploads under way are listed by key and then by time, in pages of any size', async () => {
  const begun: { Key: string; UploadId: string | undefined }[] = [];
  for (const Key of ['m/b', 'm/a', 'm/a', 'm/c/1', 'm/a', 'm/c/2', 'm/ü']) begun.push(await create(Key));
  const expected = begun
    .map((upload, index) => ({ ...upload, index }))
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.Key), Buffer.from(b.Key)) || a.index - b.index)
    .map(({ Key, UploadId }) => `${Key} ${UploadId}`);
  for (const MaxUploads of [1, 2, 3, 1000]) {
    expect((await listUploads({ Prefix: 'm/', MaxUploads })).uploads).toEqual(expected);
    const rolled = await listUploads({ Prefix: 'm/', Delimiter: '/', MaxUploads, EncodingType: 'url' });
    expect(rolled.prefixes).toEqual(['m/c/']);
    expect(rolled.uploads).toHaveLength(5);
  }
  for (const upload of begun)
    await endpoint.client.send(new AbortMultipartUploadCommand({ Bucket, ...upload }));
  expect((await listUploads({ Prefix: 'm/' })).uploads).toEqual([]);
});

test('parts are listed by number, in pages, with what was sent last', async () => {
  const upload = await create('parted', { ChecksumAlgorithm: 'CRC32', StorageClass: 'STANDARD_IA' });
  const send = (PartNumber: number, Body: string) =>
    endpoint.client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ChecksumAlgorithm: 'CRC32' }));
  for (const number of [5, 1, 3]) await send(number, 'first');
  const { ETag, ChecksumCRC32 } = await send(3, 'second');
  const first = await endpoint.client.send(new ListPartsCommand({ ...upload, MaxParts: 2 }));
  expect(first).toMatchObject({
    IsTruncated: true,
    NextPartNumberMarker: '3',
    StorageClass: 'STANDARD_IA',
    ChecksumAlgorithm: 'CRC32',
    ChecksumType: 'COMPOSITE',
  });
  expect(first.Parts).toMatchObject([{ PartNumber: 1 }, { PartNumber: 3, ETag, ChecksumCRC32, Size: 6 }]);
  const rest = await endpoint.client.send(
    new ListPartsCommand({ ...upload, PartNumberMarker: first.NextPartNumberMarker }),
  );
  expect([rest.IsTruncated, rest.Parts?.map((part) => part.PartNumber)]).toEqual([false, [5]]);
  const unknown = new ListPartsCommand({ ...upload, UploadId: 'unknown' });
  await expect(endpoint.client.send(unknown)).rejects.toMatchObject({ name: 'NoSuchUpload' });
});

test('the attributes of objects, whole and in parts', async () => {
  const attributes = (Key: string, extra: object = {}) =>
    endpoint.client.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key,
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'],
        ...extra,
      }),
    );
  const put = await endpoint.client.send(
    new PutObjectCommand({ Bucket, Key: 'whole', Body: 'abc', ChecksumAlgorithm: 'CRC32' }),
  );
  const whole = await attributes('whole');
  expect(whole).toMatchObject({
    ETag: put.ETag?.replaceAll('"', ''),
    Checksum: { ChecksumCRC32: put.ChecksumCRC32, ChecksumType: 'FULL_OBJECT' },
    StorageClass: 'STANDARD',
    ObjectSize: 3,
  });
  expect(whole.ObjectParts).toBeUndefined();
  const upload = await create('in-parts', { ChecksumAlgorithm: 'CRC32' });
  const Parts = [];
  for (const [index, Body] of [Buffer.alloc(5 * 1024 * 1024), Buffer.from('end')].entries()) {
    const part = { PartNumber: index + 1, Body, ChecksumAlgorithm: 'CRC32' as const };
    Parts.push({
      ...(await endpoint.client.send(new UploadPartCommand({ ...upload, ...part }))),
      PartNumber: index + 1,
    });
  }
  await endpoint.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  const page = await attributes('in-parts', { MaxParts: 1 });
  expect(page.ObjectParts).toMatchObject({
    TotalPartsCount: 2,
    IsTruncated: true,
    NextPartNumberMarker: '1',
  });
  const last = await attributes('in-parts', { PartNumberMarker: '1' });
  expect(last.ObjectParts?.Parts).toEqual([
    { PartNumber: 2, Size: 3, ChecksumCRC32: Parts[1]?.ChecksumCRC32 },
  ]);
  await expect(attributes('whole', { ObjectAttributes: ['Colour'] })).rejects.toMatchObject({
    name: 'InvalidArgument',
  });
  await expect(attributes('missing')).rejects.toMatchObject({ name: 'NoSuchKey' });
});
