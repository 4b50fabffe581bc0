import type { LedgerEntry } from '../../domain/ledger-entry.ts';
import { LEDGER_PARTITIONS, partitionOf } from '../../domain/ledger-key.ts';
import type { Stored } from '../../domain/run-record.ts';
import type { Ledger, LedgerName, LedgerWrite } from '../../ports/ledger.ts';
import { decodeFields, encodeFields, type FieldKinds } from './entity-fields.ts';
import type { EntityOperation, EntityTable, StoredEntity } from './entity-table.ts';
import { PAGE_ENTITIES, readAll, TRANSACTION_OPERATIONS } from './entity-table.ts';
import { chunk, mapLimited, REQUESTS_AT_ONCE } from './map-limited.ts';
import { objectRowKey } from './object-row-key.ts';
import { transactOnce } from './transact-once.ts';

const ENTRY: FieldKinds<LedgerEntry> = {
  key: 'plain',
  version: 'plain',
  sizeBytes: 'plain',
  state: 'plain',
  runId: 'plain',
  epoch: 'plain',
  sourceId: 'plain',
  attemptSeq: 'plain',
  attempts: 'plain',
  intentAt: 'plain',
  queuedAt: 'plain',
  settledAt: 'plain',
  urlExpiresAt: 'plain',
  errorCode: 'plain',
  errorMessage: 'plain',
  tag: 'plain',
  repostedUnproven: 'plain',
  fateUnknown: 'plain',
  earlierSourceIds: 'json',
  otherTags: 'json',
};

/** From this many keys of one partition on, one range query is asked instead of a look-up each. */
const KEYS_FOR_RANGE = 4;

/** Entries that range queries have under way at the same time: an answer of 1,000 takes some 3 MB until it is read. */
const ENTRIES_UNDER_WAY = 4000;

/**
 * Entries that a range query may read for each of its keys before look-ups are cheaper: an answer of 1,000 entries, of
 * about a megabyte, is counted as sixteen look-ups (an estimate).
 */
const ENTRIES_OF_LOOK_UP = 64;

/** A write that waits in a transaction, with its place in what the caller gave. */
interface QueuedWrite {
  readonly index: number;
  readonly operation: EntityOperation;
}

/**
 * The ledger over one table: PartitionKey `{load}.{generation}.{partition, 2 hex digits}`, RowKey the encoded
 * object key.
 *
 * @param partitions - another number of them is for measurements: the rest of the app goes by `LEDGER_PARTITIONS`.
 */
