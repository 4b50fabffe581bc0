import path from 'node:path';

import { formatCount } from '../../cli/format.ts';
import { type RunningS3, startS3 } from '../../dev/s3/index.ts';
import type { BenchRun, Figure } from '../bench.ts';

const BUCKET = 'bench';
const KEYS = 100_000;
const SMALL_BYTES = 4096;
const SMALL_GETS = 5000;
const GETS_AT_ONCE = 16;
const LARGE_BYTES = 256 * 1024 * 1024;
/** The least of so many measurements counts: what other processes do only ever adds. */
const ROUNDS = 3;

/** Listing, small objects, and bytes of a large one, by the AWS SDK. */
export async function s3Figures(run: BenchRun): Promise<readonly Figure[]> {
  const s3 = await run.start(() => startS3({ folder: path.join(run.folder, 's3'), buckets: [BUCKET] }));
  run.say(`S3: ${formatCount(KEYS)} objects into the bucket`);
  await s3.seedObjects(BUCKET, smallObjects());
  await s3.seedObjects(BUCKET, [{ key: 'large', body: Buffer.alloc(LARGE_BYTES, 'x') }]);
  const client = await connect(s3);
  const listMs = await leastMs(run, 'S3: listing', () => client.list());
  const getMs = await leastMs(run, 'S3: small objects', () => client.getSmall());
  const largeMs = await leastMs(run, 'S3: a large object', () => client.getLarge());
  client.close();
  await s3.stop();
  const perSecond = (name: string, count: number, ms: number): Figure => ({
    name: `S3: ${name}`,
    value: (count * 1000) / ms,
    unit: 'per second',
  });
  return [
    perSecond(`keys listed, of ${formatCount(KEYS)}`, KEYS, listMs),
    perSecond(`GETs of 4 KiB, ${GETS_AT_ONCE} at once`, SMALL_GETS, getMs),
    perSecond('MB of one GET of 256 MiB', LARGE_BYTES / 1e6, largeMs),
  ];
}

function* smallObjects(): Generator<{ key: string; body: Buffer }> {
  const body = Buffer.alloc(SMALL_BYTES, 'x');
  for (let index = 0; index < KEYS; index += 1) yield { key: keyOf(index), body };
}

function keyOf(index: number): string {
  return `small/${String(Math.floor(index / 1000)).padStart(4, '0')}/${String(index).padStart(8, '0')}`;
}

async function connect({ settings }: RunningS3) {
  const { GetObjectCommand, paginateListObjectsV2, S3Client } = await import('@aws-sdk/client-s3');
  const { endpoint, region, accessKeyId, secretAccessKey } = settings;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  const get = async (Key: string) => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
    let bytes = 0;
    for await (const chunk of Body as AsyncIterable<Uint8Array>) bytes += chunk.byteLength;
    return bytes;
  };
  return {
    async list() {
      let keys = 0;
      for await (const page of paginateListObjectsV2({ client }, { Bucket: BUCKET, Prefix: 'small/' }))
        keys += page.KeyCount ?? 0;
      expectCount('keys listed', keys, KEYS);
    },
    async getSmall() {
      let next = 0;
      let bytes = 0;
      const work = async () => {
        while (next < SMALL_GETS) {
          next += 1;
          const got = await get(keyOf(next));
          bytes += got;
        }
      };
      await Promise.all(Array.from({ length: GETS_AT_ONCE }, work));
      expectCount('bytes', bytes, SMALL_GETS * SMALL_BYTES);
    },
    async getLarge() {
      expectCount('bytes', await get('large'), LARGE_BYTES);
    },
    close: () => client.destroy(),
  };
}

function expectCount(what: string, actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`);
}

async function leastMs(run: BenchRun, what: string, work: () => Promise<void>): Promise<number> {
  run.say(what);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    run.signal.throwIfAborted();
    const startedAt = performance.now();
    await work();
    least = Math.min(least, performance.now() - startedAt);
  }
  return least;
}
