import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Authentication } from './authenticate.ts';
import { decodeAwsChunked } from './aws-chunked.ts';
import { checksumHeader, checksumMismatch, createChecksum, readChecksumExpectation } from './checksums.ts';
import { S3Error } from './errors.ts';

/** A body whose bytes may be used once the iteration has ended: every check that can fail has passed then. */
export interface RequestBody {
  readonly chunks: AsyncIterable<Buffer>;
  /** Filled when the chunks have ended. */
  readonly trailers: ReadonlyMap<string, string>;
  /** What the client says that the decoded body is long; `null` if it says nothing. */
  readonly declaredBytes: number | null;
}

/**
 * Opens the body of a request: takes off `aws-chunked`, and checks length, hash and chunk signatures.
 *
 * @param beforeRead called when the first byte is wanted: the moment for `100 Continue`
 */
export function openRequestBody(request: {
  readonly message: IncomingMessage;
  readonly headers: ReadonlyMap<string, string>;
  readonly authentication: Authentication;
  readonly beforeRead: () => void;
  /** How long the client may be silent before the request is refused. */
  readonly idleMs: number;
}): RequestBody {
  const { headers, authentication } = request;
  const { payload } = authentication;
  const trailers = new Map<string, string>();
  const raw = readMessage(request);
  if (payload.kind !== 'chunked') {
    const declared = headers.get('content-length');
    const declaredBytes = declared === undefined ? null : Number(declared);
    const chunks = payload.kind === 'literal' ? verifySha256(raw, payload.sha256) : raw;
    return { chunks, trailers, declaredBytes };
  }
  const decodedLength = headers.get('x-amz-decoded-content-length');
  if (decodedLength === undefined || !/^\d{1,15}$/.test(decodedLength)) {
    throw new S3Error('MissingContentLength', {
      message: 'You must provide the x-amz-decoded-content-length HTTP header.',
    });
  }
  if (payload.signed && authentication.kind !== 'signed') throw new S3Error('AccessDenied');
  const chunks = decodeAwsChunked(raw, {
    signing: payload.signed && authentication.kind === 'signed' ? authentication.chunkSigning : null,
    trailerNames: payload.trailer ? trailerNamesOf(headers) : [],
    trailers,
  });
  const declaredBytes = Number(decodedLength);
  return { chunks: verifyLength(chunks, declaredBytes), trailers, declaredBytes };
}

/**
 * Reads a whole small body, as those with XML are, and checks Content-MD5 and x-amz-checksum-*.
 *
 * @throws S3Error MaxMessageLengthExceeded, BadDigest, InvalidDigest
 */
export async function readSmallBody(
  body: RequestBody,
  headers: ReadonlyMap<string, string>,
  maxBytes: number,
): Promise<Buffer> {
  const expectation = readChecksumExpectation(headers);
  const expectedMd5 = readContentMd5(headers);
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body.chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes)
      throw new S3Error('MaxMessageLengthExceeded', { details: { MaxMessageLengthBytes: maxBytes } });
    pieces.push(chunk);
  }
  const content = Buffer.concat(pieces);
  if (expectedMd5 !== null && createHash('md5').update(content).digest('hex') !== expectedMd5) {
    throw new S3Error('BadDigest');
  }
  const expected = expectation.value ?? body.trailers.get(checksumHeader(expectation.algorithm));
  if (expected !== undefined && expectation.source !== 'none') {
    const checksum = createChecksum(expectation.algorithm);
    checksum.update(content);
    if (checksum.digest().toString('base64') !== expected) throw checksumMismatch(expectation.algorithm);
  }
  return content;
}

/**
 * @returns the announced MD5 as hex, `null` if there is none
 * @throws S3Error InvalidDigest if it is not base64 of 16 bytes
 */
export function readContentMd5(headers: ReadonlyMap<string, string>): string | null {
  const value = headers.get('content-md5');
  if (value === undefined) return null;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length !== 16 || bytes.toString('base64') !== value) throw new S3Error('InvalidDigest');
  return bytes.toString('hex');
}

function trailerNamesOf(headers: ReadonlyMap<string, string>): string[] {
  return (headers.get('x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

async function* readMessage({
  message,
  beforeRead,
  idleMs,
}: {
  readonly message: IncomingMessage;
  readonly beforeRead: () => void;
  readonly idleMs: number;
}): AsyncGenerator<Buffer> {
  beforeRead();
  // The iterator would destroy the socket when a consumer stops early, and with it the error's answer.
  const iterator = message.iterator({ destroyOnReturn: false });
  for (;;) {
    const next = await within(idleMs, iterator.next());
    if (next.done === true) return;
    yield next.value as Buffer;
  }
}

/** @throws S3Error RequestTimeout; the connection ends with the answer. */
async function within<Value>(ms: number, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new S3Error('RequestTimeout', { headers: { connection: 'close' } })), ms);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}

async function* verifySha256(source: AsyncIterable<Buffer>, expected: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  const computed = hash.digest('hex');
  if (computed !== expected) {
    throw new S3Error('XAmzContentSHA256Mismatch', {
      details: { ClientComputedContentSHA256: expected, S3ComputedContentSHA256: computed },
    });
  }
}

async function* verifyLength(source: AsyncIterable<Buffer>, declaredBytes: number): AsyncGenerator<Buffer> {
  let sizeBytes = 0;
  for await (const chunk of source) {
    sizeBytes += chunk.length;
    if (sizeBytes > declaredBytes) throw new S3Error('IncompleteBody');
    yield chunk;
  }
  if (sizeBytes !== declaredBytes) throw new S3Error('IncompleteBody');
}
