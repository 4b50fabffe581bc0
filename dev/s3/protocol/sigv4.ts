import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { QueryParameter } from './request-target.ts';
import { encodeForSignature } from './uri.ts';

export const signatureAlgorithm = 'AWS4-HMAC-SHA256';
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** What follows the access key id in a credential: `20260131/us-east-1/s3/aws4_request`. */
export interface CredentialScope {
  /** `YYYYMMDD` */
  readonly date: string;
  readonly region: string;
  readonly service: AwsService;
}

export type AwsService = 's3' | 'sts';

function formatScope(scope: CredentialScope): string {
  return `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
}

/** Derives the key that signs requests to one service of one region on one day. */
export function deriveSigningKey(secretAccessKey: string, scope: CredentialScope): Buffer {
  const dateKey = hmac(`AWS4${secretAccessKey}`, scope.date);
  return hmac(hmac(hmac(dateKey, scope.region), scope.service), 'aws4_request');
}

/**
 * Builds the canonical request of S3: the path is encoded once and never normalised.
 *
 * @param headers lower-case names; values as received
 */
export function buildCanonicalRequest(request: {
  readonly method: string;
  readonly path: string;
  readonly query: readonly QueryParameter[];
  readonly headers: ReadonlyMap<string, string>;
  readonly signedHeaders: readonly string[];
  readonly payloadHash: string;
}): string {
  const query = request.query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(
      ([name, value]): QueryParameter => [
        encodeForSignature(name, 'encode-slash'),
        encodeForSignature(value, 'encode-slash'),
      ],
    )
    .sort((a, b) => compareText(a[0], b[0]) || compareText(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = request.signedHeaders.map(
    (name) => `${name}:${(request.headers.get(name) ?? '').trim().replace(/\s+/g, ' ')}\n`,
  );
  return [
    request.method,
    encodeForSignature(request.path, 'keep-slash'),
    query,
    headers.join(''),
    request.signedHeaders.join(';'),
    request.payloadHash,
  ].join('\n');
}

/** @param amzDate `YYYYMMDDTHHMMSSZ` */
export function buildStringToSign(canonicalRequest: string, amzDate: string, scope: CredentialScope): string {
  return [signatureAlgorithm, amzDate, formatScope(scope), sha256Hex(canonicalRequest)].join('\n');
}

export function sign(signingKey: Buffer, stringToSign: string): string {
  return createHmac('sha256', signingKey).update(stringToSign).digest('hex');
}

/** String to sign of one chunk of a body sent with `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`. */
export function buildChunkStringToSign(chunk: {
  readonly amzDate: string;
  readonly scope: CredentialScope;
  readonly previousSignature: string;
  readonly chunkSha256: string;
}): string {
  return [
    `${signatureAlgorithm}-PAYLOAD`,
    chunk.amzDate,
    formatScope(chunk.scope),
    chunk.previousSignature,
    emptySha256,
    chunk.chunkSha256,
  ].join('\n');
}

/** String to sign of the trailing headers: each is `name:value` and a line feed. */
export function buildTrailerStringToSign(trailer: {
  readonly amzDate: string;
  readonly scope: CredentialScope;
  readonly previousSignature: string;
  readonly canonicalTrailers: string;
}): string {
  return [
    `${signatureAlgorithm}-TRAILER`,
    trailer.amzDate,
    formatScope(trailer.scope),
    trailer.previousSignature,
    sha256Hex(trailer.canonicalTrailers),
  ].join('\n');
}

/** Header values are Latin-1, one character a byte that was sent; everything else that is signed is ASCII. */
function sha256Hex(data: string): string {
  return createHash('sha256').update(data, 'latin1').digest('hex');
}

/** Compares signatures without telling by time where they differ. */
export function equalSignatures(expected: string, provided: string): boolean {
  const a = Buffer.from(expected);
  const b = Buffer.from(provided);
  return a.length === b.length && timingSafeEqual(a, b);
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
