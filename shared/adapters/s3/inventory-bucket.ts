import type { S3Client } from '@aws-sdk/client-s3';

import type { ListedFolders } from '../../ports/source.ts';
import { statusOfAwsError } from './aws-error.ts';
import type { InventoryBucket } from './inventory.ts';

export interface InventoryBucketOptions {
  readonly bucket: string;
  readonly getClient: () => Promise<S3Client>;
  readonly errorOf: (error: unknown, action: string) => Error;
  readonly listFolders: (input: {
    readonly prefix: string;
    readonly startAfter: string | null;
  }) => Promise<ListedFolders>;
  readonly sizeOf: (key: string) => Promise<number | null>;
}

/** The bucket that holds inventory lists, through the AWS SDK. */
export function createInventoryBucket(options: InventoryBucketOptions): InventoryBucket {
  const { bucket, getClient, errorOf, listFolders, sizeOf } = options;

  async function get(key: string, range?: string) {
    const [{ GetObjectCommand }, client] = [await import('@aws-sdk/client-s3'), await getClient()];
    const input = { Bucket: bucket, Key: key, ...(range === undefined ? {} : { Range: range }) };
    try {
      return await client.send(new GetObjectCommand(input));
    } catch (error) {
      if (statusOfAwsError(error) === 404) return null;
      throw errorOf(error, 'read an inventory list');
    }
  }

  return {
    bucket,
    sizeOf,
    async open(key) {
      const answer = await get(key);
      return answer === null ? null : { body: telling(answer.Body as AsyncIterable<Uint8Array>, errorOf) };
    },
    async readRange(key, start, end) {
      const answer = await get(key, `bytes=${start}-${end - 1}`);
      if (answer === null) return null;
      try {
        return (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
      } catch (error) {
        throw errorOf(error, 'read an inventory list');
      }
    },
    async folders(prefix) {
      const all: string[] = [];
      for (let isLast = false; !isLast; ) {
        const page: ListedFolders = await listFolders({ prefix, startAfter: all.at(-1) ?? null });
        const more = page.folders.filter((folder) => folder !== all.at(-1));
        all.push(...more);
        isLast = page.isLast || more.length === 0;
      }
      return all;
    },
  };
}

/** A body that is cut off is an error of the source, which passes. */
async function* telling(
  body: AsyncIterable<Uint8Array>,
  errorOf: InventoryBucketOptions['errorOf'],
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw errorOf(error, 'read an inventory list');
  }
}
