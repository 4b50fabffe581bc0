import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listEverything } from '../dev/s3/list-everything.ts';
import { type RunningEndpoint, startEndpoint } from '../dev/s3/running-endpoint.ts';

const Bucket = 'data';
const keyCount = 100_000;
/** The order of their UTF-8 bytes, which is neither that of JavaScript's strings nor that of any language. */
const pieces = ['a', 'Z', '-', 'ü', '\uffee', '😀', '\n', '+', '%2F', '/'];
let endpoint: RunningEndpoint;
let keys: string[];
afterAll(() => endpoint.stop());
beforeAll(async () => {
  endpoint = await startEndpoint();
  keys = Array.from({ length: keyCount }, (_, index) => {
    const digits = [...String(index).padStart(5, '0')].map(Number);
    return `${digits.map((digit) => pieces[digit]).join('')}${index}`;
  }).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  await endpoint.s3.seedObjects(
    Bucket,
    keys.map((key) => ({ key, body: '' })),
  );
});

test('100,000 keys come in byte order, each once, in 100 pages', async () => {
  endpoint.s3.resetRequestCounts();
  expect([...(await listEverything(endpoint.client, Bucket)).keys()]).toEqual(keys);
  expect(endpoint.s3.requestCounts()).toEqual({ ListObjectsV2: { requests: 100, errors: 0 } });
});

test('any part of them is found by prefix, start and delimiter, in pages of any size', async () => {
  const list = async (
    input: { Prefix?: string; StartAfter?: string; Delimiter?: string },
    MaxKeys: number,
  ) => {
    const found: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await endpoint.client.send(
        new ListObjectsV2Command({ Bucket, ...input, MaxKeys, ContinuationToken, EncodingType: 'url' }),
      );
      const names = [
        ...(page.Contents ?? []).map(({ Key = '' }) => Key),
        ...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix),
      ];
      found.push(...names.map((name) => decodeURIComponent(name.replaceAll('+', ' '))));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    return found.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  };
  for (const piece of pieces) {
    const prefix = `${piece}a`;
    expect(await list({ Prefix: prefix }, 997)).toEqual(keys.filter((key) => key.startsWith(prefix)));
  }
  const startAfter = keys[keyCount - 1500] ?? '';
  expect(await list({ StartAfter: startAfter }, 1000)).toEqual(keys.slice(keyCount - 1499));
  const rolled = new Set(
    keys
      .map((key) => (key.includes('/') ? key.slice(0, key.indexOf('/') + 1) : key))
      .filter((key) => key !== ''),
  );
  expect(await list({ Delimiter: '/' }, 1000)).toEqual(
    [...rolled].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
});
