import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  type ChecksumAlgorithm,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import type { ChunkSigning } from '../../../dev/s3/protocol/authenticate.ts';
import { buildChunkStringToSign, buildTrailerStringToSign, sign } from '../../../dev/s3/protocol/sigv4.ts';
import { useEndpoint } from './running-endpoint.ts';
import { sendSigned } from './signed-request.ts';

const Bucket = 'data';
const endpoint = useEndpoint();

/** Of `123456789`: the CRCs as their catalogue publishes them, the hashes as Node computes them. */
const digits = '123456789';
const expected = {
  CRC32: Buffer.from('cbf43926', 'hex').toString('base64'),
  CRC32C: Buffer.from('e3069283', 'hex').toString('base64'),
  CRC64NVME: Buffer.from('ae8b14860a799888', 'hex').toString('base64'),
  SHA1: createHash('sha1').update(digits).digest('base64'),
  SHA256: createHash('sha256').update(digits).digest('base64'),
} as const;
const algorithms = Object.keys(expected) as (keyof typeof expected)[];
const headerOf = (algorithm: ChecksumAlgorithm) => `x-amz-checksum-${algorithm.toLowerCase()}`;

test.each(algorithms)(
  '%s comes in a header, is kept, and goes out where it is asked for',
  async (algorithm) => {
    const Key = `header-${algorithm}`;
    const field = `Checksum${algorithm}`;
    const put = await endpoint.client.send(
      new PutObjectCommand({ Bucket, Key, Body: digits, [field]: expected[algorithm] }),
    );
    expect(put).toMatchObject({ [field]: expected[algorithm], ChecksumType: 'FULL_OBJECT' });
    for (const command of [
      new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }),
      new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }),
    ]) {
      expect(await endpoint.client.send(command as GetObjectCommand)).toMatchObject({
        [field]: expected[algorithm],
      });
    }
    const plain = await sendSigned(endpoint.s3.settings, { method: 'HEAD', path: `/data/${Key}` });
    expect([plain.status, plain.headers[headerOf(algorithm)]]).toEqual([200, undefined]);
  },
);

test('an upload without a checksum is given CRC64NVME', async () => {
  const put = await sendSigned(endpoint.s3.settings, { method: 'PUT', path: '/data/none', body: digits });
  expect(put.headers).toMatchObject({
    'x-amz-checksum-crc64nvme': expected.CRC64NVME,
    'x-amz-checksum-type': 'FULL_OBJECT',
  });
});

/** Sends digits as one chunk with a trailer, signed or not. */
async function putWithTrailer(Key: string, name: string, value: string, signed: boolean) {
  const body = (signing: ChunkSigning): string => {
    let previousSignature = signing.seedSignature;
    const chunk = (data: string): string => {
      const head = data.length.toString(16);
      if (!signed) return `${head}\r\n`;
      const chunkSha256 = createHash('sha256').update(data).digest('hex');
      previousSignature = sign(
        signing.signingKey,
        buildChunkStringToSign({ ...signing, previousSignature, chunkSha256 }),
      );
      return `${head};chunk-signature=${previousSignature}\r\n`;
    };
    const chunks = `${chunk(digits)}${digits}\r\n${chunk('')}${name}:${value}\r\n`;
    if (!signed) return `${chunks}\r\n`;
    const canonicalTrailers = `${name}:${value}\n`;
    const toSign = buildTrailerStringToSign({ ...signing, previousSignature, canonicalTrailers });
    return `${chunks}x-amz-trailer-signature:${sign(signing.signingKey, toSign)}\r\n\r\n`;
  };
  return sendSigned(endpoint.s3.settings, {
    method: 'PUT',
    path: `/data/${Key}`,
    headers: {
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(digits.length),
      'x-amz-trailer': name,
    },
    payloadHash: signed ? 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER' : 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    body,
  });
}

const read = async (Key: string) =>
  (await endpoint.client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString();

for (const signed of [true, false]) {
  test.each(algorithms)(
    `%s comes in a trailer (signed: ${signed}), and a wrong one stores nothing`,
    async (algorithm) => {
      const Key = `trailer-${algorithm}-${signed}`;
      const wrong = Buffer.from(expected[algorithm], 'base64').fill(0).toString('base64');
      const refused = await putWithTrailer(Key, headerOf(algorithm), wrong, signed);
      expect([refused.status, refused.text]).toEqual([
        400,
        expect.stringContaining('<Code>BadDigest</Code>'),
      ]);
      await expect(read(Key)).rejects.toMatchObject({ name: 'NoSuchKey' });
      const put = await putWithTrailer(Key, headerOf(algorithm), expected[algorithm], signed);
      expect([put.status, put.headers[headerOf(algorithm)]]).toEqual([200, expected[algorithm]]);
      expect(await read(Key)).toBe(digits);
      // The encoding of the transport is none of the object.
      const { ContentEncoding } = await endpoint.client.send(new HeadObjectCommand({ Bucket, Key }));
      expect(ContentEncoding).toBeUndefined();
    },
  );
}

test.each([
  ['x-amz-checksum-sha512', 'AAAA', 400],
  ['x-amz-checksum-crc32', 'AAA=', 400],
])('the trailer %s: %s is refused', async (name, value, status) => {
  const refused = await putWithTrailer('refused', name, value, false);
  expect(refused.status).toBe(status);
  await expect(read('refused')).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test.each(algorithms)(
  'the SDK streams a body with %s and checks what comes back',
  async (ChecksumAlgorithm) => {
    const Key = `stream-${ChecksumAlgorithm}`;
    const Body = Readable.from([Buffer.alloc(100_000, 'a'), Buffer.alloc(50_000, 'b')]);
    await endpoint.client.send(
      new PutObjectCommand({ Bucket, Key, Body, ContentLength: 150_000, ChecksumAlgorithm }),
    );
    const got = await endpoint.client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    expect(got[`Checksum${ChecksumAlgorithm}`]).toBeTruthy();
    expect((await got.Body?.transformToByteArray())?.length).toBe(150_000);
  },
);
