import { randomUUID } from 'node:crypto';
import type { Faults } from '../faults.ts';
import type { IngestionResources } from '../storage/ingestion-resources.ts';
import type { Store } from '../storage/store.ts';
import type { Batch, BatchItem, SealReason } from './batching.ts';
import { Limit, runConcurrently } from './concurrency.ts';
import { type DownloadedSource, downloadSource, MAX_SOURCE_BYTES } from './download.ts';
import type { FaultyReporter } from './faulty-reporter.ts';
import type { BatchRecord, IngestionCounters } from './ingestion-counters.ts';
import { IngestionError } from './ingestion-error.ts';
import { AlreadyIngested, hasIngestByTag, type LoadResult, loadSources } from './load-sources.ts';
import { type IngestionReport, makeReport } from './status-reports.ts';

/** Downloads at a time, over all batches. */
const DOWNLOADS = 16;
const SETTLES = 16;
const MAX_RECORDS = 5_000;

export interface RetryPolicy {
  /** Tries in all, the first one included. Default 6. */
  readonly attempts: number;
  /** Wait before the second try; doubled each time, before the time scale. Default 60,000. */
  readonly firstDelayMs: number;
  /** Longest wait, before the time scale. Default 600,000. */
  readonly maxDelayMs: number;
}

export interface BatchLoaderOptions {
  readonly store: Store;
  readonly resources: IngestionResources;
  readonly reporter: FaultyReporter;
  readonly faults: Faults;
  readonly counters: IngestionCounters;
  readonly retry: RetryPolicy;
  readonly timeScale: number;
  /** Folder for what does not fit into memory; it exists. */
  readonly folder: string;
  /** Called before a source is fetched. @returns false when it was canceled: it goes without a report. */
  onBegin(item: BatchItem): boolean;
  /** Brings an item back later. */
  onRetry(item: BatchItem, delayMs: number): void;
}

interface Fetched {
  readonly item: BatchItem;
  readonly data: DownloadedSource;
}

/** Loads sealed batches: download, append, report, take the messages from their queues. In that order. */
export class BatchLoader {
  readonly #options: BatchLoaderOptions;
  readonly #abort = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #records: BatchRecord[] = [];
  readonly #downloads = new Limit(DOWNLOADS);

  constructor(options: BatchLoaderOptions) {
    this.#options = options;
  }

  /** Sealed batches, oldest first; the last 5,000. */
  get records(): readonly BatchRecord[] {
    return this.#records;
  }

  /** Loads in the background; `idle` waits for it. */
  load(batch: Batch, reason: SealReason): void {
    const record = makeRecord(batch, reason);
    this.#records.push(record);
    if (this.#records.length > MAX_RECORDS) this.#records.shift();
    this.#options.counters.batchesSealed += 1;
    const running = this.#load(batch, record).catch((error: unknown) => {
      record.state = 'failed';
      if (!this.#abort.signal.aborted) console.error(`kusto: batch ${batch.id} could not be loaded:`, error);
    });
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.idle();
  }

  async #load(batch: Batch, record: BatchRecord): Promise<void> {
    const operationId = randomUUID();
    const fetched: Fetched[] = [];
    const failed: { item: BatchItem; error: IngestionError }[] = [];
    const skipped: BatchItem[] = [];
    const canceled: BatchItem[] = [];
    try {
      await this.#fetchAll(batch, { fetched, failed, skipped, canceled });
      if (this.#abort.signal.aborted) return;
      const loaded = await this.#append(batch, { fetched, failed, skipped });
      const reports: IngestionReport[] = [];
      const done: BatchItem[] = [...skipped, ...canceled];
      for (const item of skipped)
        reports.push(
          makeReport(item.message, {
            status: 'Skipped',
            operationId,
            details: 'A tag of ingestIfNotExists is already in the table.',
          }),
        );
      for (const item of loaded.items) {
        reports.push(makeReport(item.message, { status: 'Succeeded', operationId }));
        done.push(item);
      }
      for (const { item, error } of failed) {
        const final = this.#retryOrGiveUp(item, error);
        if (final === undefined) continue;
        record.failures.push({
          id: item.message.id,
          errorCode: final.errorCode,
          failureStatus: final.failureStatus,
        });
        reports.push(
          makeReport(item.message, {
            status: 'Failed',
            operationId,
            errorCode: final.errorCode,
            failureStatus: final.failureStatus,
            details: final.message,
          }),
        );
        done.push(item);
      }
      const { counters } = this.#options;
      counters.sourcesSucceeded += loaded.items.length;
      counters.sourcesFailed += record.failures.length;
      counters.sourcesSkipped += skipped.length;
      counters.rowsLoaded += loaded.rows;
      record.rows = loaded.rows;
      record.extentId = loaded.extentId;
      record.state = loaded.items.length > 0 || skipped.length > 0 ? 'committed' : 'failed';
      record.committedAt = new Date().toISOString();
      await this.#options.reporter.write(reports);
      await runConcurrently(done, SETTLES, (item) => this.#settle(item, loaded.items));
    } finally {
      await Promise.all(fetched.map((source) => source.data.dispose()));
    }
  }

  async #fetchAll(
    batch: Batch,
    into: {
      fetched: Fetched[];
      failed: { item: BatchItem; error: IngestionError }[];
      skipped: BatchItem[];
      canceled: BatchItem[];
    },
  ): Promise<void> {
    const slots: (Fetched | undefined)[] = batch.items.map(() => undefined);
    await runConcurrently(batch.items, DOWNLOADS, async (item, index) => {
      try {
        if (!this.#options.onBegin(item)) into.canceled.push(item);
        else if (this.#isAlreadyIngested(item)) into.skipped.push(item);
        else if (this.#isPutOff(item)) return;
        else slots[index] = { item, data: await this.#fetch(item) };
      } catch (error) {
        // Whatever it is, the source has to end with a report: what is nobody's fault is tried again.
        into.failed.push({
          item,
          error: toIngestionError(error),
        });
      }
    });
    into.fetched.push(...slots.filter((slot) => slot !== undefined));
  }

  #isAlreadyIngested({ message }: BatchItem): boolean {
    const { store } = this.#options;
    const table = store.catalog.findTable(message.database, message.table);
    return table !== undefined && hasIngestByTag(store, table, message.properties.ingestIfNotExists);
  }

  /** A source that is to be fetched late leaves its batch and comes back to a later one. */
  #isPutOff(item: BatchItem): boolean {
    const late = this.#options.faults.takeIngestionFault(item.message, 'downloadLate');
    if (late !== undefined) this.#options.onRetry(item, late.delayMs ?? 1_000);
    return late !== undefined;
  }

  async #fetch(item: BatchItem): Promise<DownloadedSource> {
    const { message } = item;
    const { faults, resources, folder } = this.#options;
    const fault = faults.takeIngestionFault(message, 'failTransient', 'failPermanent');
    if (fault !== undefined) {
      const isTransient = fault.action === 'failTransient';
      throw new IngestionError(
        fault.errorCode ?? (isTransient ? 'General_InternalServerError' : 'BadRequest_InvalidBlob'),
        `${message.sourcePath}: failed on request of the control endpoint.`,
        isTransient ? 'Transient' : 'Permanent',
      );
    }
    return this.#downloads.run(() =>
      downloadSource({
        url: message.blobUrl,
        sniff: resources.ownsBlob(message.blobUrl),
        treatGzAsUncompressed: message.properties.treatGzAsUncompressed,
        zipPattern: message.properties.zipPattern,
        maxBytes: message.ignoreSizeLimit ? Number.POSITIVE_INFINITY : MAX_SOURCE_BYTES,
        folder,
        signal: this.#abort.signal,
      }),
    );
  }

