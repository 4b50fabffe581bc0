import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ForkedEndpoint, forkEndpoint } from './forked-endpoint.ts';

const MiB = 1024 * 1024;
const Bucket = 'data';
let endpoint: ForkedEndpoint;
let client: S3Client;

beforeAll(async () => {
  endpoint = await forkEndpoint();
  const { endpoint: url, region, accessKeyId, secretAccessKey } = endpoint.settings;
  client = new S3Client({
    endpoint: url,
    region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey },
  });
});
afterAll(async () => {
  client.destroy();
  await endpoint.stop();
});

async function storeAndReadBack(Key: string, sizeBytes: number): Promise<void> {
  const chunk = randomBytes(64 * 1024);
  const chunks = Array.from({ length: sizeBytes / chunk.length }, () => chunk);
  const sent = createHash('md5');
  for (const piece of chunks) sent.update(piece);
  const ETag = `"${sent.digest('hex')}"`;
  const Body = Readable.from(chunks);
  const written = await client.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: sizeBytes }));
  expect(written.ETag).toBe(ETag);
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  const received = createHash('md5');
  for await (const piece of got.Body as Readable) received.update(piece as Buffer);
  expect(`"${received.digest('hex')}"`).toBe(ETag);
}

test('128 MiB are stored from a stream and read back within 64 MiB of memory', async () => {
  // What every process allocates once is no part of what a body costs.
  await storeAndReadBack('first', 16 * MiB);
  const growthBytes = await endpoint.growthBytesDuring(() => storeAndReadBack('big', 128 * MiB));
  expect(growthBytes).toBeLessThan(64 * MiB);
});
