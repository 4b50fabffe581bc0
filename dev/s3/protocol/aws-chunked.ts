import { createHash } from 'node:crypto';
import type { ChunkSigning } from './authenticate.ts';
import { S3Error } from './errors.ts';
import { buildChunkStringToSign, buildTrailerStringToSign, equalSignatures, sign } from './sigv4.ts';

/** S3 refuses smaller chunks unless they are the last of a body. */
const minChunkBytes = 8192;
const maxLineBytes = 16_384;

export interface AwsChunkedOptions {
  /** `null` if the chunks are not signed. */
  readonly signing: ChunkSigning | null;
  /** Lower-case names of the announced trailers, none if the encoding has no trailer. */
  readonly trailerNames: readonly string[];
  /** Receives the trailers when the body has ended. */
  readonly trailers: Map<string, string>;
}

/**
 * Takes the `aws-chunked` encoding off a body and checks every chunk's signature, in constant memory.
 *
 * A chunk's data is passed on before its signature can be known, so the caller must not use anything before
 * the iteration has ended without an error.
 *
 * @throws S3Error SignatureDoesNotMatch, InvalidChunkSizeError, IncompleteBody, MalformedTrailerError
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  options: AwsChunkedOptions,
): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source);
  try {
    yield* decodeChunks(reader, options);
  } finally {
    await reader.close();
  }
}

async function* decodeChunks(reader: ByteReader, options: AwsChunkedOptions): AsyncGenerator<Buffer> {
  let previousSignature = options.signing?.seedSignature ?? '';
  let previousChunkBytes: number | null = null;
  for (;;) {
    const { sizeBytes, signature } = parseChunkHeader(await reader.readLine(), options.signing !== null);
    if (previousChunkBytes !== null && previousChunkBytes < minChunkBytes && sizeBytes > 0) {
      throw new S3Error('InvalidChunkSizeError', { details: { BadChunkSize: previousChunkBytes } });
    }
    const hash = options.signing === null ? null : createHash('sha256');
    for (let left = sizeBytes; left > 0; ) {
      const piece = await reader.readUpTo(left);
      left -= piece.length;
      hash?.update(piece);
      yield piece;
    }
    if (options.signing !== null && hash !== null) {
      const stringToSign = buildChunkStringToSign({
        ...options.signing,
        previousSignature,
        chunkSha256: hash.digest('hex'),
      });
      if (!equalSignatures(sign(options.signing.signingKey, stringToSign), signature)) {
        throw new S3Error('SignatureDoesNotMatch', {
          details: { StringToSign: stringToSign, SignatureProvided: signature },
        });
      }
      previousSignature = signature;
    }
    if (sizeBytes === 0) break;
    if ((await reader.readLine()) !== '') throw new S3Error('IncompleteBody');
    previousChunkBytes = sizeBytes;
  }
  await readTrailers(reader, previousSignature, options);
  if (!(await reader.isAtEnd()))
    throw new S3Error('IncompleteBody', { message: 'The body goes on after its last chunk' });
}

function parseChunkHeader(line: string, signed: boolean): { sizeBytes: number; signature: string } {
  const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  const [, size = '', signature = ''] = match ?? [];
  if (match === null || (signed && signature === '')) {
    throw new S3Error('IncompleteBody', { message: 'The header of a chunk is not well-formed' });
  }
  return { sizeBytes: Number.parseInt(size, 16), signature };
}

async function readTrailers(
  reader: ByteReader,
  previousSignature: string,
  options: AwsChunkedOptions,
): Promise<void> {
  let canonicalTrailers = '';
  let signature = '';
  for (let line = await reader.readLine(); line !== ''; line = await reader.readLine()) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'x-amz-trailer-signature') {
      signature = value;
      continue;
    }
    if (colon < 1 || !options.trailerNames.includes(name) || options.trailers.has(name)) {
      throw new S3Error('MalformedTrailerError');
    }
    options.trailers.set(name, value);
    canonicalTrailers += `${name}:${value}\n`;
  }
  if (options.trailerNames.some((name) => !options.trailers.has(name))) {
    throw new S3Error('MalformedTrailerError');
  }
  if (options.signing === null || options.trailerNames.length === 0) return;
  const stringToSign = buildTrailerStringToSign({ ...options.signing, previousSignature, canonicalTrailers });
  if (!equalSignatures(sign(options.signing.signingKey, stringToSign), signature)) {
    throw new S3Error('SignatureDoesNotMatch', {
      details: { StringToSign: stringToSign, SignatureProvided: signature },
    });
  }
}

/** Reads lines and counted bytes off a sequence of buffers without joining them. */
class ByteReader {
  readonly #iterator: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Up to the next line feed; a carriage return before it is dropped. */
  async readLine(): Promise<string> {
    let line = '';
    for (;;) {
      const end = this.#buffer.indexOf(0x0a);
      const piece = end === -1 ? this.#buffer : this.#buffer.subarray(0, end);
      line += piece.toString('latin1');
      if (line.length > maxLineBytes)
        throw new S3Error('IncompleteBody', { message: 'A line of the chunked body is too long' });
      if (end !== -1) {
        this.#buffer = this.#buffer.subarray(end + 1);
        return line.endsWith('\r') ? line.slice(0, -1) : line;
      }
      await this.#fill();
    }
  }

  async readUpTo(maxBytes: number): Promise<Buffer> {
    if (this.#buffer.length === 0) await this.#fill();
    const piece = this.#buffer.subarray(0, maxBytes);
    this.#buffer = this.#buffer.subarray(piece.length);
    return piece;
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#buffer.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) return true;
      this.#buffer = next.value;
    }
    return false;
  }

  /** Lets go of the source, so that what is left of it can be drained by somebody else. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #fill(): Promise<void> {
    do {
      const next = await this.#iterator.next();
      if (next.done === true) throw new S3Error('IncompleteBody');
      this.#buffer = next.value;
    } while (this.#buffer.length === 0);
  }
}
