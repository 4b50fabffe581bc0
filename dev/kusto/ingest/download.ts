import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { cutSecrets, IngestionError } from './ingestion-error.ts';
import type { SourcePart } from './source-part.ts';
import { requestSource, SilenceWatch, toDownloadError } from './source-request.ts';
import { openZip } from './zip-parts.ts';

export const MAX_SOURCE_BYTES = 6 * 1024 ** 3;
/** Sources up to this size stay in memory; most of a load's small objects never touch the disk. */
const MEMORY_BYTES = 1024 * 1024;

/** A source's bytes, decompressed. */
export interface DownloadedSource {
  readonly sizeBytes: number;
  readonly parts: readonly SourcePart[];
  dispose(): Promise<void>;
}

export interface DownloadInput {
  readonly url: string;
  /** True for blobs that a client uploaded to a container of this endpoint: their names lie about compression. */
  readonly sniff: boolean;
  readonly treatGzAsUncompressed: boolean;
  /** Which entries of a zip archive are read; left out, all of them. */
  readonly zipPattern: string | undefined;
  /** For the decompressed bytes; a larger source fails. */
  readonly maxBytes: number;
  /** Folder for temporary files; it exists. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/**
 * Fetches one source by GET and decompresses it. An S3 URL is decompressed by the suffix of its path alone.
 * @throws IngestionError: permanent for 403, 404 and broken archives, transient for 5xx, 429 and the network.
 */
export async function downloadSource(input: DownloadInput): Promise<DownloadedSource> {
  const path = cutSecrets(input.url);
  const silence = new SilenceWatch();
  try {
    const response = await requestSource(input.url, AbortSignal.any([input.signal, silence.signal]));
    if (!response.body) throw new IngestionError('BadRequest_EmptyBlob', `${path} is empty.`);
    const body = Readable.fromWeb(response.body as import('node:stream/web').ReadableStream<Uint8Array>);
    try {
      return await receive(body, input, path, silence);
    } catch (error) {
      body.destroy();
      if (error instanceof IngestionError) throw error;
      throw toDownloadError(error, path);
    }
  } finally {
    silence.stop();
  }
}

async function receive(
  body: Readable,
  input: DownloadInput,
  path: string,
  silence: SilenceWatch,
): Promise<DownloadedSource> {
  const suffix = /\.(gz|zip)$/i.exec(decodeURIComponentSafely(path))?.[1]?.toLowerCase();
  const { head, stream } = await peek(body, silence);
  if (head.length === 0) throw new IngestionError('BadRequest_EmptyBlob', `${path} is empty.`);
  const isGzip = head[0] === 0x1f && head[1] === 0x8b;
  const isZip = head[0] === 0x50 && head[1] === 0x4b && [1, 3, 5].includes(head[2] ?? 0);
  const unzip = input.sniff ? isZip : suffix === 'zip';
  const gunzip = input.sniff ? isGzip : suffix === 'gz' && !input.treatGzAsUncompressed;
  const limit = new ByteLimit(input.maxBytes, path);
  const kept = await keep(gunzip ? [stream, guardGunzip(path), limit] : [stream, limit], input);
  if (unzip) {
    try {
      const file = await kept.toFile();
      const { parts, sizeBytes, close, files } = await openZip({
        file,
        sourcePath: path,
        pattern: input.zipPattern,
        maxBytes: input.maxBytes,
      });
      return {
        sizeBytes,
        parts,
        dispose: async () => {
          close();
          await Promise.all([kept.dispose(), ...files.map((name) => rm(name, { force: true }))]);
        },
      };
    } catch (error) {
      await kept.dispose();
      throw error;
    }
  }
  if (limit.count === 0) throw new IngestionError('Stream_NoDataToIngest', `${path} holds no data.`);
  return { sizeBytes: limit.count, parts: [kept], dispose: kept.dispose };
}

/** Small sources stay in memory, larger ones go to a file. */
async function keep(
  stages: readonly (Readable | Transform)[],
  input: DownloadInput,
): Promise<SourcePart & { dispose(): Promise<void> }> {
  const chunks: Buffer[] = [];
  let held = 0;
  let file: string | undefined;
  const name = join(input.folder, `${randomUUID()}.bin`);
  await pipeline([
    ...stages,
    async (source: AsyncIterable<Buffer>) => {
      const iterator = source[Symbol.asyncIterator]();
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        chunks.push(next.value);
        held += next.value.length;
        if (held <= MEMORY_BYTES) continue;
        file = name;
        const rest = async function* () {
          yield* chunks.splice(0);
          for (let more = await iterator.next(); !more.done; more = await iterator.next()) yield more.value;
        };
        await pipeline(rest, createWriteStream(file));
        return;
      }
    },
  ] as unknown as Parameters<typeof pipeline>[0] & NodeJS.ReadableStream[]).catch(async (error: unknown) => {
    if (file !== undefined) await rm(file, { force: true });
    throw error;
  });
  return {
    open: async () =>
      file === undefined
        ? Readable.from([Buffer.concat(chunks)])
        : createReadStream(file, { highWaterMark: 1024 * 1024 }),
    toFile: async () => {
      if (file === undefined) {
        file = name;
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

/** Bytes at hand as a source, for what is sent in the body of a request. */
export function makeInlineSource(bytes: Buffer): DownloadedSource {
  return {
    sizeBytes: bytes.length,
    parts: [
      {
        open: async () => Readable.from([bytes]),
        toFile: () =>
          Promise.reject(
            new IngestionError('BadRequest_FormatNotSupported', 'Parquet can not be ingested inline.'),
          ),
      },
    ],
    dispose: async () => undefined,
  };
}

/** The first bytes, and a stream that still has them. */
async function peek(body: Readable, silence: SilenceWatch): Promise<{ head: Buffer; stream: Readable }> {
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
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      silence.touch();
      yield next.value as Buffer;
    }
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
