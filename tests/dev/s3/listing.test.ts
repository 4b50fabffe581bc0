import {
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { useEndpoint } from './running-endpoint.ts';

const endpoint = useEndpoint();

let bucketNumber = 0;
async function fillBucket(keys: Iterable<string>): Promise<string> {
  bucketNumber += 1;
  const bucket = `filled-${bucketNumber}`;
  endpoint.s3.createBucket(bucket);
  await endpoint.s3.seedObjects(
    bucket,
    Array.from(keys, (key) => ({ key, body: key })),
  );
  return bucket;
}

const decode = (value = ''): string => decodeURIComponent(value.replaceAll('+', ' '));

/** Follows a listing to its end and returns keys and common prefixes in the order of their pages. */
async function listAll(input: ListObjectsV2CommandInput): Promise<{ names: string[]; pages: number }> {
  const names: string[] = [];
  let pages = 0;
  let ContinuationToken: string | undefined;
  do {
    const page = await endpoint.client.send(
      new ListObjectsV2Command({ ...input, EncodingType: 'url', ContinuationToken }),
    );
    const found = [
      ...(page.Contents ?? []).map((entry) => decode(entry.Key)),
      ...(page.CommonPrefixes ?? []).map((entry) => decode(entry.Prefix)),
    ].sort(compareBytes);
    expect(found.length).toBe(page.KeyCount);
    expect(found.length).toBeLessThanOrEqual(input.MaxKeys ?? 1000);
    names.push(...found);
    pages += 1;
    ContinuationToken = page.NextContinuationToken;
    expect(page.IsTruncated).toBe(ContinuationToken !== undefined);
  } while (ContinuationToken !== undefined);
  return { names, pages };
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** What S3 would list, told without an index. */
function expectListing(
  keys: readonly string[],
  prefix: string,
  delimiter: string,
  startAfter: string,
): string[] {
  const names = new Set<string>();
  for (const key of keys) {
    if (!key.startsWith(prefix) || compareBytes(key, startAfter) <= 0) continue;
    const found = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const name = found === -1 ? key : key.slice(0, found + delimiter.length);
    if (compareBytes(name, startAfter) > 0) names.add(name);
  }
  return [...names].sort(compareBytes);
}

const piece = fc.constantFrom(
  'a',
  'b',
  '/',
  '//',
  '.',
  '\n',
  'ü',
  '😀',
  '\uffee',
  '\u007f',
  ' ',
  '+',
  '%',
  '&',
);
const keyArbitrary = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''));

test('any keys are listed in byte order, whole, with any prefix, delimiter, start and page size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(keyArbitrary, { maxLength: 40 }),
      fc.constantFrom('', 'a', 'a/', '/', 'ü'),
      fc.constantFrom('', '/', '//', 'ü'),
      fc.oneof(fc.constant(''), keyArbitrary),
      fc.integer({ min: 1, max: 7 }),
      async (keys, Prefix, Delimiter, StartAfter, MaxKeys) => {
        const Bucket = await fillBucket(keys);
        const { names } = await listAll({ Bucket, Prefix, Delimiter, StartAfter, MaxKeys });
        expect(names).toEqual(expectListing(keys, Prefix, Delimiter, StartAfter));
      },
    ),
    { numRuns: 60 },
  );
});

test('2,500 keys take three pages, in the older listing too', async () => {
  const keys = Array.from({ length: 2500 }, (_, index) => `k/${index}`);
  const Bucket = await fillBucket(keys);
  endpoint.s3.resetRequestCounts();
  const { names, pages } = await listAll({ Bucket });
  expect([names, pages]).toEqual([keys.toSorted(compareBytes), 3]);
  expect(endpoint.s3.requestCounts()).toEqual({ ListObjectsV2: { requests: 3, errors: 0 } });
  const first = await endpoint.client.send(new ListObjectsCommand({ Bucket }));
  expect([first.IsTruncated, first.Contents?.length, first.NextMarker]).toEqual([true, 1000, undefined]);
  const Marker = first.Contents?.at(-1)?.Key;
  const second = await endpoint.client.send(new ListObjectsCommand({ Bucket, Marker }));
  expect(second.Contents?.[0]?.Key).toBe(keys.toSorted(compareBytes)[1000]);
  const rolled = await endpoint.client.send(new ListObjectsCommand({ Bucket, Delimiter: '/' }));
  expect(rolled.CommonPrefixes).toEqual([{ Prefix: 'k/' }]);
});

