import { createHash } from 'node:crypto';

import type { IngestionStatus } from '../../shared/domain/ingestion-status.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';
import type { Ingestion, IngestionRequest, PostResult } from '../../shared/ports/ingestion.ts';

/**
 * How a post is to end.
 * - `throttled`: refused, because the queues are asked too often.
 * - `ambiguousLost`, `ambiguousArrived`: the caller sees `ambiguous` both times; the message is in the queue only
 *   the second time.
 */
export type PostEnding = 'accepted' | 'refused' | 'throttled' | 'ambiguousLost' | 'ambiguousArrived';

export interface PostAttempt {
  readonly request: IngestionRequest;
  readonly result: PostResult['result'];
  /** The message is in ADX's queue, whatever the caller was told. */
  readonly arrived: boolean;
}

export interface MemoryTable {
  /** Default 10 s. */
  readonly batchingWindowMs?: number;
  /** Names of ingestion mappings. Default none. */
  readonly mappings?: readonly string[];
}

type Method =
  | 'resolve'
  | 'signIn'
  | 'readRoles'
  | 'describeTable'
  | 'warmUp'
  | 'readStatuses'
  | 'removeStatuses'
  | 'countRowsByTag'
  | 'countRowsByPath'
  | 'listExtents'
  | 'dropExtents'
  | 'listDependents';

/** An `Ingestion` without a cluster, with controls for tests. */
export interface MemoryIngestion extends Ingestion {
  /** Every call of `post`, in order. */
  readonly attempts: readonly PostAttempt[];
  /** The messages that are in the queue, in order; what ADX would ingest. */
  readonly messages: readonly IngestionRequest[];
  /** Decides how posts end from now on; called once per post with its number, from 0. */
  endPosts(decide: PostEnding | ((request: IngestionRequest, attempt: number) => PostEnding)): void;
  /** Puts a status where ADX would write it; what is left out is `null`, `updatedAt` is what `now` says. */
  setStatus(sourceId: string, status: Partial<IngestionStatus> & Pick<IngestionStatus, 'status'>): void;
  /** The same status for every message in the queue that is still `Pending`; returns how many. */
  settleAll(status?: Partial<IngestionStatus> & Pick<IngestionStatus, 'status'>): number;
  /** ADX ingests a message and never reports on it. */
  ingestSilently(sourceId: string): void;
  /** Makes a status entity disappear. */
  removeStatus(sourceId: string): void;
  /** What `countRowsByTag` answers for the tag; without it the answer is 0. */
  setRowCount(tag: string, rows: number | null): void;
  /** Rows that messages about the URL's path bring; `countRowsByTag` and `countRowsByPath` then count what was ingested. */
  setRowsOf(path: string, rows: number): void;
  /** Messages whose rows are in the table now: ingested and not dropped. Each is one extent, of one row unless told otherwise. */
  readonly rows: readonly IngestionRequest[];
  /** What `countRowsByPath` answers from now on, as `null` when the identity may not ask. */
  answerPaths(rows: ReadonlyMap<string, number> | null): void;
  /** What `listDependents` answers from now on. Default nothing. */
  setDependents(names: readonly string[]): void;
  /** A tag that the extent of a message carries from now on instead of its own, or in addition. */
  setTags(sourceId: string, tags: readonly string[]): void;
  /** The next `times` calls of the method throw the error. */
  failNext(method: Method, error: LoaderError, times?: number): void;
  /** How often each method was called, failed calls included; `readStatuses` counts calls, not ids. */
  readonly callCounts: Readonly<Record<Method, number>>;
}

export interface MemoryIngestionOptions {
  /** Tables by `database/table`. Without it every database, table and mapping exists. */
  readonly tables?: Readonly<Record<string, MemoryTable>>;
  /** Default the clock of the machine. */
  readonly now?: () => Date;
}

const DEFAULT_WINDOW_MS = 10_000;

