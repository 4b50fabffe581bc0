import { expect, test } from 'vitest';
import { decodeAwsChunked } from '../../../dev/s3/protocol/aws-chunked.ts';
import { createChecksum } from '../../../dev/s3/protocol/checksums.ts';
import {
  buildCanonicalRequest,
  buildStringToSign,
  deriveSigningKey,
  sign,
} from '../../../dev/s3/protocol/sigv4.ts';
import { readXml } from '../../../dev/s3/protocol/xml-reader.ts';

// The worked examples of AWS's documentation of Signature Version 4 for S3.
const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const scope = { date: '20130524', region: 'us-east-1', service: 's3' } as const;
const amzDate = '20130524T000000Z';
const signingKey = deriveSigningKey(secret, scope);

test('signs the documented GET with a range', () => {
  const headers = new Map([
    ['host', 'examplebucket.s3.amazonaws.com'],
    ['range', 'bytes=0-9'],
    ['x-amz-content-sha256', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['x-amz-date', amzDate],
  ]);
  const canonical = buildCanonicalRequest({
    method: 'GET',
    path: '/test.txt',
    query: [],
    headers,
    signedHeaders: [...headers.keys()],
    payloadHash: headers.get('x-amz-content-sha256') ?? '',
  });
  expect(sign(signingKey, buildStringToSign(canonical, amzDate, scope))).toBe(
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
});

async function decode(body: string, pieceBytes: number, seedSignature: string, trailerNames: string[] = []) {
  const bytes = Buffer.from(body);
  async function* source() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  const trailers = new Map<string, string>();
  let size = 0;
  const signing = { signingKey, scope, amzDate, seedSignature };
  for await (const chunk of decodeAwsChunked(source(), { signing, trailerNames, trailers }))
    size += chunk.length;
  return { size, trailers };
}

const signedBody = [
  `10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n${'a'.repeat(65536)}\r\n`,
  `400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n${'a'.repeat(1024)}\r\n`,
  '0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
].join('');
const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9';

test.each([1000, 65_600, 1_000_000])(
  'accepts the documented signed chunks in pieces of %i',
  async (pieceBytes) => {
    await expect(decode(signedBody, pieceBytes, seed)).resolves.toMatchObject({ size: 66_560 });
  },
);

test('refuses chunks that were changed, cut off or signed for another request', async () => {
  await expect(decode(signedBody.replace('aaa\r\n400', 'aab\r\n400'), 4096, seed)).rejects.toMatchObject({
    code: 'SignatureDoesNotMatch',
  });
  await expect(decode(signedBody, 4096, seed.replace('4', '5'))).rejects.toMatchObject({
    code: 'SignatureDoesNotMatch',
  });
  await expect(decode(signedBody.slice(0, -100), 4096, seed)).rejects.toMatchObject({
    code: 'IncompleteBody',
  });
});

test('accepts the documented signed trailer and refuses another one', async () => {
  const body = [
    `10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n${'a'.repeat(65536)}\r\n`,
    `400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n${'a'.repeat(1024)}\r\n`,
    '0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n',
    'x-amz-checksum-crc32c:sOO8/Q==\r\n',
    'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
  ].join('');
  const trailerSeed = '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e';
  const names = ['x-amz-checksum-crc32c'];
  const { trailers } = await decode(body, 5000, trailerSeed, names);
  expect(trailers.get('x-amz-checksum-crc32c')).toBe('sOO8/Q==');
  await expect(decode(body.replace('sOO8', 'sOO9'), 5000, trailerSeed, names)).rejects.toMatchObject({
    code: 'SignatureDoesNotMatch',
  });
});

test.each([
  ['CRC32', 'cbf43926'],
  ['CRC32C', 'e3069283'],
  ['CRC64NVME', 'ae8b14860a799888'],
] as const)('%s has the published check value, however the bytes are cut', (algorithm, expected) => {
  for (const cut of [0, 1, 8, 9]) {
    const checksum = createChecksum(algorithm);
    checksum.update(Buffer.from('123456789'.slice(0, cut)));
    checksum.update(Buffer.from('123456789'.slice(cut)));
    expect(checksum.digest().toString('hex')).toBe(expected);
  }
});

test('XML is read with references, and refused when it is not well-formed', () => {
  const root = readXml(
    '<?xml version="1.0"?>\n<Delete xmlns="x"><Object><Key>a&#xA;&lt;b</Key></Object><Quiet/></Delete>',
  );
  expect(root.children[0]?.children[0]?.text).toBe('a\n<b');
  for (const bad of ['', '<a>', '<a></b>', '<a/><b/>', '<!DOCTYPE a><a/>', '<a>&nope;</a>']) {
    expect(() => readXml(bad), bad).toThrow(expect.objectContaining({ code: 'MalformedXML' }));
  }
});
