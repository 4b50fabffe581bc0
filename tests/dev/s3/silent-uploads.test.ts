import { createHash } from 'node:crypto';
import { HeadObjectCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { beginUpload, useEndpoint } from './running-endpoint.ts';
import { sendSigned } from './signed-request.ts';

const endpoint = useEndpoint({ uploadIdleMs: 150 });
const silent = { status: 400, text: expect.stringContaining('<Code>RequestTimeout</Code>') };

test.each([
  ['before the first byte', 0],
  ['in the middle', 5],
])(
  'an upload whose client falls silent %s is refused, and nothing is stored',
  async (_, silentAfterBytes) => {
    const answer = await sendSigned(endpoint.s3.settings, {
      method: 'PUT',
      path: '/data/silent',
      body: '0123456789',
      payloadHash: 'UNSIGNED-PAYLOAD',
      silentAfterBytes,
    });
    expect(answer).toMatchObject({ ...silent, headers: { connection: 'close' } });
    await expect(
      endpoint.client.send(new HeadObjectCommand({ Bucket: 'data', Key: 'silent' })),
    ).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } });
  },
);

test('so is a part of an upload, and the list of keys of a deletion', async () => {
  const upload = await beginUpload(endpoint, 'parts');
  const part = await sendSigned(endpoint.s3.settings, {
    method: 'PUT',
    path: '/data/parts',
    query: [
      ['partNumber', '1'],
      ['uploadId', upload.UploadId ?? ''],
    ],
    body: '0123456789',
    silentAfterBytes: 3,
  });
  expect(part).toMatchObject(silent);
  expect((await endpoint.client.send(new ListPartsCommand(upload))).Parts).toBeUndefined();
  const list = '<Delete><Object><Key>k</Key></Object></Delete>';
  const deletion = await sendSigned(endpoint.s3.settings, {
    method: 'POST',
    path: '/data',
    query: [['delete', '']],
    headers: { 'content-md5': createHash('md5').update(list).digest('base64') },
    body: list,
    silentAfterBytes: 10,
  });
  expect(deletion).toMatchObject(silent);
});
