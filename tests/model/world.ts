import { ledgerTable } from '../../shared/adapters/state/ledger-table.ts';
import { loadTable } from '../../shared/adapters/state/load-table.ts';
import { memoryDocuments } from '../../shared/adapters/state/memory-documents.ts';
import { runTable } from '../../shared/adapters/state/run-table.ts';
import type { LedgerEntry } from '../../shared/domain/ledger-entry.ts';
import type { ObjectOutcome } from '../../shared/domain/run-summary.ts';
import type { Timing } from '../../shared/domain/settle-timing.ts';
import type { Documents } from '../../shared/ports/documents.ts';
import type { IngestionRequest, PostResult } from '../../shared/ports/ingestion.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { createMemoryIngestion, type MemoryIngestion, type PostEnding } from '../fakes/memory-ingestion.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../fakes/memory-orchestrations.ts';
import { createMemorySource, type MemorySource } from '../fakes/memory-source.ts';
import { createTestLoader, type TestClock } from '../fakes/test-loader.ts';
import { createModelTable } from './model-table.ts';

/** The product's own times, but for those of the looks: fewer looks make the same decisions. */
const LOOKS: Partial<Timing> = { settleDeadlineMs: 20_000 };

/** How a post may end: as in the fake, or `arrivesLate`: its caller learns nothing, and the message is on its way. */
export type Ending = PostEnding | 'arrivesLate';

/** A message to ADX, from the post on. */
export interface Message {
  readonly sourceId: string;
  readonly key: string;
  readonly version: string;
  /** Its URL names the version, which can be read also when its key holds another one, or nothing. */
  readonly isPinned: boolean;
  readonly postedAt: number;
  /** End of its URL, milliseconds. */
  readonly expiresAt: number;
  /** `false` while it is on its way to the queue. */
  hasArrived: boolean;
  /** ADX has loaded the object by it. */
  hasRows: boolean;
  /** The version that ADX read: its own, or the one that the key held then; `null` before. */
  loadedVersion: string | null;
  /** ADX's last word on it, and when it was said, milliseconds. */
  report: 'Succeeded' | 'Failed' | null;
  reportedAt: number;
  /**
   * When what the key held was written, milliseconds, at the time at which a run called the object ingested by this message;
   * `null`: it held nothing, `undefined`: no run has done so.
   */
  keyWrittenAt: number | null | undefined;
}

/** A bucket, ADX, state and a clock, in which the use cases run as they are. */
export interface World {
  readonly loader: Loader;
  readonly clock: TestClock;
  readonly source: MemorySource;
  readonly ingestion: MemoryIngestion;
  readonly orchestrations: MemoryOrchestrations;
  readonly messages: readonly Message[];
  /** How the next post ends; `accepted` unless told otherwise. */
  endNextPost(ending: Ending): void;
  /** Puts a message in a second time, as a client would that sends again after a lost answer. */
  sendAgain(sourceId: string): void;
  /** ADX reads the object of a message, if its URL still works; and says so, or not. */
  load(message: Message): void;
  report(message: Message, status: 'Succeeded' | 'Failed'): void;
  /** Until a message is dead: ADX has reported on it, or nobody can download its URL any more. */
  isLive(message: Message): boolean;
  /** Entries of all keys that there were. */
  ledger(): Promise<ReadonlyMap<string, LedgerEntry>>;
  /** Takes out of a text what differs from execution to execution. */
  canonical(text: string): string;
  /** Equal for worlds that look the same to everybody. */
  fingerprint(): string;
}

const SOURCE_ID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;

/** Documents of runs are kept in memory by the run's id, so that no two worlds may have runs of one id. */
let worlds = 0;

