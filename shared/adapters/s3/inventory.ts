import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';

import { type S3Object, versionOf } from '../../domain/s3-object.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { InventoryList, InventoryPage } from '../../ports/source.ts';

/** What of an object an inventory is read by. */
export interface InventoryBucket {
  readonly bucket: string;
  /** The whole object; `null` when it is not there. */
  open(key: string): Promise<{ readonly body: AsyncIterable<Uint8Array> } | null>;
  /** Bytes `start` to `end`, exclusive; `null` when the object is not there. */
  readRange(key: string, start: number, end: number): Promise<Uint8Array | null>;
  sizeOf(key: string): Promise<number | null>;
  /** Folders directly below a prefix that ends with `/`, in order. */
  folders(prefix: string): Promise<readonly string[]>;
}

/** `manifest.json`, as far as it is needed; see "Locating your inventory list" in the user guide of Amazon S3. */
interface Manifest {
  readonly sourceBucket?: string;
  readonly fileFormat?: string;
  readonly fileSchema?: string;
  /** Milliseconds since 1970, as a text. */
  readonly creationTimestamp?: string;
  readonly files?: readonly { readonly key?: string }[];
}

const NEEDED = ['Key', 'Size', 'LastModifiedDate', 'ETag'] as const;
/** A manifest names each file in about 200 bytes; one for 10^9 objects has some hundreds. */
const MOST_MANIFEST_BYTES = 16 * 1024 * 1024;

/** A key has at most 1,024 bytes, three characters each where it is URL-encoded. */
const MOST_LINE_CHARACTERS = 64 * 1024;

/** S3 splits a list into files of some hundred thousand rows; what unpacks to more than this is made to fill a disk or a day. */
const MOST_UNPACKED_BYTES = 4 * 1024 ** 3;

/** Writers of Parquet make pages of a megabyte or so, and row groups of 128 MB. */
const MOST_PAGE_BYTES = 64 * 1024 * 1024;
const MOST_PART_BYTES = 512 * 1024 * 1024;

const DATED_FOLDER = /\/\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z\/$/;

/** Finds the list at a location. @throws {LoaderError} `inventoryNotUsable`. */
export async function findInventory(
  bucket: InventoryBucket,
  { location, ofBucket }: { readonly location: string; readonly ofBucket: string },
): Promise<InventoryList> {
  for (const key of await manifestsAt(bucket, location)) {
    const found = await bucket.open(key);
    // The folder of a list that is being made has no manifest yet.
    if (found !== null) return readManifest(bucket, key, await readText(found.body), ofBucket);
  }
  throw notUsable(`there is no manifest.json at s3://${bucket.bucket}/${location}`);
}

async function manifestsAt(bucket: InventoryBucket, location: string): Promise<readonly string[]> {
  if (!location.endsWith('/')) return [location];
  const folders = (await bucket.folders(location)).filter((folder) => DATED_FOLDER.test(folder));
  return folders.reverse().map((folder) => `${folder}manifest.json`);
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of upTo(MOST_MANIFEST_BYTES, body, 'the manifest is too large to be one'))
    chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function readManifest(
  { bucket }: InventoryBucket,
  key: string,
  text: string,
  ofBucket: string,
): InventoryList {
  const manifest = parse(text);
  const { sourceBucket, fileFormat, fileSchema = '', creationTimestamp, files = [] } = manifest;
  const where = `s3://${bucket}/${key}`;
  if (sourceBucket !== ofBucket)
    throw notUsable(`${where} is about the bucket "${String(sourceBucket)}", not about "${ofBucket}"`);
  if (fileFormat !== 'CSV' && fileFormat !== 'Parquet')
    throw notUsable(`${where} is of the format ${String(fileFormat)}; it must be CSV or Parquet`);
  const columns = fileSchema.split(',').map((name) => name.trim());
  if (fileFormat === 'CSV') expectFields(columns, where);
  return {
    format: fileFormat,
    columns: fileFormat === 'CSV' ? columns : [],
    files: files.map((file) => file.key ?? ''),
    createdAt: new Date(Number(creationTimestamp) || 0).toISOString(),
  };
}

function parse(text: string): Manifest {
  try {
    const json = JSON.parse(text) as Manifest | null;
    return typeof json === 'object' && json !== null ? json : {};
  } catch {
    throw notUsable('the manifest is no JSON');
  }
}