export function createMemoryIngestion(options: MemoryIngestionOptions = {}): MemoryIngestion {
  const { tables } = options;
  const now = options.now ?? (() => new Date());
  const attempts: PostAttempt[] = [];
  const messages: IngestionRequest[] = [];
  const statuses = new Map<string, IngestionStatus>();
  const rowCounts = new Map<string, number | null>();
  const callCounts: Record<Method, number> = {
    resolve: 0,
    signIn: 0,
    readRoles: 0,
    describeTable: 0,
    warmUp: 0,
    readStatuses: 0,
    removeStatuses: 0,
    countRowsByTag: 0,
    countRowsByPath: 0,
    listExtents: 0,
    dropExtents: 0,
    listDependents: 0,
  };
  const rowsOf = new Map<string, number>();
  const dropped = new Set<string>();
  const unreported = new Set<string>();
  const retagged = new Map<string, readonly string[]>();
  let dependents: readonly string[] = [];
  let paths: ReadonlyMap<string, number> | null | undefined;
  const failures: Record<Method, LoaderError[]> = {
    resolve: [],
    signIn: [],
    readRoles: [],
    describeTable: [],
    warmUp: [],
    readStatuses: [],
    removeStatuses: [],
    countRowsByTag: [],
    countRowsByPath: [],
    listExtents: [],
    dropExtents: [],
    listDependents: [],
  };
  const usedIds = new Set<string>();
  let decide: (request: IngestionRequest, attempt: number) => PostEnding = () => 'accepted';

  const count = (method: Method) => {
    callCounts[method] += 1;
    const error = failures[method].shift();
    if (error !== undefined) throw error;
  };

  const log = (request: IngestionRequest, result: PostResult, arrived: boolean): PostResult => {
    attempts.push({ request, result: result.result, arrived });
    if (arrived) messages.push(request);
    return result;
  };

  const countPaths = (tag: string) => {
    const counted = new Map<string, number>();
    for (const { url, tags } of fake.rows) {
      const path = url.split('?')[0]!;
      const rows = rowsOf.get(new URL(path).pathname);
      if (rows !== undefined && tags.includes(tag)) counted.set(path, (counted.get(path) ?? 0) + rows);
    }
    return counted;
  };

  const fake: MemoryIngestion = {
    attempts,
    messages,
    callCounts,
    endPosts(ending) {
      decide = typeof ending === 'function' ? ending : () => ending;
    },
    setStatus(sourceId, status) {
      statuses.set(sourceId, {
        errorCode: null,
        failureStatus: null,
        details: null,
        updatedAt: now().toISOString(),
        ...status,
      });
    },
    settleAll(status = { status: 'Succeeded' }) {
      const pending = messages.filter(({ sourceId }) => statuses.get(sourceId)?.status === 'Pending');
      for (const { sourceId } of pending) fake.setStatus(sourceId, status);
      return pending.length;
    },
    ingestSilently(sourceId) {
      unreported.add(sourceId);
    },
    removeStatus(sourceId) {
      statuses.delete(sourceId);
    },
    get rows() {
      return messages.filter(
        ({ sourceId }) =>
          (statuses.get(sourceId)?.status === 'Succeeded' || unreported.has(sourceId)) &&
          !dropped.has(sourceId),
      );
    },
    answerPaths(rows) {
      paths = rows;
    },
    setDependents(names) {
      dependents = names;
    },
    setTags(sourceId, tags) {
      retagged.set(sourceId, tags);
    },
    setRowsOf(path, rows) {
      rowsOf.set(path, rows);
    },
    setRowCount(tag, rows) {
      rowCounts.set(tag, rows);
    },
    failNext(method, error, times = 1) {
      for (let index = 0; index < times; index += 1) failures[method].push(error);
    },
    async describeTable({ database, table, mapping }) {
      count('describeTable');
      if (tables === undefined) return { batchingWindowMs: DEFAULT_WINDOW_MS };
      const found = tables[`${database}/${table}`];
      if (found === undefined) {
        const hasDatabase = Object.keys(tables).some((name) => name.startsWith(`${database}/`));
        if (!hasDatabase) throw new LoaderError('databaseNotFound', `There is no database "${database}".`);
        throw new LoaderError('tableNotFound', `There is no table "${table}" in database "${database}".`);
      }
      if (mapping !== null && !(found.mappings ?? []).includes(mapping)) {
        throw new LoaderError('mappingNotFound', `Table "${table}" has no ingestion mapping "${mapping}".`);
      }
      return { batchingWindowMs: found.batchingWindowMs ?? DEFAULT_WINDOW_MS };
    },
    async resolve() {
      count('resolve');
      return ['memory.invalid'];
    },
    async signIn() {
      count('signIn');
      return 'application memory';
    },
    async readRoles() {
      count('readRoles');
      return ['Ingestor'];
    },
    async warmUp() {
      count('warmUp');
    },
    async post(request) {
      // As in the real adapter: the status entity of an id is written once, so an id is posted once at most.
      if (usedIds.has(request.sourceId)) {
        return log(request, { result: 'ambiguous', message: 'This source id was used before.' }, false);
      }
      usedIds.add(request.sourceId);
      const ending = decide(request, attempts.length);
      fake.setStatus(request.sourceId, { status: 'Pending' });
      switch (ending) {
        case 'accepted':
          return log(request, { result: 'accepted' }, true);
        case 'refused':
          return log(request, { result: 'refused', message: 'Every queue refused the message.' }, false);
        case 'throttled':
          return log(
            request,
            { result: 'refused', message: 'Every queue was busy.', throttled: true },
            false,
          );
        default:
          return log(
            request,
            { result: 'ambiguous', message: 'The queue did not answer in time.' },
            ending === 'ambiguousArrived',
          );
      }
    },
    postRows: ({ body, ...request }) =>
      fake.post({ ...request, url: `https://memory.invalid/${request.sourceId}`, rawSizeBytes: body.length }),
    async readStatuses(sourceIds) {
      count('readStatuses');
      return new Map(sourceIds.map((id) => [id, statuses.get(id) ?? null]));
    },
    async removeStatuses(sourceIds) {
      count('removeStatuses');
      return sourceIds.filter((id) => statuses.delete(id)).length;
    },
    async countRowsByTag({ tag }) {
      count('countRowsByTag');
      const rows = rowCounts.get(tag);
      return rows === undefined ? [...countPaths(tag).values()].reduce((sum, one) => sum + one, 0) : rows;
    },
    async countRowsByPath({ tag, md5Prefix, keys }) {
      count('countRowsByPath');
      const isPart = (path: string) => createHash('md5').update(path).digest('hex').startsWith(md5Prefix);
      const isOneOf = (path: string) =>
        keys === undefined || path === '' || keys.some((key) => decodeURIComponent(path).endsWith(`/${key}`));
      if (paths !== undefined) return paths;
      return new Map([...countPaths(tag)].filter(([path]) => isPart(path) && isOneOf(path)));
    },
    async listExtents({ table, tag }) {
      count('listExtents');
      return fake.rows
        .filter((message) => message.table === table)
        .map(({ sourceId, tags, url }) => ({
          id: sourceId,
          rows: rowsOf.get(new URL(url).pathname) ?? 1,
          tags: retagged.get(sourceId) ?? tags,
        }))
        .filter((extent) => extent.tags.includes(tag));
    },
    async dropExtents({ table, tag, extentIds }) {
      count('dropExtents');
      for (const { sourceId, tags, table: of } of fake.rows) {
        const isIt = of === table && (retagged.get(sourceId) ?? tags).includes(tag);
        if (isIt && extentIds.includes(sourceId)) dropped.add(sourceId);
      }
    },
    async listDependents() {
      count('listDependents');
      return dependents;
    },
  };
  return fake;
}
