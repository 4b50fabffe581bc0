import type { LedgerEntry } from '../domain/ledger-entry.ts';
import { LEDGER_PARTITIONS } from '../domain/ledger-key.ts';
import type { Operation } from '../domain/operation.ts';
import type { Stored } from '../domain/run-record.ts';
import type { LedgerName } from '../ports/ledger.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';

/** Partitions of the ledger that are gone over before it is written down how far an operation is. */
const PARTITIONS_AT_ONCE = 16;

export type Entries = readonly Stored<LedgerEntry>[];

/** How far an operation is in the ledger: all partitions are through, or some more are. */
export type Walked<Kind extends Operation> =
  | { readonly isThrough: true }
  | { readonly isThrough: false; readonly operation: Kind };

/** Counts objects in some more partitions; `count` is asked page by page, and throws where an entry forbids the operation. */
export async function countMore<Kind extends Operation>(
  loader: Loader,
  ledger: LedgerName,
  operation: Kind,
  count: (entries: Entries) => number,
): Promise<Walked<Kind>> {
  const partitions = nextPartitions(operation);
  if (partitions.length === 0) return { isThrough: true };
  const counts = await allOf(partitions, PARTITIONS_AT_ONCE, async (partition) => {
    let objects = 0;
    for await (const entries of pagesOf(loader, ledger, partition)) objects += count(entries);
    return objects;
  });
  const objects = counts.reduce((sum, one) => sum + one, operation.objects);
  return {
    isThrough: false,
    operation: { ...operation, objects, partition: operation.partition + partitions.length },
  };
}

/** Marks the entries that are the operation's as `undone` in some more partitions. */
export async function markMore<Kind extends Operation>(
  loader: Loader,
  ledger: LedgerName,
  operation: Kind,
  isIts: (entry: LedgerEntry) => boolean,
): Promise<Walked<Kind>> {
  const partitions = nextPartitions(operation);
  if (partitions.length === 0) return { isThrough: true };
  const areMarked = await allOf(partitions, PARTITIONS_AT_ONCE, async (partition) => {
    let isMarked = true;
    for await (const entries of pagesOf(loader, ledger, partition)) {
      const settledAt = loader.now().toISOString();
      const writes = entries
        // What was posted since is a later run's: this activity was away for long.
        .filter(({ value }) => value.intentAt <= operation.since && isIts(value))
        .map(({ value, etag }) => ({ entry: { ...value, state: 'undone', settledAt } as const, etag }));
      const etags = await loader.ledger.write(ledger, writes);
      if (etags.includes(null)) isMarked = false;
    }
    return isMarked;
  });
  // Only a twin writes these entries while the lock is held, and writes the same; they are looked at again.
  if (areMarked.includes(false)) return { isThrough: false, operation };
  return {
    isThrough: false,
    operation: { ...operation, partition: operation.partition + partitions.length },
  };
}

function nextPartitions({ partition }: Operation): readonly number[] {
  const count = Math.min(PARTITIONS_AT_ONCE, LEDGER_PARTITIONS - partition);
  return Array.from({ length: count }, (_, index) => partition + index);
}

async function* pagesOf(loader: Loader, ledger: LedgerName, partition: number): AsyncGenerator<Entries> {
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<Loader['ledger']['readPartition']>> = await loader.ledger.readPartition(
      ledger,
      partition,
      after,
    );
    yield page.entries;
    after = page.next;
  } while (after !== null);
}