export function ledgerTable(table: EntityTable, partitions = LEDGER_PARTITIONS): Ledger {
  const readEntry = ({ fields, etag }: StoredEntity): Stored<LedgerEntry> => ({
    value: decodeFields(ENTRY, fields),
    etag,
  });

  /** Writes what can be written of a chunk: each failed precondition costs a further transaction. */
  const writeChunk = async (
    partitionKey: string,
    writes: readonly QueuedWrite[],
    etags: (string | null)[],
  ): Promise<void> => {
    let rest = writes;
    while (rest.length > 0) {
      const operations = rest.map(({ operation }) => operation);
      const result = await transactOnce(table, partitionKey, operations);
      if (result.ok) {
        for (const [at, { index }] of rest.entries()) etags[index] = result.etags[at] ?? null;
        return;
      }
      rest = rest.filter((_, at) => at !== result.failedAt);
    }
  };

  /**
   * Reads the part of a partition that the keys span. Where other entries lie between them in such numbers that
   * single look-ups would cost less, it gives up.
   *
   * @returns the keys that it did not come to.
   */
  const readSpan = async (
    partitionKey: string,
    keys: readonly string[],
    add: (entity: StoredEntity) => void,
  ): Promise<readonly string[]> => {
    const rowKeys = keys.map(objectRowKey).sort();
    const limit = keys.length * ENTRIES_OF_LOOK_UP;
    let count = 0;
    let reached = '';
    for await (const page of table.query({ partitionKey, from: rowKeys[0]!, to: rowKeys.at(-1)!, limit })) {
      for (const entity of page) add(entity);
      count += page.length;
      reached = page.at(-1)?.rowKey ?? reached;
    }
    return count < limit ? [] : keys.filter((key) => objectRowKey(key) > reached);
  };

  const readWanted = async <Kept>(
    name: LedgerName,
    wanted: Pick<ReadonlySet<string>, 'has' | 'keys' | 'size'>,
    keep: (stored: Stored<LedgerEntry>) => Kept,
  ): Promise<ReadonlyMap<string, Kept>> => {
    const entries = new Map<string, Kept>();
    const add = (entity: StoredEntity) => {
      const entry = readEntry(entity);
      if (wanted.has(entry.value.key)) entries.set(entry.value.key, keep(entry));
    };
    const groups = [...Map.groupBy(wanted.keys(), (key) => partitionOf(key, partitions))];
    const single = groups.flatMap(([, group]) => (group.length < KEYS_FOR_RANGE ? group : []));
    const inAnAnswer = Math.min(PAGE_ENTITIES, (ENTRIES_OF_LOOK_UP * wanted.size) / groups.length);
    const atOnce = Math.max(1, Math.min(REQUESTS_AT_ONCE, Math.floor(ENTRIES_UNDER_WAY / inAnAnswer)));
    await mapLimited(groups, atOnce, async ([partition, group]) => {
      if (group.length < KEYS_FOR_RANGE) return;
      single.push(...(await readSpan(partitionKeyOf(name, partition), group, add)));
    });
    await mapLimited(single, REQUESTS_AT_ONCE, async (key) => {
      const entity = await table.get(partitionKeyOf(name, partitionOf(key, partitions)), objectRowKey(key));
      if (entity !== null) add(entity);
    });
    return entries;
  };

  return {
    readKeys: (name, keys) => readWanted(name, new Set(keys), (stored) => stored),
    readEach: <Asked, Kept>(
      name: LedgerName,
      asked: ReadonlyMap<string, Asked>,
      keep: (entry: LedgerEntry, asked: Asked) => Kept,
    ) => readWanted(name, asked, ({ value }) => keep(value, asked.get(value.key) as Asked)),

    readPartition: async (name, partition, after) => {
      const rows = await readAll(table, {
        partitionKey: partitionKeyOf(name, partition),
        limit: PAGE_ENTITIES,
        ...(after === null ? {} : { after }),
      });
      return {
        entries: rows.map(readEntry),
        next: rows.length < PAGE_ENTITIES ? null : (rows.at(-1)?.rowKey ?? null),
      };
    },

    write: async (name, writes) => {
      const etags = new Array<string | null>(writes.length).fill(null);
      const chunks = [...groupByPartition(writes, partitions)].flatMap(([partition, queued]) =>
        chunk(queued, TRANSACTION_OPERATIONS).map((some) => ({
          partitionKey: partitionKeyOf(name, partition),
          some,
        })),
      );
      await mapLimited(chunks, REQUESTS_AT_ONCE, ({ partitionKey, some }) =>
        writeChunk(partitionKey, some, etags),
      );
      return etags;
    },
  };
}

function partitionKeyOf({ load, generation }: LedgerName, partition: number): string {
  return `${load}.${generation}.${partition.toString(16).padStart(2, '0')}`;
}

function groupByPartition(writes: readonly LedgerWrite[], partitions: number): Map<number, QueuedWrite[]> {
  const groups = new Map<number, QueuedWrite[]>();
  for (const [index, { entry, etag }] of writes.entries()) {
    const partition = partitionOf(entry.key, partitions);
    const row = { rowKey: objectRowKey(entry.key), fields: encodeFields(ENTRY, entry) };
    const operation: EntityOperation =
      etag === null ? { kind: 'insert', ...row } : { kind: 'replace', ...row, etag };
    const group = groups.get(partition);
    if (group === undefined) groups.set(partition, [{ index, operation }]);
    else group.push({ index, operation });
  }
  return groups;
}
