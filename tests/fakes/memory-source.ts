import { createHash } from 'node:crypto';
import { type S3Object, versionIdOf, versionOf } from '../../shared/domain/s3-object.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';
import type { Source } from '../../shared/ports/source.ts';

/** What a test says of an object; everything but the key has a default. */
export interface MemoryObject {
  readonly key: string;
  /** Default 100. */
  readonly sizeBytes?: number;
  /** ISO 8601. Default: what `now` says. */
  readonly lastModified?: string;
  /** Default `STANDARD`. */
  readonly storageClass?: string;
  /** Default `e:<hash of key and count of puts>`, so that every put of a key gives another version. */
  readonly version?: string;
}

export interface PresignCall {
  readonly key: string;
  readonly version: string;
  readonly lifetimeMs: number;
  readonly url: string;
}

type Method =
  | 'resolve'
  | 'signIn'
  | 'canRead'
  | 'listPage'
  | 'listFolders'
  | 'readInventory'
  | 'head'
  | 'countParquetRows'
  | 'presignGet';

/** A `Source` that keeps its bucket in memory, with controls for tests. */
export interface MemorySource extends Source {
  /** The same bucket for loads that pin versions: each put has a version id and is kept, also when its key is removed. */
  readonly withVersions: Source;
  put(object: MemoryObject): S3Object;
  remove(key: string): void;
  /** What `countParquetRows` answers for the key as long as it is there. Default: it is no Parquet file. */
  setParquetRows(key: string, rows: number): void;
  /** What stands under the key, seen without a request. */
  present(key: string): S3Object | null;
  /** Makes an inventory list of what is there now, in files of so many rows; it is found at any location. */
  takeInventory(rowsPerFile: number): void;
  /** End of the credentials from now on. */
  endCredentialsAt(end: Date): void;
  /** The next `times` calls of the method throw the error. */
  failNext(method: Method, error: LoaderError, times?: number): void;
  /** Every URL that was signed, in order. */
  readonly presignCalls: readonly PresignCall[];
  /** How often each method was called, failed calls included. */
  readonly callCounts: Readonly<Record<Method, number>>;
}

export interface MemorySourceOptions {
  /** Default `memory-bucket`. */
  readonly bucket?: string;
  readonly objects?: readonly MemoryObject[];
  /** Most keys of one page. Default 1,000, which is S3's. */
  readonly pageSize?: number;
  /** Default the clock of the machine. */
  readonly now?: () => Date;
  /** End of the credentials; no URL outlives it. Default: they have none. */
  readonly credentialsExpireAt?: Date | null;
}