function expectFields(columns: readonly string[], where: string): void {
  const missing = NEEDED.filter((name) => !columns.includes(name));
  if (missing.length > 0) throw notUsable(`${where} lacks the fields ${missing.join(', ')}`);
}

function notUsable(reason: string): LoaderError {
  return new LoaderError('inventoryNotUsable', `The S3 Inventory list can't be used: ${reason}`);
}

function isGone({ bucket }: InventoryBucket, key: string): LoaderError {
  return notUsable(`its file s3://${bucket}/${key} is not there`);
}

function damaged({ bucket }: InventoryBucket, key: string): LoaderError {
  return notUsable(`its file s3://${bucket}/${key} is damaged`);
}

/** A row by the names of CSV. */
type Row = Readonly<Record<string, string | undefined>>;

/** Reads a page of one file. @throws {LoaderError} `inventoryNotUsable`. */
export async function readInventory(
  bucket: InventoryBucket,
  { list, file, row, most }: { readonly list: InventoryList; file: number; row: number; most: number },
): Promise<InventoryPage> {
  const key = list.files[file];
  if (key === undefined) return { objects: [], next: null };
  const { rows, isLast } =
    list.format === 'CSV'
      ? await readCsv(bucket, key, list.columns, row, most)
      : await readParquet(bucket, key, row, most);
  const next = isLast ? { file: file + 1, row: 0 } : { file, row: row + rows.length };
  return {
    objects: rows.flatMap((one) => toS3Object(one)),
    next: next.file < list.files.length ? next : null,
  };
}

interface Rows {
  readonly rows: readonly Row[];
  readonly isLast: boolean;
}

async function readCsv(
  bucket: InventoryBucket,
  key: string,
  columns: readonly string[],
  from: number,
  most: number,
): Promise<Rows> {
  const found = await bucket.open(key);
  if (found === null) throw isGone(bucket, key);
  const rows: Row[] = [];
  let at = 0;
  try {
    for await (const line of linesOf(key.endsWith('.gz') ? unzipped(found.body) : found.body)) {
      if (rows.length === most) return { rows, isLast: false };
      if (at >= from) {
        const values = splitCsv(line);
        rows.push(decodeKey(Object.fromEntries(columns.map((name, index) => [name, values[index]]))));
      }
      at += 1;
    }
  } catch (error) {
    const isDamaged = String((error as { code?: unknown }).code).startsWith('Z_');
    throw isDamaged ? damaged(bucket, key) : error;
  }
  return { rows, isLast: true };
}

/** An error on either side ends both; leaving off early, too. */
function unzipped(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const unzip = zlib.createGunzip();
  pipeline(Readable.from(body), unzip, () => undefined);
  return upTo(MOST_UNPACKED_BYTES, unzip, 'a file of it unpacks to more than S3 ever writes');
}

/** @throws {LoaderError} `inventoryNotUsable`, for the reason given, when there is more than that. */
export async function* upTo(
  mostBytes: number,
  body: AsyncIterable<Uint8Array>,
  reason: string,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw notUsable(reason);
    yield chunk;
  }
}

/** Lines that hold anything. */
async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
    rest = lines.pop()!;
    if (rest.length > MOST_LINE_CHARACTERS) throw notUsable('it has a line that is too long');
    for (const line of lines) if (line !== '') yield line;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}

/** S3 writes each value in quotes, and keys URL-encoded, so that no line is broken. */
export function splitCsv(line: string): readonly string[] {
  const values: string[] = [];
  const value = /(?:"((?:[^"]|"")*)"|([^,]*))(,|$)/gy;
  for (let match = value.exec(line); match !== null; match = value.exec(line)) {
    values.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    if (match[3] === '') break;
  }
  return values;
}

async function readParquet(bucket: InventoryBucket, key: string, from: number, most: number): Promise<Rows> {
  const byteLength = await bucket.sizeOf(key);
  if (byteLength === null) throw isGone(bucket, key);
  const hyparquet = await import('hyparquet');
  try {
    return await parseParquet(hyparquet, bucket, { key, byteLength, from, most });
  } catch (error) {
    // Whatever a parser stumbles over; what was refused or did not answer is told as such.
    throw error instanceof LoaderError ? error : damaged(bucket, key);
  }
}

interface ParquetPart {
  readonly key: string;
  readonly byteLength: number;
  /** Row that the page begins with. */
  readonly from: number;
  readonly most: number;
}

