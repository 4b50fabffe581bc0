import { CopyObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ForkedEndpoint, forkEndpoint } from '../dev/s3/forked-endpoint.ts';
import { readETag, storeAndReadBack } from '../dev/s3/store-and-read-back.ts';

const MiB = 1024 * 1024;
let endpoint: ForkedEndpoint;
afterAll(() => endpoint.stop());
beforeAll(async () => {
  endpoint = await forkEndpoint();
});

test('1 GiB is stored, read back and copied within 64 MiB of memory', async () => {
  await storeAndReadBack(endpoint.client, 'first', 16 * MiB);
  const growthBytes = await endpoint.growthBytesDuring(async () => {
    await storeAndReadBack(endpoint.client, 'big', 1024 * MiB);
    const { CopyObjectResult } = await endpoint.client.send(
      new CopyObjectCommand({ Bucket: 'data', Key: 'copy', CopySource: 'data/big' }),
    );
    expect(await readETag(endpoint.client, 'copy')).toBe(CopyObjectResult?.ETag);
  });
  expect(growthBytes).toBeLessThan(64 * MiB);
});
