import { execFileSync } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AwsCredentials, renewedKeys } from '../../../shared/adapters/s3/aws-credentials.ts';
import { type AwsSourceOptions, createAwsSource } from '../../../shared/adapters/s3/aws-source.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { errorOf } from './source-contract.ts';

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMISecretKey' };
const NOW = new Date('2026-01-02T03:04:05.678Z');

let endpoint: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const requests: IncomingMessage[] = [];
const server = createServer((request, response) => {
  requests.push(request);
  answer(request, response);
});
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  requests.length = 0;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const connect = (change: Partial<AwsSourceOptions> = {}) =>
  createAwsSource({
    bucket: 'my-bucket',
    region: 'eu-west-1',
    endpoint,
    pathStyle: true,
    credentials: { kind: 'keys', ...KEYS },
    ...change,
  });
const atAws = (credentials: AwsCredentials, now = NOW) =>
  connect({ endpoint: null, pathStyle: false, credentials, now: () => now });
const answerXml =
  (status: number, body: string, headers: Record<string, string> = {}) =>
  (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/xml', ...headers });
    response.end(`<?xml version="1.0" encoding="UTF-8"?>${body}`);
  };
const list = () => connect().listPage({ prefix: '', startAfter: null });

test('a listing is one request without extras, and encoded keys are decoded', async () => {
  answer = answerXml(
    200,
    `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
     <Contents><Key>a+b%2Bc%2520/%C3%BC%0A</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>
     <ETag>&quot;abc-2&quot;</ETag><Size>7</Size><StorageClass>GLACIER</StorageClass></Contents></ListBucketResult>`,
  );
  const page = await connect().listPage({ prefix: 'a b', startAfter: 'a +%' });
  expect(page).toEqual({
    objects: [
      {
        key: 'a b+c%20/ü\n',
        version: 'e:abc-2',
        sizeBytes: 7,
        lastModified: '2026-01-01T00:00:00.000Z',
        storageClass: 'GLACIER',
      },
    ],
    isLast: false,
  });
  const url = new URL(requests[0]?.url ?? '', endpoint);
  expect(url.pathname).toBe('/my-bucket/');
  expect(Object.fromEntries(url.searchParams)).toEqual({
    'encoding-type': 'url',
    'list-type': '2',
    prefix: 'a b',
    'start-after': 'a +%',
  });
  expect(Object.keys(requests[0]?.headers ?? {}).filter((name) => name.includes('checksum'))).toEqual([]);
});

test.each([
  ['a listing', () => list()],
  ['an error', () => list(), 403],
  ['a part of an object', () => connect().canRead({ key: 'k', version: 'e:x' })],
])('%s that does not end is cut off', async (_name, ask, status = 200) => {
  let sentBytes = 0;
  const cut = new Promise<void>((resolve) => {
    answer = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/xml' });
      const piece = Buffer.alloc(1024 * 1024, ' ');
      const more = () => {
        sentBytes += piece.length;
        if (!response.destroyed && response.write(piece)) setImmediate(more);
      };
      response.on('drain', more);
      response.once('close', resolve);
      more();
    };
  });
  const error = await errorOf(ask());
  expect([error.code, error.message]).toEqual([
    status === 403 ? 'sourceAccessDenied' : 'sourceUnavailable',
    expect.stringContaining(status === 403 ? '' : 'more than S3 ever sends'),
  ]);
  await cut;
  expect(sentBytes).toBeLessThan(64 * 1024 * 1024);
});

test('an empty page that is not the last is passed over', async () => {
  const pages = [
    '<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>',
    '<IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>1</Size></Contents>',
  ];
  answer = (...exchange) =>
    answerXml(200, `<ListBucketResult>${pages.shift()}</ListBucketResult>`)(...exchange);
  expect(await list()).toMatchObject({ objects: [{ key: 'k' }], isLast: true });
  expect(new URL(requests[1]?.url ?? '', endpoint).searchParams.get('continuation-token')).toBe('more');
});