async function parseParquet(
  { parquetMetadataAsync, parquetReadObjects, snappyUncompress }: typeof import('hyparquet'),
  bucket: InventoryBucket,
  { key, byteLength, from, most }: ParquetPart,
): Promise<Rows> {
  const file = {
    byteLength,
    slice: async (start: number, end = byteLength) => {
      // S3's refusal of such a range would read like a failure that passes.
      if (!(start >= 0 && start < end && start < byteLength)) throw damaged(bucket, key);
      if (end - start > MOST_PART_BYTES) throw notUsable(`s3://${bucket.bucket}/${key} has too large a part`);
      const bytes = await bucket.readRange(key, start, end);
      if (bytes === null) throw isGone(bucket, key);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    },
  };
  const metadata = await parquetMetadataAsync(file);
  const rowEnd = Math.min(from + most, Number(metadata.num_rows));
  const found = new Set(metadata.schema.map(({ name }) => name));
  const missing = Object.entries(PARQUET_NAMES).filter(
    ([name, column]) => (NEEDED as readonly string[]).includes(name) && !found.has(column),
  );
  if (missing.length > 0)
    throw notUsable(
      `s3://${bucket.bucket}/${key} lacks the fields ${missing.map(([name]) => name).join(', ')}`,
    );
  const columns = Object.values(PARQUET_NAMES).filter((name) => found.has(name));
  const rows =
    rowEnd <= from
      ? []
      : await parquetReadObjects({
          file,
          metadata,
          columns,
          rowStart: from,
          rowEnd,
          compressors: compressorsWith(snappyUncompress),
        });
  return {
    rows: rows.map((row) =>
      Object.fromEntries(Object.entries(PARQUET_NAMES).map(([name, column]) => [name, textOf(row[column])])),
    ),
    isLast: rowEnd >= Number(metadata.num_rows),
  };
}

/** Columns of Parquet files by the names of CSV. */
const PARQUET_NAMES = {
  Key: 'key',
  Size: 'size',
  LastModifiedDate: 'last_modified_date',
  ETag: 'e_tag',
  StorageClass: 'storage_class',
  IsLatest: 'is_latest',
  IsDeleteMarker: 'is_delete_marker',
} as const;

type Unpack = (input: Uint8Array, unpackedBytes: number) => Uint8Array;

/** Each gives what the page says of its size and no more. */
function compressorsWith(snappyUncompress: (input: Uint8Array, output: Uint8Array) => void) {
  const within =
    (unpack: Unpack): Unpack =>
    (input, unpackedBytes) => {
      if (unpackedBytes > MOST_PAGE_BYTES)
        throw notUsable('a page of it unpacks to more than S3 ever writes');
      return unpack(input, unpackedBytes);
    };
  return {
    SNAPPY: within((input, unpackedBytes) => {
      const output = new Uint8Array(unpackedBytes);
      snappyUncompress(input, output);
      return output;
    }),
    GZIP: within((input, size) => zlib.gunzipSync(input, { maxOutputLength: Math.max(1, size) })),
    ZSTD: within((input, size) => zlib.zstdDecompressSync(input, { maxOutputLength: Math.max(1, size) })),
  };
}

function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  return value instanceof Date ? value.toISOString() : String(value);
}

/** None for versions that are not the present one. */
function toS3Object(row: Row): readonly S3Object[] {
  if (row['IsLatest']?.toLowerCase() === 'false' || row['IsDeleteMarker']?.toLowerCase() === 'true')
    return [];
  const { Key: key, ETag: etag, Size: size } = row;
  const modified = new Date(row['LastModifiedDate'] ?? '');
  if (
    key === undefined ||
    key === '' ||
    etag === undefined ||
    etag === '' ||
    Number.isNaN(modified.getTime())
  )
    throw notUsable('it has a row without key, ETag or LastModifiedDate');
  return [
    {
      key,
      version: versionOf({ etag }),
      sizeBytes: Number(size ?? 0),
      lastModified: modified.toISOString(),
      storageClass: row['StorageClass'] || 'STANDARD',
    },
  ];
}

function decodeKey(row: Row): Row {
  try {
    return { ...row, Key: decodeURIComponent((row['Key'] ?? '').replaceAll('+', ' ')) };
  } catch {
    throw notUsable('it has a key that is not URL-encoded');
  }
}