test('page sizes from 0 to 1,000, and what is not one', async () => {
  const Bucket = await fillBucket(['a', 'b']);
  const list = (extra: object) => endpoint.client.send(new ListObjectsV2Command({ Bucket, ...extra }));
  expect(await list({ MaxKeys: 0 })).toMatchObject({ KeyCount: 0, IsTruncated: false });
  expect(await list({ MaxKeys: 5000 })).toMatchObject({ KeyCount: 2, MaxKeys: 1000 });
  await expect(list({ MaxKeys: -1 })).rejects.toMatchObject({ name: 'InvalidArgument' });
});

test('a token of another listing, a changed one and a made-up one are refused', async () => {
  const Bucket = await fillBucket(['a/1', 'a/2', 'b']);
  const list = (extra: object) =>
    endpoint.client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1, ...extra }));
  const token = (await list({})).NextContinuationToken ?? '';
  expect((await list({ ContinuationToken: token })).Contents?.[0]?.Key).toBe('a/2');
  expect(token).not.toContain(Buffer.from('a/1').toString('base64').slice(0, 4));
  const other = await fillBucket(['a/1', 'a/2']);
  for (const extra of [
    { ContinuationToken: token, Bucket: other },
    { ContinuationToken: token, Prefix: 'a' },
    { ContinuationToken: `${token.slice(0, -6)}AAAA==` },
    { ContinuationToken: 'a/1' },
  ]) {
    await expect(list(extra)).rejects.toMatchObject({
      name: 'InvalidArgument',
      $metadata: { httpStatusCode: 400 },
    });
  }
});

test('start-after is echoed on every page, where the token alone counts', async () => {
  const Bucket = await fillBucket(['a', 'b', 'c']);
  const list = (extra: object) => endpoint.client.send(new ListObjectsV2Command({ Bucket, ...extra }));
  const first = await list({ StartAfter: 'a', MaxKeys: 1 });
  const ContinuationToken = first.NextContinuationToken;
  expect(await list({ StartAfter: 'z', ContinuationToken })).toMatchObject({
    StartAfter: 'z',
    ContinuationToken,
    Contents: [{ Key: 'c' }],
  });
});

test('owners on request, and the list of buckets', async () => {
  const Bucket = await fillBucket(['a']);
  const list = async (FetchOwner: boolean) =>
    (await endpoint.client.send(new ListObjectsV2Command({ Bucket, FetchOwner }))).Contents?.[0];
  expect((await list(true))?.Owner?.DisplayName).toBe('local');
  expect((await list(false))?.Owner).toBeUndefined();
  const names = (await endpoint.client.send(new ListBucketsCommand({}))).Buckets?.map(
    (bucket) => bucket.Name,
  );
  expect(names).toEqual(expect.arrayContaining(['data', Bucket]));
});

test('a page in the middle of 20,000 keys costs about as much as one of 2,000', async () => {
  const page = async (count: number) => {
    const Bucket = await fillBucket(
      Array.from({ length: count }, (_, index) => `n/${String(index).padStart(6, '0')}/x`),
    );
    const StartAfter = `n/${String(count - 1500).padStart(6, '0')}`;
    const times: number[] = [];
    for (let run = 0; run < 5; run += 1) {
      const start = performance.now();
      const got = await endpoint.client.send(
        new ListObjectsV2Command({ Bucket, Prefix: 'n/', Delimiter: '/', StartAfter }),
      );
      times.push(performance.now() - start);
      expect(got.CommonPrefixes).toHaveLength(1000);
    }
    return Math.min(...times);
  };
  const small = await page(2000);
  const large = await page(20_000);
  expect(large).toBeLessThan(small * 4 + 20);
});
