import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ForkedEndpoint, forkEndpoint } from './forked-endpoint.ts';
import { storeAndReadBack } from './store-and-read-back.ts';

const MiB = 1024 * 1024;
let endpoint: ForkedEndpoint;
afterAll(() => endpoint.stop());
beforeAll(async () => {
  endpoint = await forkEndpoint();
});

test('128 MiB are stored from a stream and read back within 64 MiB of memory', async () => {
  // What every process allocates once is no part of what a body costs.
  await storeAndReadBack(endpoint.client, 'first', 16 * MiB);
  const growthBytes = await endpoint.growthBytesDuring(() =>
    storeAndReadBack(endpoint.client, 'big', 128 * MiB),
  );
  expect(growthBytes).toBeLessThan(64 * MiB);
});
