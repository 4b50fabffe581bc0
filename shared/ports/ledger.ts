import type { LedgerEntry } from '../domain/ledger-entry.ts';
import type { Stored } from '../domain/run-record.ts';

/** Names the ledger of a load: deleting the load or changing its destination begins a new generation. */
export interface LedgerName {
  readonly load: string;
  readonly generation: number;
}

/** One conditional write. `etag: null` inserts and needs that the key has no entry. */
export interface LedgerWrite {
  readonly entry: LedgerEntry;
  readonly etag: string | null;
}

/** The durable state of each object of a load. */
export interface Ledger {
  /** Entries of these keys; keys without an entry are absent. At most two requests per key, far fewer for many keys. */
  readKeys(name: LedgerName, keys: readonly string[]): Promise<ReadonlyMap<string, Stored<LedgerEntry>>>;

  /**
   * As `readKeys`, for pages of many keys: of each entry only what `keep` makes of it, and of what was asked under its key,
   * stays in memory. Where the keys are neighbours it costs about one request per partition and 1,000 of them.
   */
  readEach<Asked, Kept>(
    name: LedgerName,
    asked: ReadonlyMap<string, Asked>,
    keep: (entry: LedgerEntry, asked: Asked) => Kept,
  ): Promise<ReadonlyMap<string, Kept>>;

  /**
   * A page of the entries of one of the `LEDGER_PARTITIONS`, in no particular order: for going over a whole ledger.
   *
   * @param after - `next` of the page before, `null` for the first.
   */
  readPartition(
    name: LedgerName,
    partition: number,
    after: string | null,
  ): Promise<{ readonly entries: readonly Stored<LedgerEntry>[]; readonly next: string | null }>;
  /**
   * Writes in transactions, one per partition and 100 entries. Whether one entry is written does not depend on
   * another: when a precondition fails, the rest of its transaction is written all the same.
   *
   * @returns for each write, in order, the new ETag, or `null` when its precondition failed.
   */
  write(name: LedgerName, writes: readonly LedgerWrite[]): Promise<readonly (string | null)[]>;
}