export function createMemorySource(options: MemorySourceOptions = {}): MemorySource {
  const { bucket = 'memory-bucket', pageSize = 1000 } = options;
  let credentialsExpireAt = options.credentialsExpireAt ?? null;
  const now = options.now ?? (() => new Date());
  const objects = new Map<string, S3Object>();
  const presignCalls: PresignCall[] = [];
  const callCounts: Record<Method, number> = {
    resolve: 0,
    signIn: 0,
    canRead: 0,
    listPage: 0,
    listFolders: 0,
    readInventory: 0,
    head: 0,
    countParquetRows: 0,
    presignGet: 0,
  };
  const failures: Record<Method, LoaderError[]> = {
    resolve: [],
    signIn: [],
    canRead: [],
    listPage: [],
    listFolders: [],
    readInventory: [],
    head: [],
    countParquetRows: [],
    presignGet: [],
  };
  let sorted: S3Object[] | null = null;
  /** Version ids of every put, by key. */
  const kept = new Map<string, Set<string>>();
  const parquetRows = new Map<string, number>();
  let puts = 0;
  let inventory: S3Object[][] | null = null;

  const count = (method: Method) => {
    callCounts[method] += 1;
    const error = failures[method].shift();
    if (error !== undefined) throw error;
  };

  const requireLeft = (leastLeftMs: number) => {
    if (
      leastLeftMs > 0 &&
      credentialsExpireAt !== null &&
      credentialsExpireAt <= new Date(now().getTime() + leastLeftMs)
    )
      throw new LoaderError('credentialsEndTooSoon', `They end at ${credentialsExpireAt.toISOString()}.`);
  };

  const pinned = (object: S3Object): S3Object => ({ ...object, version: idOf(object) });
  const withVersions: Source = {
    resolve: () => source.resolve(),
    signIn: (leastLeftMs) => source.signIn(leastLeftMs),
    listFolders: (input) => source.listFolders(input),
    findInventory: (input) => source.findInventory(input),
    readInventory: (input) => source.readInventory(input),
    presignGet: (input) => source.presignGet(input),
    // As of S3, where an answer may be full of keys that were deleted.
    async listPage({ prefix, startAfter, signal }) {
      count('listPage');
      signal?.throwIfAborted();
      const after = startAfter === null ? null : Buffer.from(startAfter);
      const rest = [...kept.keys()]
        .filter((key) => key.startsWith(prefix))
        .map((key) => ({ key, bytes: Buffer.from(key) }))
        .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
        .filter(({ bytes }) => after === null || Buffer.compare(bytes, after) > 0);
      const page = rest.slice(0, pageSize).map(({ key }) => key);
      const found = page.flatMap((key) => objects.get(key) ?? []).map(pinned);
      return rest.length <= pageSize
        ? { objects: found, isLast: true }
        : { objects: found, isLast: false, upTo: page.at(-1)! };
    },
    async head(key) {
      const object = await source.head(key);
      return object === null ? null : pinned(object);
    },
    async canRead({ key, version }) {
      count('canRead');
      return kept.get(key)?.has(version) ?? false;
    },
    async countParquetRows({ key, version }) {
      count('countParquetRows');
      return kept.get(key)?.has(version) === true ? (parquetRows.get(key) ?? null) : null;
    },
  };

  const source: MemorySource = {
    withVersions,
    endCredentialsAt(end) {
      credentialsExpireAt = end;
    },
    presignCalls,
    callCounts,
    put(object) {
      puts += 1;
      const etag = createHash('md5').update(`${object.key}\n${puts}`).digest('hex');
      const stored: S3Object = {
        key: object.key,
        version: object.version ?? versionOf({ etag }),
        sizeBytes: object.sizeBytes ?? 100,
        lastModified: object.lastModified ?? now().toISOString(),
        storageClass: object.storageClass ?? 'STANDARD',
      };
      objects.set(stored.key, stored);
      kept.set(stored.key, (kept.get(stored.key) ?? new Set()).add(idOf(stored)));
      sorted = null;
      return stored;
    },
    remove(key) {
      objects.delete(key);
      sorted = null;
    },
    setParquetRows(key, rows) {
      parquetRows.set(key, rows);
    },
    present: (key) => objects.get(key) ?? null,
    failNext(method, error, times = 1) {
      for (let index = 0; index < times; index += 1) failures[method].push(error);
    },
    async resolve() {
      count('resolve');
      return [`${bucket}.s3.memory.invalid`];
    },
    async signIn(leastLeftMs = 0) {
      count('signIn');
      requireLeft(leastLeftMs);
      return 'access key that ends with MORY';
    },
    async canRead({ key, version }) {
      count('canRead');
      return objects.get(key)?.version === version;
    },
    async listPage({ prefix, startAfter, signal }) {
      count('listPage');
      signal?.throwIfAborted();
      sorted ??= [...objects.values()].sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
      const after = startAfter === null ? null : Buffer.from(startAfter);
      const rest = sorted.filter(
        ({ key }) =>
          key.startsWith(prefix) && (after === null || Buffer.compare(Buffer.from(key), after) > 0),
      );
      return { objects: rest.slice(0, pageSize), isLast: rest.length <= pageSize };
    },
    takeInventory(rowsPerFile) {
      inventory = [];
      // In no order, as S3 promises none.
      const all = [...objects.values()].reverse();
      for (let at = 0; at < all.length; at += rowsPerFile) inventory.push(all.slice(at, at + rowsPerFile));
    },
    async findInventory({ location }) {
      if (inventory === null)
        throw new LoaderError('inventoryNotUsable', `There is no manifest.json at ${location}`);
      const files = inventory.map((_, index) => `inventory/${index}.csv.gz`);
      return { format: 'CSV', columns: [], files, createdAt: now().toISOString() };
    },
    async readInventory({ list, file, row, most }) {
      count('readInventory');
      const rows = inventory?.[file] ?? [];
      const page = rows.slice(row, row + most);
      const isLast = row + page.length >= rows.length;
      const next = isLast ? { file: file + 1, row: 0 } : { file, row: row + page.length };
      return { objects: page, next: next.file < list.files.length ? next : null };
    },
    async listFolders({ prefix, startAfter }) {
      count('listFolders');
      const folders: string[] = [];
      let hasKeys = false;
      let looked = 0;
      const keys = [...objects.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const key of keys) {
        if (!key.startsWith(prefix)) continue;
        if (startAfter !== null && Buffer.compare(Buffer.from(key), Buffer.from(startAfter)) <= 0) continue;
        const end = key.indexOf('/', prefix.length);
        const folder = end < 0 ? null : key.slice(0, end + 1);
        if (folder !== null && folder === folders.at(-1)) continue;
        if (looked === pageSize) return { folders, hasKeys, isLast: false };
        looked += 1;
        if (folder === null) hasKeys = true;
        else folders.push(folder);
      }
      return { folders, hasKeys, isLast: true };
    },
    async head(key) {
      count('head');
      return objects.get(key) ?? null;
    },
    async countParquetRows({ key, version }) {
      count('countParquetRows');
      return objects.get(key)?.version === version ? (parquetRows.get(key) ?? null) : null;
    },
    async presignGet({ key, version, lifetimeMs, leastLeftMs = 0 }) {
      count('presignGet');
      requireLeft(leastLeftMs);
      const signedAt = Math.floor(now().getTime() / 1000) * 1000;
      const wanted = signedAt + Math.max(1, Math.ceil(lifetimeMs / 1000)) * 1000;
      const expiresAt = new Date(Math.min(wanted, credentialsExpireAt?.getTime() ?? wanted));
      const path = key.split('/').map(encodeURIComponent).join('/');
      const versionId = versionIdOf(version);
      const query = versionId === null ? '' : `versionId=${encodeURIComponent(versionId)}&`;
      const url = `https://${bucket}.s3.memory.invalid/${path}?${query}X-Amz-Signature=${'0'.repeat(64)}`;
      presignCalls.push({ key, version, lifetimeMs, url });
      return { url, expiresAt };
    },
  };
  for (const object of options.objects ?? []) source.put(object);
  return source;
}

function idOf({ version }: S3Object): string {
  return version.replace(/^e:/, 'v:');
}
