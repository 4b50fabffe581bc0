import { randomUUID } from 'node:crypto';
import type { BatchingPolicy } from '../storage/catalog.ts';
import { parseTimespan } from '../ticks.ts';
import type { IngestionMessage } from './ingestion-message.ts';

export type SealReason =
  | 'time'
  | 'count'
  | 'size'
  | 'unknownSize'
  | 'ingestByTag'
  | 'ingestIfNotExists'
  | 'flushImmediately'
  | 'retry'
  | 'control';

export interface BatchItem {
  readonly message: IngestionMessage;
  /** How often this source has been tried before; 0 for a fresh one. */
  readonly attempt: number;
  /** Ends the item: the message goes from its queue. */
  readonly settle: () => Promise<void>;
}

export interface Batch {
  readonly id: string;
  readonly database: string;
  readonly table: string;
  readonly openedAtMs: number;
  readonly items: BatchItem[];
  rawSizeBytes: number;
}

export const defaultBatchingPolicy: BatchingPolicy = {
  MaximumBatchingTimeSpan: '00:05:00',
  MaximumNumberOfItems: 500,
  MaximumRawDataSizeMB: 1024,
};

/** Milliseconds of the policy's batching time before the time scale; the service's range is 10 s to 30 min. */
export function batchingTimeMs(policy: BatchingPolicy): number {
  const ticks = parseTimespan(policy.MaximumBatchingTimeSpan) ?? 3_000_000_000n;
  return Number(ticks / 10_000n);
}

export interface BatcherOptions {
  policyOf(database: string, table: string): BatchingPolicy;
  /** Divides the batching time. */
  readonly timeScale: number;
  onSealed(batch: Batch, reason: SealReason): void;
}

/**
 * Collects messages by database, table and distinct ingestion properties, and hands a batch on when the table's
 * batching policy says so. What the service can't batch is a batch of its own at once.
 */
export class Batcher {
  readonly #options: BatcherOptions;
  readonly #open = new Map<string, { batch: Batch; timer: NodeJS.Timeout }>();

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  get openBatches(): readonly Batch[] {
    return [...this.#open.values()].map((entry) => entry.batch);
  }

  add(item: BatchItem): void {
    const { message } = item;
    const alone = findSingleReason(item);
    if (alone !== undefined) {
      this.#options.onSealed(
        { ...makeBatch(message), items: [item], rawSizeBytes: message.rawSizeBytes ?? 0 },
        alone,
      );
      return;
    }
    const policy = this.#options.policyOf(message.database, message.table);
    const key = `${message.database.toLowerCase()}/${message.table}/${message.propertiesKey}`;
    let entry = this.#open.get(key);
    if (entry === undefined) {
      const delayMs = batchingTimeMs(policy) / this.#options.timeScale;
      entry = { batch: makeBatch(message), timer: setTimeout(() => this.#seal(key, 'time'), delayMs) };
      this.#open.set(key, entry);
    }
    entry.batch.items.push(item);
    entry.batch.rawSizeBytes += message.rawSizeBytes ?? 0;
    if (entry.batch.items.length >= policy.MaximumNumberOfItems) this.#seal(key, 'count');
    else if (entry.batch.rawSizeBytes >= policy.MaximumRawDataSizeMB * 1024 * 1024) this.#seal(key, 'size');
  }

  /** Seals everything that is open. @returns how many batches that were. */
  flush(): number {
    const keys = [...this.#open.keys()];
    for (const key of keys) this.#seal(key, 'control');
    return keys.length;
  }

  /** Forgets open batches; their messages stay in the queues. @returns their items. */
  abandon(): BatchItem[] {
    const items = this.openBatches.flatMap((batch) => batch.items);
    for (const entry of this.#open.values()) clearTimeout(entry.timer);
    this.#open.clear();
    return items;
  }

  #seal(key: string, reason: SealReason): void {
    const entry = this.#open.get(key);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#open.delete(key);
    this.#options.onSealed(entry.batch, reason);
  }
}

function makeBatch(message: IngestionMessage): Batch {
  return {
    id: randomUUID(),
    database: message.database,
    table: message.table,
    openedAtMs: Date.now(),
    items: [],
    rawSizeBytes: 0,
  };
}

function findSingleReason(item: BatchItem): SealReason | undefined {
  const { message } = item;
  if (item.attempt > 0) return 'retry';
  if (message.flushImmediately) return 'flushImmediately';
  if (message.properties.ingestIfNotExists.length > 0) return 'ingestIfNotExists';
  if (message.properties.tags.some((tag) => tag.startsWith('ingest-by:'))) return 'ingestByTag';
  return message.rawSizeBytes === undefined ? 'unknownSize' : undefined;
}