  async #append(
    batch: Batch,
    sources: {
      readonly fetched: readonly Fetched[];
      readonly failed: { item: BatchItem; error: IngestionError }[];
      readonly skipped: BatchItem[];
    },
  ): Promise<{ items: BatchItem[]; rows: number; extentId: string | null }> {
    const { fetched, failed, skipped } = sources;
    const [first] = batch.items;
    if (fetched.length === 0 || first === undefined) return { items: [], rows: 0, extentId: null };
    let result: LoadResult;
    try {
      result = await loadSources(this.#options.store, {
        database: batch.database,
        table: batch.table,
        properties: first.message.properties,
        sources: fetched.map(({ item, data }) => ({ data, sourcePath: item.message.sourcePath })),
      });
    } catch (error) {
      if (error instanceof AlreadyIngested) skipped.push(...fetched.map(({ item }) => item));
      else failed.push(...fetched.map(({ item }) => ({ item, error: toIngestionError(error) })));
      return { items: [], rows: 0, extentId: null };
    }
    const items: BatchItem[] = [];
    for (const [index, outcome] of result.outcomes.entries()) {
      const item = fetched[index]?.item;
      if (item === undefined) continue;
      if (outcome instanceof IngestionError) failed.push({ item, error: outcome });
      else items.push(item);
    }
    return { items, rows: result.extent?.rowCount ?? 0, extentId: result.extent?.id ?? null };
  }

  /** @returns what to report, or undefined when the item will be tried again. */
  #retryOrGiveUp(item: BatchItem, error: IngestionError): IngestionError | undefined {
    if (error.failureStatus !== 'Transient') return error;
    const { retry, timeScale, counters, onRetry } = this.#options;
    if (item.attempt + 1 >= retry.attempts) {
      return new IngestionError(
        'General_RetryAttemptsExceeded',
        `Given up after ${item.attempt + 1} attempts; the last one: ${error.errorCode}: ${error.message}`,
        'Exhausted',
      );
    }
    counters.transientRetries += 1;
    onRetry(
      { ...item, attempt: item.attempt + 1 },
      Math.min(retry.maxDelayMs, retry.firstDelayMs * 2 ** item.attempt) / timeScale,
    );
    return undefined;
  }

  async #settle(item: BatchItem, loaded: readonly BatchItem[]): Promise<void> {
    await item.settle();
    if (item.message.retainBlobOnSuccess || !loaded.includes(item)) return;
    const { resources } = this.#options;
    if (resources.ownsBlob(item.message.blobUrl))
      await resources.deleteBlob(item.message.blobUrl).catch(() => undefined);
  }
}

function toIngestionError(error: unknown): IngestionError {
  return error instanceof IngestionError
    ? error
    : new IngestionError('General_InternalServerError', (error as Error).message, 'Transient');
}

function makeRecord(batch: Batch, reason: SealReason): BatchRecord {
  const properties = batch.items[0]?.message.properties;
  return {
    id: batch.id,
    database: batch.database,
    table: batch.table,
    openedAt: new Date(batch.openedAtMs).toISOString(),
    sealedAt: new Date().toISOString(),
    sealReason: reason,
    rawSizeBytes: batch.rawSizeBytes,
    format: properties?.format ?? '',
    tags: properties?.tags ?? [],
    items: batch.items.map(({ message, attempt }) => ({
      id: message.id,
      sourcePath: message.sourcePath,
      rawSizeBytes: message.rawSizeBytes ?? null,
      attempt,
    })),
    state: 'loading',
    rows: 0,
    extentId: null,
    committedAt: null,
    failures: [],
  };
}