test('a service that does not encode keys is believed', async () => {
  answer = answerXml(
    200,
    '<ListBucketResult><Contents><Key>a+b%20</Key><Size>1</Size></Contents></ListBucketResult>',
  );
  expect((await list()).objects[0]).toMatchObject({ key: 'a+b%20', storageClass: 'STANDARD' });
});

test.each([
  ['in the order of UTF-16', null, ['z/\u{1f600}', 'z/\u{ffee}']],
  ['in no order', null, ['a', 'c', 'b']],
  ['that hold one twice', null, ['a', 'a']],
  ['from the first on, whatever was asked for', 'm', ['a', 'm', 'z']],
  ['from the key on that they were to be behind', 'm', ['m', 'n']],
])('keys that are listed %s are refused, and nothing is missed', async (_name, startAfter, keys) => {
  const contents = keys.map((key) => `<Contents><Key>${encodeURIComponent(key)}</Key></Contents>`);
  answer = answerXml(
    200,
    `<ListBucketResult><EncodingType>url</EncodingType>${contents.join('')}</ListBucketResult>`,
  );
  const error = await errorOf(connect().listPage({ prefix: '', startAfter }));
  expect([error.code, error.permanent, error.message]).toEqual([
    'invalidDefinition',
    true,
    expect.stringContaining('source.writtenOnce'),
  ]);
  expect(requests).toHaveLength(1);
});

test.each([
  [404, 'NoSuchBucket', 'bucketNotFound', 1],
  [403, 'AccessDenied', 'sourceAccessDenied', 1],
  [403, 'InvalidAccessKeyId', 'sourceAccessDenied', 1],
  [403, 'SignatureDoesNotMatch', 'sourceAccessDenied', 1],
  [400, 'ExpiredToken', 'sourceAccessDenied', 1],
  [400, 'AuthorizationHeaderMalformed', 'sourceWrongRegion', 1],
  [301, 'PermanentRedirect', 'sourceWrongRegion', 1],
  [503, 'SlowDown', 'sourceThrottled', 3],
  [500, 'InternalError', 'sourceUnavailable', 3],
])('HTTP %i %s is %s after %i requests', async (status, code, expected, count) => {
  answer = answerXml(status, `<Error><Code>${code}</Code><Message>Words of S3</Message></Error>`, {
    'x-amz-bucket-region': 'us-west-2',
  });
  const error = await errorOf(list());
  expect(error.code).toBe(expected);
  expect(requests).toHaveLength(count);
  expect(error.message).toContain('"my-bucket"');
  if (expected === 'sourceWrongRegion') expect(error.message).toContain('us-west-2');
  expect(JSON.stringify([error.message, error.facts])).not.toContain(KEYS.secretAccessKey);
});

test.each([
  [404, null],
  [403, 'sourceAccessDenied'],
  [301, 'sourceWrongRegion'],
  [400, 'sourceWrongRegion'],
  [500, 'sourceUnavailable'],
])('HEAD with HTTP %i', async (status, expected) => {
  answer = (_request, response) => response.writeHead(status, { 'x-amz-bucket-region': 'us-west-2' }).end();
  if (expected === null) expect(await connect().head('k')).toBeNull();
  else expect((await errorOf(connect().head('k'))).code).toBe(expected);
});

test('an object that HEAD answers with 400 is one that S3 refuses to show', async () => {
  answer = (_request, response) => response.writeHead(400).end();
  const error = await errorOf(connect().head('k'));
  expect([error.code, error.message]).toEqual(['sourceAccessDenied', expect.stringContaining('SSE-C')]);
  expect(requests).toHaveLength(1);
});

test('no connection is sourceUnavailable', async () => {
  const source = connect({ endpoint: 'http://127.0.0.1:1' });
  const error = await errorOf(source.head('k'));
  expect([error.code, error.message]).toEqual(['sourceUnavailable', expect.stringContaining('ECONNREFUSED')]);
});

