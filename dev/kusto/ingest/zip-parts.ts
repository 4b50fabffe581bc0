import type { Readable } from 'node:stream';
import { PassThrough, Transform } from 'node:stream';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { IngestionError } from './ingestion-error.ts';
import type { SourcePart } from './source-part.ts';
import { writeToFile } from './write-to-file.ts';

const STORED = 0;
const DEFLATED = 8;

export interface ZipInput {
  /** The archive. */
  readonly file: string;
  readonly sourcePath: string;
  /** Which entries are read; left out, all of them. */
  readonly pattern: string | undefined;
  readonly maxBytes: number;
}

/**
 * The files in a zip archive, in its order, each a part of the source; folders are none.
 * @throws IngestionError `BadRequest_InvalidArchive`, also for encrypted entries and other methods than Deflate (such as Deflate64);
 *   `BadRequest_EmptyArchive` when there is nothing to read; `BadRequest_FileTooLarge`.
 */
export async function openZip(
  input: ZipInput,
): Promise<{ parts: SourcePart[]; sizeBytes: number; close(): void; files: string[] }> {
  const archive = await attempt(input, () =>
    openPromise(input.file, { lazyEntries: true, autoClose: false }),
  );
  try {
    const matches = makeMatcher(input.pattern);
    const entries: Entry[] = [];
    await attempt(input, async () => {
      for await (const entry of archive.eachEntry()) {
        if (!entry.fileName.endsWith('/') && matches(entry.fileName)) entries.push(entry);
      }
    });
    for (const entry of entries) checkEntry(entry, input);
    if (entries.length === 0) {
      throw new IngestionError(
        'BadRequest_EmptyArchive',
        `${input.sourcePath} holds no file${input.pattern === undefined ? '' : ` that matches '${input.pattern}'`}.`,
      );
    }
    const sizeBytes = entries.reduce((sum, entry) => sum + entry.uncompressedSize, 0);
    if (sizeBytes > input.maxBytes) {
      throw new IngestionError(
        'BadRequest_FileTooLarge',
        `${input.sourcePath} is above the limit of ${input.maxBytes} bytes.`,
      );
    }
    const files: string[] = [];
    const parts = entries.map((entry, index): SourcePart => {
      const open = () => openEntry(archive, entry, input);
      return {
        open,
        toFile: async () => {
          const file = `${input.file}-${index}`;
          files.push(file);
          await writeToFile(await open(), file);
          return file;
        },
      };
    });
    return { parts, sizeBytes, files, close: () => archive.close() };
  } catch (error) {
    archive.close();
    throw error;
  }
}

async function attempt<T>(input: ZipInput, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw invalid(input, (error as Error).message);
  }
}

function invalid(input: ZipInput, reason: string): IngestionError {
  return new IngestionError(
    'BadRequest_InvalidArchive',
    `${input.sourcePath} is no readable zip archive: ${reason}.`,
  );
}

function checkEntry(entry: Entry, input: ZipInput): void {
  if (entry.isEncrypted()) throw invalid(input, `'${entry.fileName}' is encrypted`);
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED)
    throw invalid(input, `'${entry.fileName}' is compressed with method ${entry.compressionMethod}`);
}

/** The entry's bytes; the checksum that stands in the archive must be theirs. */
async function openEntry(archive: ZipFile, entry: Entry, input: ZipInput): Promise<Readable> {
  const stream = await attempt(input, () => archive.openReadStreamPromise(entry));
  let sum = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sum = crc32(chunk, sum);
      done(null, chunk);
    },
    flush(done) {
      done(sum === entry.crc32 ? null : invalid(input, `'${entry.fileName}' does not have its checksum`));
    },
  });
  const output = new PassThrough();
  stream.once('error', (error: Error) => output.destroy(invalid(input, error.message)));
  check.once('error', (error) => output.destroy(error));
  stream.pipe(check).pipe(output);
  return output;
}

/** A regular expression, as the service says; what is none (`*.csv`) is read as a wildcard. */
function makeMatcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined || pattern === '') return () => true;
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch {
    const text = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
    expression = new RegExp(`^${text.replaceAll('*', '.*').replaceAll('?', '.')}$`);
  }
  return (name) => expression.test(name);
}
