import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';

const Bucket = 'data';
const chunkBytes = 64 * 1024;

/** Streams an object into the bucket `data` and out again, and compares the bytes by their MD5. */
export async function storeAndReadBack(client: S3Client, Key: string, sizeBytes: number): Promise<void> {
  const chunk = randomBytes(chunkBytes);
  const chunks = sizeBytes / chunkBytes;
  const sent = createHash('md5');
  function* send(): Generator<Buffer> {
    for (let index = 0; index < chunks; index += 1) {
      sent.update(chunk);
      yield chunk;
    }
  }
  const Body = Readable.from(send());
  const written = await client.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: sizeBytes }));
  const ETag = `"${sent.digest('hex')}"`;
  expect(written.ETag).toBe(ETag);
  expect(await readETag(client, Key)).toBe(ETag);
}

/** Reads an object in the bucket `data` to its end. @returns its MD5 in the shape of an entity tag */
export async function readETag(client: S3Client, Key: string): Promise<string> {
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  const received = createHash('md5');
  for await (const piece of got.Body as Readable) received.update(piece as Buffer);
  return `"${received.digest('hex')}"`;
}