test('the version of an object in a versioned bucket is its ETag, as in listings', async () => {
  answer = (_request, response) =>
    response
      .writeHead(200, {
        etag: '"abc"',
        'x-amz-version-id': '3sL4',
        'content-length': '7',
        'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
      })
      .end();
  expect(await connect().head('k')).toEqual({
    key: 'k',
    version: 'e:abc',
    sizeBytes: 7,
    lastModified: '2026-01-01T00:00:00.000Z',
    storageClass: 'STANDARD',
  });
});

test.each([
  ['3sL4', 'v:3sL4'],
  ['null', 'e:abc'],
  [null, 'e:abc'],
])('with pinVersions HEAD names the version id %j as %s', async (id, version) => {
  answer = (_request, response) =>
    response.writeHead(200, { etag: '"abc"', ...(id === null ? {} : { 'x-amz-version-id': id }) }).end();
  expect(await connect({ pinVersions: true }).head('k')).toMatchObject({ key: 'k', version });
});

describe('a listing of versions', () => {
  const pinned = (startAfter: string | null = null) =>
    connect({ pinVersions: true }).listPage({ prefix: 'a b', startAfter });
  const version = (key: string, { id = `id-${key}`, latest = true, deleted = false } = {}) => {
    const element = deleted ? 'DeleteMarker' : 'Version';
    return `<${element}><Key>${encodeURIComponent(key)}</Key><VersionId>${id}</VersionId><IsLatest>${latest}</IsLatest>
      <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>7</Size></${element}>`;
  };
  const answerVersions = (...answers: readonly string[]) => {
    const left = [...answers];
    answer = (...exchange) => {
      const content = left.length > 1 ? left.shift()! : left[0]!;
      answerXml(
        200,
        `<ListVersionsResult><EncodingType>url</EncodingType>${content}</ListVersionsResult>`,
      )(...exchange);
    };
  };
  const parametersOf = (index: number) =>
    Object.fromEntries(new URL(requests[index]?.url ?? '', endpoint).searchParams);
  const CUT = '<IsTruncated>true</IsTruncated>';

  test('is one request, whose encoded keys are decoded, and says up to which key it tells', async () => {
    answerVersions(
      `${CUT}<NextKeyMarker>not%20asked</NextKeyMarker><NextVersionIdMarker>for</NextVersionIdMarker>
       <Version><Key>a+b%2Bc%2520/%C3%BC%0A</Key><VersionId>3sL4</VersionId><IsLatest>true</IsLatest>
       <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;abc-2&quot;</ETag><Size>7</Size>
       <StorageClass>GLACIER</StorageClass></Version>${version('a b+d', { deleted: true })}`,
    );
    expect(await pinned('a b +%')).toEqual({
      objects: [
        {
          key: 'a b+c%20/ü\n',
          version: 'v:3sL4',
          sizeBytes: 7,
          lastModified: '2026-01-01T00:00:00.000Z',
          storageClass: 'GLACIER',
        },
      ],
      isLast: false,
      upTo: 'a b+d',
    });
    expect(requests).toHaveLength(1);
    expect(parametersOf(0)).toEqual({
      versions: '',
      'encoding-type': 'url',
      prefix: 'a b',
      'key-marker': 'a b +%',
    });
  });

  test('goes on behind what holds no object, and ends a page in time', async () => {
    answer = (request, response) => {
      const { searchParams } = new URL(request.url ?? '', endpoint);
      const number = Number(searchParams.get('key-marker') ?? '0') + 1;
      const last = number === 13;
      const content = version(String(number).padStart(5, '0'), { deleted: !last });
      answerXml(200, `<ListVersionsResult>${last ? '' : CUT}${content}</ListVersionsResult>`)(
        request,
        response,
      );
    };
    expect(await pinned()).toEqual({ objects: [], isLast: false, upTo: '00010' });
    expect(requests).toHaveLength(10);
    expect(await pinned('00010')).toMatchObject({ objects: [{ key: '00013' }], isLast: true });
    expect(requests).toHaveLength(13);
  });

  test('goes on as it is told where an answer shows no version at all', async () => {
    answerVersions(
      `${CUT}<NextKeyMarker>a+b%2Bc</NextKeyMarker><NextVersionIdMarker>3sL4</NextVersionIdMarker>`,
      version('a b+c'),
    );
    expect(await pinned()).toMatchObject({ objects: [{ key: 'a b+c' }], isLast: true });
    expect(parametersOf(1)).toMatchObject({ 'key-marker': 'a b+c', 'version-id-marker': '3sL4' });
    for (const endless of [CUT, `${CUT}<NextKeyMarker>k</NextKeyMarker>`]) {
      answerVersions(endless);
      expect((await errorOf(pinned())).code).toBe('sourceUnavailable');
    }
    expect(requests.length).toBeLessThan(20);
  });

  test('of a key that is just being written takes the newer of what seems to be its latest', async () => {
    answerVersions(version('k', { id: '2' }) + version('k', { id: '1' }) + version('l'));
    expect((await pinned()).objects.map((object) => object.version)).toEqual(['v:2', 'v:id-l']);
  });

  test('is not used where the latest version of a key is not shown', async () => {
    answerVersions(version('j') + version('k', { latest: false }));
    const error = await errorOf(pinned());
    expect([error.code, error.permanent, error.message]).toEqual([
      'sourceUnavailable',
      false,
      expect.stringContaining('without its latest version'),
    ]);
  });

  test.each([
    ['versions in another order', null, version('c') + version('b')],
    [
      'delete markers in another order',
      null,
      version('d', { deleted: true }) + version('c', { deleted: true }),
    ],
    ['the key that they were to be behind', 'm', version('m')],
    ['it as deleted', 'm', version('m', { deleted: true })],
  ])('that shows %s is refused, and nothing is missed', async (_name, startAfter, content) => {
    answerVersions(content);
    expect(await errorOf(pinned(startAfter))).toMatchObject({
      code: 'invalidDefinition',
      problems: [{ field: 'source.endpoint' }],
    });
    expect(requests).toHaveLength(1);
  });

  test.each([
    ['does not know it', () => answerXml(501, '<Error><Code>NotImplemented</Code></Error>')],
    ['does not allow it', () => answerXml(405, '<Error><Code>MethodNotAllowed</Code></Error>')],
    [
      'answers it with nothing, though it has keys',
      () => (request: IncomingMessage, response: ServerResponse) => {
        const keys = request.url?.includes('list-type=2') === true ? '<Contents><Key>k</Key></Contents>' : '';
        answerXml(200, `<ListBucketResult>${keys}</ListBucketResult>`)(request, response);
      },
    ],
  ])('is asked in vain of a service that %s: the error names the field', async (_name, answering) => {
    answer = answering();
    expect(await errorOf(pinned())).toMatchObject({
      code: 'invalidDefinition',
      permanent: true,
      message: expect.stringContaining('source.pinVersions'),
      problems: [{ field: 'source.pinVersions' }],
    });
  });

  test('that is not allowed says which rights it needs; one of keys does not', async () => {
    answer = answerXml(403, '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>');
    const { code, message } = await errorOf(pinned());
    expect([code, message]).toEqual([
      'sourceAccessDenied',
      expect.stringMatching(/s3:ListBucketVersions.*s3:GetObjectVersion/),
    ]);
    expect((await errorOf(list())).message).not.toContain('Version');
    const read = connect({ pinVersions: true }).canRead({ key: 'k', version: 'v:1' });
    expect((await errorOf(read)).message).toContain('s3:GetObjectVersion');
  });
});

