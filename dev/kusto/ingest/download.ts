import { createReadStream, createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { cutSecrets, IngestionError } from './ingestion-error.ts';

const MAX_SOURCE_BYTES = 6 * 1024 ** 3;
/** Sources up to this size stay in memory; most of a load's small objects never touch the disk. */
const MEMORY_BYTES = 1024 * 1024;
const TIMEOUT_MS = 120_000;

/** A source's bytes, decompressed. */
export interface DownloadedSource {
  readonly sizeBytes: number;
  open(): Readable;
  /** A file with the bytes, for DuckDB; it belongs to the source. */
  toFile(): Promise<string>;
  dispose(): Promise<void>;
}

export interface DownloadInput {
  readonly url: string;
  /** True for blobs that a client uploaded to a container of this endpoint: their names lie about compression. */
  readonly sniff: boolean;
  readonly treatGzAsUncompressed: boolean;
  readonly ignoreSizeLimit: boolean;
  /** Folder and name (without suffix) for temporary files. */
  readonly folder: string;
  readonly name: string;
  readonly signal: AbortSignal;
}

/**
 * Fetches one source by GET and decompresses it. An S3 URL is decompressed by the suffix of its path alone.
 * @throws IngestionError: permanent for 403, 404 and broken archives, transient for 5xx, 429 and the network.
 */
export async function downloadSource(input: DownloadInput): Promise<DownloadedSource> {
  const path = cutSecrets(input.url);
  if (/;AwsCredentials=/i.test(input.url)) {
    throw new IngestionError(
      'BadRequest_InvalidBlobUri',
      `${path}: the local endpoint does not sign requests with ;AwsCredentials; use a presigned URL.`,
    );
  }
  const response = await get(input, path);
  if (!response.body) throw new IngestionError('BadRequest_EmptyBlob', `${path} is empty.`);
  const body = Readable.fromWeb(response.body as import('node:stream/web').ReadableStream<Uint8Array>);
  try {
    return await receive(body, input, path);
  } catch (error) {
    body.destroy();
    if (error instanceof IngestionError) throw error;
    throw toIngestionError(error, path);
  }
}

async function get(input: DownloadInput, path: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(input.url, {
      signal: AbortSignal.any([input.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      // The archive's own bytes are wanted, whatever the server would like to decode.
      headers: { 'accept-encoding': 'identity' },
    });
  } catch (error) {
    throw toIngestionError(error, path);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const details = `${path}: the storage answered ${response.status} ${response.statusText}.`;
  if (response.status === 401 || response.status === 403)
    throw new IngestionError('Download_Forbidden', details);
  if (response.status === 404) throw new IngestionError('Download_SourceNotFound', details);
  if (response.status >= 500 || response.status === 429 || response.status === 408) {
    throw new IngestionError('Download_UnknownError', details, 'Transient');
  }
  throw new IngestionError('Download_NotTransient', details);
}

function toIngestionError(error: unknown, path: string): IngestionError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const code = cause?.code ?? (error as { code?: string }).code ?? (error as Error).name;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new IngestionError(
      'Download_TransientNameResolutionFailure',
      `${path}: the host name can't be resolved.`,
      'Transient',
    );
  }
  return new IngestionError(
    'Download_UnknownError',
    `${path}: the download broke off (${code}).`,
    'Transient',
  );
}

async function receive(body: Readable, input: DownloadInput, path: string): Promise<DownloadedSource> {
  const suffix = /\.(gz|zip)$/i.exec(decodeURIComponentSafely(path))?.[1]?.toLowerCase();
  const { head, stream } = await peek(body);
  if (head.length === 0) throw new IngestionError('BadRequest_EmptyBlob', `${path} is empty.`);
  const isGzip = head[0] === 0x1f && head[1] === 0x8b;
  const isZip = head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4;
  if (input.sniff ? isZip : suffix === 'zip') {
    stream.destroy();
    throw new IngestionError(
      'BadRequest_FormatNotSupported',
      `${path}: zip archives are not supported by the local endpoint.`,
    );
  }
  const gunzip = input.sniff ? isGzip : suffix === 'gz' && !input.treatGzAsUncompressed;
  const limit = new ByteLimit(input.ignoreSizeLimit ? Number.POSITIVE_INFINITY : MAX_SOURCE_BYTES, path);
  const stages = gunzip ? [stream, guardGunzip(path), limit] : [stream, limit];
  const chunks: Buffer[] = [];
  let held = 0;
  let file: string | undefined;
  await pipeline([
    ...stages,
    async (source: AsyncIterable<Buffer>) => {
      const iterator = source[Symbol.asyncIterator]();
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        chunks.push(next.value);
        held += next.value.length;
        if (held <= MEMORY_BYTES) continue;
        file = join(input.folder, `${input.name}.bin`);
        const output = createWriteStream(file);
        const rest = async function* () {
          yield* chunks.splice(0);
          for (let more = await iterator.next(); !more.done; more = await iterator.next()) yield more.value;
        };
        await pipeline(rest, output);
        return;
      }
    },
  ] as unknown as Parameters<typeof pipeline>[0] & NodeJS.ReadableStream[]).catch(async (error: unknown) => {
    if (file !== undefined) await rm(file, { force: true });
    throw error;
  });
  const sizeBytes = limit.count;
  if (sizeBytes === 0) throw new IngestionError('Stream_NoDataToIngest', `${path} holds no data.`);
  return {
    sizeBytes,
    open: () =>
      file === undefined
        ? Readable.from([Buffer.concat(chunks)])
        : createReadStream(file, { highWaterMark: 1024 * 1024 }),
    toFile: async () => {
      if (file === undefined) {
        file = join(input.folder, `${input.name}.bin`);
        const handle = await open(file, 'w');
        await handle.writeFile(Buffer.concat(chunks));
        await handle.close();
      }
      return file;
    },
    dispose: async () => {
      chunks.length = 0;
      if (file !== undefined) await rm(file, { force: true });
    },
  };
}