/** @param keepsVersions - each put has a version id, and its version stays. Default: as a bucket without versions. */
export function createWorld(keepsVersions = false): World {
  const base = createTestLoader();
  const { clock } = base;
  worlds += 1;
  const mark = `w${String(worlds).padStart(7, '0')}`;
  let runs = 0;
  const memorySource = createMemorySource({ now: clock.now });
  const keys = new Set<string>();
  let puts = 0;
  const source: MemorySource = {
    ...memorySource,
    put: (object) => {
      keys.add(object.key);
      puts += 1;
      return memorySource.put({ ...object, ...(keepsVersions ? { version: `v:${puts}` } : {}) });
    },
  };
  const ingestion = createMemoryIngestion({ now: clock.now });
  const tables = {
    ledger: createModelTable(),
    runs: createModelTable(),
    loads: createModelTable(),
    pending: createModelTable(),
  };
  const orchestrations = createMemoryOrchestrations();
  const messages: Message[] = [];
  const writers = new Map<string, string>();
  /** What each source id was made of: ids are hashes of run ids, which hold the mark. */
  const attempts = new Map<string, string>();

  const canonical = (text: string): string =>
    text
      .replaceAll(mark, 'w')
      // Manifests have names of their writers' own, which say nothing: they are numbered as they are written.
      .replaceAll(/-[0-9a-f]{8}\.ndjson/g, (name) => {
        if (!writers.has(name)) writers.set(name, `-m${writers.size}.ndjson`);
        return writers.get(name)!;
      })
      .replaceAll(SOURCE_ID, (id) => attempts.get(id) ?? id);
  const documents = createTrackedDocuments(canonical, (path, body) => {
    if (!path.includes('/outcomes/')) return;
    for (const message of messages)
      for (const line of body.split('\n').filter((one) => one.includes(message.sourceId)))
        if ((JSON.parse(line) as ObjectOutcome).state === 'ingested') {
          const present = source.present(message.key);
          message.keyWrittenAt = present === null ? null : Date.parse(present.lastModified);
        }
  });

  let nextEnding: Ending = 'accepted';
  /** Posts, and notes the message if there is one. */
  const post = async (request: IngestionRequest): Promise<PostResult> => {
    const ending = nextEnding;
    nextEnding = 'accepted';
    ingestion.endPosts(ending === 'arrivesLate' ? 'ambiguousLost' : ending);
    const isFirst = ingestion.attempts.every((one) => one.request.sourceId !== request.sourceId);
    const result = await ingestion.post(request);
    const hasArrived = ingestion.attempts.at(-1)!.arrived;
    if (!hasArrived && !(ending === 'arrivesLate' && isFirst)) return result;
    const url = new URL(request.url);
    messages.push({
      sourceId: request.sourceId,
      key: decodeURIComponent(url.pathname.slice(1)),
      version: url.searchParams.get('version')!,
      isPinned: url.searchParams.has('versionId'),
      postedAt: clock.now().getTime(),
      expiresAt: Number(url.searchParams.get('until')),
      hasArrived,
      hasRows: false,
      loadedVersion: null,
      report: null,
      reportedAt: 0,
      keyWrittenAt: undefined,
    });
    return result;
  };

  const ledger = ledgerTable(tables.ledger);
  const timing: Timing = { ...base.loader.timing, ...LOOKS };
  const loader: Loader = {
    ...base.loader,
    timing,
    documents,
    ledger: {
      ...ledger,
      write: (name, writes) => {
        // The first to write an id is the attempt itself, an intent.
        for (const { entry } of writes)
          if (!attempts.has(entry.sourceId))
            attempts.set(
              entry.sourceId,
              `${entry.runId} ${entry.key} ${entry.attemptSeq}`.replace(mark, 'w'),
            );
        return ledger.write(name, writes);
      },
    },
    runs: runTable(tables.runs),
    loads: loadTable(tables),
    randomSuffix: () => `${mark}${(runs += 1)}`,
    source: async () => ({
      ...source,
      // What the URL says only to the model: which version it was made for, and until when it works.
      presignGet: async (input) => {
        const { url, expiresAt } = await source.presignGet(input);
        return { url: `${url}&version=${input.version}&until=${expiresAt!.getTime()}`, expiresAt };
      },
    }),
    ingestion: async () => ({ ...ingestion, post }),
  };

  const world: World = {
    loader,
    clock,
    source,
    ingestion,
    orchestrations,
    messages,
    endNextPost(ending) {
      nextEnding = ending;
    },
    sendAgain(sourceId) {
      messages.push({ ...messages.find((message) => message.sourceId === sourceId)! });
    },
    load(message) {
      const version = message.isPinned ? message.version : source.present(message.key)?.version;
      if (version === undefined || clock.now().getTime() >= message.expiresAt) return;
      message.hasRows = true;
      message.loadedVersion = version;
    },
    report(message, status) {
      message.report = status;
      message.reportedAt = clock.now().getTime();
      const isExpired = !message.hasRows && clock.now().getTime() >= message.expiresAt;
      const isGone = !message.hasRows && !message.isPinned && source.present(message.key) === null;
      const failure = {
        errorCode: isExpired
          ? 'Download_Forbidden'
          : isGone
            ? 'Download_SourceNotFound'
            : 'BadRequest_EmptyBlob',
        failureStatus: 'Permanent',
      };
      ingestion.setStatus(message.sourceId, { status, ...(status === 'Failed' ? failure : {}) });
    },
    isLive: ({ report, postedAt, expiresAt }) =>
      report === null && postedAt < expiresAt && clock.now().getTime() < expiresAt + timing.downloadGraceMs,
    async ledger() {
      const generation = 1;
      const entries = await loader.ledger.readKeys({ load: 'flights', generation }, [...keys]);
      return new Map([...entries].map(([key, { value }]) => [key, value]));
    },
    canonical,
    fingerprint: () =>
      canonical(
        [
          clock.now().toISOString(),
          ...Object.values(tables).map((table) => table.fingerprint()),
          documents.fingerprint(),
          JSON.stringify(messages),
          JSON.stringify([...keys].map((key) => source.present(key))),
          JSON.stringify([[...orchestrations.started.keys()], orchestrations.terminated]),
        ].join('\n'),
      ),
  };
  return world;
}

function createTrackedDocuments(
  canonical: (path: string) => string,
  onWrite: (path: string, body: string) => void,
): Documents & { fingerprint(): string } {
  const documents = memoryDocuments();
  const bodies = new Map<string, string>();
  return {
    ...documents,
    put: async (path, body, when) => {
      const answer = await documents.put(path, body, when);
      if (answer.written) {
        bodies.set(canonical(path), body);
        onWrite(path, body);
      }
      return answer;
    },
    delete: async (path) => {
      bodies.delete(canonical(path));
      await documents.delete(path);
    },
    fingerprint: () =>
      [...bodies]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([path, body]) => `${path} ${body}`)
        .join('\n'),
  };
}