test('anonymous requests and URLs are not signed', async () => {
  answer = answerXml(200, '<ListBucketResult></ListBucketResult>');
  const source = connect({ credentials: { kind: 'anonymous' }, now: () => NOW });
  await source.listPage({ prefix: '', startAfter: null });
  expect(requests[0]?.headers['authorization']).toBeUndefined();
  const signed = await source.presignGet({ key: 'a b', version: 'e:x', lifetimeMs: 60_000 });
  expect(signed.url).toBe(`${endpoint}/my-bucket/a%20b`);
  expect(signed.expiresAt).toBeNull();
});

test("a signed URL has the SDK's own signature, and nothing that S3 does not need", async () => {
  const credentials = { ...KEYS, sessionToken: 'to+ken/=' };
  const key = "a b+c%ü\n/*'().json";
  const signed = await atAws({ kind: 'keys', ...credentials }).presignGet({
    key,
    version: 'v:3sL4/+',
    lifetimeMs: 3_599_001,
  });
  const client = new S3Client({
    region: 'eu-west-1',
    credentials,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  // The SDK's URL has one more parameter, which its signature covers.
  client.middlewareStack.add(
    (next) => (args) => {
      delete (args.request as { query: Record<string, string> }).query['x-id'];
      return next(args);
    },
    { step: 'build', priority: 'low' },
  );
  const theirs = await getSignedUrl(
    client,
    new GetObjectCommand({ Bucket: 'my-bucket', Key: key, VersionId: '3sL4/+' }),
    { expiresIn: 3600, signingDate: NOW },
  );
  expect(signed.url).toBe(theirs);
  expect(signed.expiresAt).toEqual(new Date('2026-01-02T04:04:05.000Z'));
  expect([...new URL(signed.url).searchParams.keys()].sort()).toEqual([
    'X-Amz-Algorithm',
    'X-Amz-Content-Sha256',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-Security-Token',
    'X-Amz-Signature',
    'X-Amz-SignedHeaders',
    'versionId',
  ]);
});

test('a URL does not outlive the credentials, nor a week, and lives a second at least', async () => {
  const end = new Date('2026-01-02T03:10:00.000Z');
  const temporary = { ...KEYS, sessionToken: 't', expiresAt: end };
  const input = { key: 'k', version: 'e:x', lifetimeMs: 3_600_000 };
  expect((await atAws({ kind: 'keys', ...temporary }).presignGet(input)).expiresAt).toEqual(end);
  const error = await errorOf(atAws({ kind: 'keys', ...temporary }, end).presignGet(input));
  expect([error.code, error.message]).toEqual(['sourceAccessDenied', expect.stringContaining('ended')]);
  const lasting = atAws({ kind: 'keys', ...KEYS });
  const secondsOf = async (lifetimeMs: number) =>
    new URL((await lasting.presignGet({ ...input, lifetimeMs })).url).searchParams.get('X-Amz-Expires');
  expect([await secondsOf(1), await secondsOf(1001), await secondsOf(1e12)]).toEqual(['1', '2', '604800']);
});

test('keys that are renewed are asked for once, and again after a third of their time', async () => {
  let asked = 0;
  let now = NOW;
  const provide = async () => {
    asked += 1;
    return { ...KEYS, accessKeyId: `AKID${asked}`, expiresAt: new Date(now.getTime() + 3_600_000) };
  };
  const source = connect({
    credentials: { kind: 'provider', provide: renewedKeys(provide, () => now) },
    now: () => now,
  });
  const sign = async () => (await source.presignGet({ key: 'k', version: 'e:x', lifetimeMs: 1000 })).url;
  await Promise.all([sign(), sign(), sign()]);
  expect(asked).toBe(1);
  now = new Date(now.getTime() + 1_199_000);
  expect(await sign()).toContain('AKID1');
  now = new Date(now.getTime() + 1_000);
  expect(await sign()).toContain('AKID2');
});

test('keys that can not be renewed are used until they end', async () => {
  let now = NOW;
  const answers = ['ok', 'fails', 'fails', 'ok'];
  let asked = 0;
  const provide = async () => {
    asked += 1;
    if (answers[asked - 1] !== 'ok') throw new Error(`failed ${asked}`);
    return { ...KEYS, accessKeyId: `AKID${asked}`, expiresAt: new Date(now.getTime() + 3_600_000) };
  };
  const keys = renewedKeys(provide, () => now);
  const after = async (seconds: number) => {
    now = new Date(now.getTime() + seconds * 1000);
    return (await keys()).accessKeyId;
  };
  expect(await after(0)).toBe('AKID1');
  expect(await after(1200)).toBe('AKID1');
  expect([await after(29), asked]).toEqual(['AKID1', 2]);
  // The next try is not before half a minute has passed; this one is behind the end of the keys.
  await expect(after(2371)).rejects.toThrow('failed 3');
  expect(await after(0)).toBe('AKID4');
});

test('where URLs must last keys are renewed in time, and keys that could not be are not used', async () => {
  let now = NOW;
  let asked = 0;
  let isAway = false;
  const provide = async () => {
    asked += 1;
    if (isAway) throw new LoaderError('sourceUnavailable', 'STS is away');
    return { ...KEYS, accessKeyId: `AKID${asked}`, expiresAt: new Date(now.getTime() + 3_600_000) };
  };
  const source = connect({
    credentials: { kind: 'provider', provide: renewedKeys(provide, () => now) },
    now: () => now,
  });
  const minutesLater = (minutes: number) => {
    now = new Date(now.getTime() + minutes * 60_000);
  };
  const leftAfter = async (minutes: number, leastLeftMs: number) => {
    minutesLater(minutes);
    const { expiresAt } = await source.presignGet({
      key: 'k',
      version: 'e:x',
      lifetimeMs: 86_400_000,
      leastLeftMs,
    });
    return (expiresAt!.getTime() - now.getTime()) / 60_000;
  };
  const half = 30 * 60_000;
  // At any time, and without a session for each URL.
  for (let minute = 0; minute < 120; minute += 5) expect(await leftAfter(5, half)).toBeGreaterThan(30);
  expect(asked).toBeLessThan(10);
  expect(await leftAfter(10, 55 * 60_000)).toBe(60);
  isAway = true;
  expect(await leftAfter(25, half)).toBe(35);
  await expect(leftAfter(10, half)).rejects.toMatchObject({ code: 'sourceUnavailable' });
  // The bucket itself can still be listed, and the next try is not before half a minute has passed.
  const asks = asked;
  expect(await source.signIn()).toContain('key that ends with');
  await expect(source.signIn(half)).rejects.toMatchObject({ code: 'sourceUnavailable' });
  expect(asked).toBe(asks);
  isAway = false;
  expect(await leftAfter(1, half)).toBe(60);
});

test.each<readonly [string, () => AwsCredentials]>([
  [
    'static keys of a known end',
    () => ({ kind: 'keys', ...KEYS, sessionToken: 't', expiresAt: new Date(NOW.getTime() + 60_000) }),
  ],
  [
    'sessions that are too short',
    () => ({
      kind: 'provider',
      provide: renewedKeys(
        async () => ({ ...KEYS, expiresAt: new Date(NOW.getTime() + 60_000) }),
        () => NOW,
      ),
    }),
  ],
])('%s: a named error when more time is needed', async (_name, credentials) => {
  const source = connect({ credentials: credentials(), now: () => NOW });
  const leastLeftMs = 61_000;
  const sign = { key: 'k', version: 'e:x', lifetimeMs: 1000 };
  for (const refused of [() => source.signIn(leastLeftMs), () => source.presignGet({ ...sign, leastLeftMs })])
    await expect(refused()).rejects.toMatchObject({
      code: 'credentialsEndTooSoon',
      message: expect.stringContaining('in 1 minutes; 1 minutes must be left'),
    });
  expect((await source.presignGet({ ...sign, leastLeftMs: 59_000 })).expiresAt).toEqual(expect.any(Date));
});

test('a directory bucket is refused', () => {
  expect(() => connect({ bucket: 'b--use1-az4--x-s3' })).toThrow(/directory bucket/);
});

test('importing the adapters loads no SDK', () => {
  const files = ['s3/aws-source.ts', 'kusto/kusto-ingestion.ts', 'identity/azure-credential.ts'];
  const urls = files.map((file) => new URL(`../../../shared/adapters/${file}`, import.meta.url).href);
  const script = `
    const { registerHooks } = await import('node:module');
    const seen = [];
    registerHooks({ resolve: (name, context, next) => { seen.push(name); return next(name, context); } });
    for (const url of ${JSON.stringify(urls)}) await import(url);
    console.log(JSON.stringify(seen.filter((name) => !/^(\\.|file:|node:)/.test(name))));`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(JSON.parse(printed)).toEqual([]);
});