/** The first bytes, and a stream that still has them. */
async function peek(body: Readable): Promise<{ head: Buffer; stream: Readable }> {
  const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  let isDone = false;
  while (head.length < 4 && !isDone) {
    const next = await iterator.next();
    isDone = next.done === true;
    if (!isDone) head = Buffer.concat([head, next.value]);
  }
  const all = async function* () {
    if (head.length > 0) yield head;
    if (isDone) return;
    for (let next = await iterator.next(); !next.done; next = await iterator.next())
      yield next.value as Buffer;
  };
  return { head, stream: Readable.from(all(), { objectMode: false }) };
}

function guardGunzip(path: string): Transform {
  const gunzip = createGunzip();
  const emit = gunzip.emit.bind(gunzip);
  gunzip.emit = ((event: string, ...rest: unknown[]) => {
    if (event === 'error' && /^Z_|^ERR_/.test((rest[0] as { code?: string }).code ?? '')) {
      if ((rest[0] as { code?: string }).code !== 'ERR_STREAM_PREMATURE_CLOSE') {
        return emit('error', new IngestionError('BadRequest_InvalidBlob', `${path} is not valid gzip.`));
      }
    }
    return emit(event, ...rest);
  }) as typeof gunzip.emit;
  return gunzip;
}

class ByteLimit extends Transform {
  count = 0;
  readonly #limit: number;
  readonly #path: string;

  constructor(limit: number, path: string) {
    super();
    this.#limit = limit;
    this.#path = path;
  }

  override _transform(
    chunk: Buffer,
    _encoding: string,
    done: (error: Error | null, chunk?: Buffer) => void,
  ): void {
    this.count += chunk.length;
    if (this.count <= this.#limit) done(null, chunk);
    else
      done(
        new IngestionError(
          'BadRequest_FileTooLarge',
          `${this.#path} is above the limit of ${this.#limit} bytes.`,
        ),
      );
  }
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
