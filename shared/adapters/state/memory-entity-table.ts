import type {
  EntityFields,
  EntityOperation,
  EntityRange,
  EntityTable,
  RequestHook,
  StoredEntity,
  TransactionResult,
} from './entity-table.ts';
import { PAGE_ENTITIES } from './entity-table.ts';

interface MemoryEntity {
  /** The fields as JSON text: a million objects of many fields each would keep the garbage collector busy. */
  readonly text: string;
  readonly etag: string;
}

interface MemoryPartition {
  readonly entities: Map<string, MemoryEntity>;
  /** `null` after a row key has come or gone. */
  sortedRowKeys: readonly string[] | null;
}

/** A table that lives as long as the process. For tests and models; it behaves as the one of Azure does. */
export function memoryEntityTable(onRequest?: RequestHook): EntityTable {
  const partitions = new Map<string, MemoryPartition>();
  let versions = 0;

  const newEtag = (): string => {
    versions += 1;
    return `W/"${versions}"`;
  };

  const partitionFor = (partitionKey: string): MemoryPartition => {
    const existing = partitions.get(partitionKey);
    if (existing !== undefined) return existing;
    const made: MemoryPartition = { entities: new Map(), sortedRowKeys: null };
    partitions.set(partitionKey, made);
    return made;
  };

  async function* query(range: EntityRange): AsyncGenerator<readonly StoredEntity[]> {
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    let after = range.after;
    while (left > 0) {
      onRequest?.('table', 'query');
      await nextTurn();
      const partition = partitions.get(range.partitionKey);
      // One more than fits tells whether there is a next page.
      const size = Math.min(PAGE_ENTITIES, left);
      const rowKeys = partition === undefined ? [] : rowKeysOf(partition, { ...range, after }, size + 1);
      const page = rowKeys.slice(0, size);
      yield page.map((rowKey) => ({
        partitionKey: range.partitionKey,
        rowKey,
        ...readEntity(partition!.entities.get(rowKey)!),
      }));
      if (rowKeys.length <= size) return;
      left -= size;
      after = page.at(-1);
    }
  }

  return {
    create: async () => onRequest?.('table', 'create'),
    get: async (partitionKey, rowKey) => {
      onRequest?.('table', 'get');
      await nextTurn();
      const entity = partitions.get(partitionKey)?.entities.get(rowKey);
      return entity === undefined ? null : { partitionKey, rowKey, ...readEntity(entity) };
    },
    query,
    transact: async (partitionKey, operations): Promise<TransactionResult> => {
      onRequest?.('table', operations.length === 1 ? operations[0]!.kind : 'transaction');
      await nextTurn();
      const partition = partitionFor(partitionKey);
      const failedAt = operations.findIndex(
        (operation) => !holds(operation, partition.entities.get(operation.rowKey)),
      );
      if (failedAt >= 0) return { ok: false, failedAt };
      const etags = operations.map((operation) => {
        if (operation.kind === 'delete') {
          partition.entities.delete(operation.rowKey);
          partition.sortedRowKeys = null;
          return null;
        }
        if (!partition.entities.has(operation.rowKey)) partition.sortedRowKeys = null;
        const entity = { text: JSON.stringify(operation.fields, withoutNull), etag: newEtag() };
        partition.entities.set(operation.rowKey, entity);
        return entity.etag;
      });
      return { ok: true, etags };
    },
  };
}

/** Lets others run, as a request does. */
function nextTurn(): Promise<void> {
  return Promise.resolve();
}

function holds(operation: EntityOperation, entity: MemoryEntity | undefined): boolean {
  if (operation.kind === 'insert') return entity === undefined;
  if (operation.kind === 'upsert') return true;
  return entity !== undefined && (operation.etag === null || operation.etag === entity.etag);
}

function withoutNull(_: string, value: unknown): unknown {
  return value === null ? undefined : value;
}

function readEntity({ text, etag }: MemoryEntity): { readonly fields: EntityFields; readonly etag: string } {
  return { fields: JSON.parse(text) as EntityFields, etag };
}

function rowKeysOf(
  partition: MemoryPartition,
  { from, after, to }: { from?: string | undefined; after?: string | undefined; to?: string | undefined },
  limit: number,
): readonly string[] {
  const sorted = (partition.sortedRowKeys ??= [...partition.entities.keys()].sort());
  let low = 0;
  let high = sorted.length;
  const isBelow = (rowKey: string) =>
    (from !== undefined && rowKey < from) || (after !== undefined && rowKey <= after);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(sorted[middle]!)) low = middle + 1;
    else high = middle;
  }
  const found: string[] = [];
  for (let at = low; at < sorted.length && found.length < limit; at += 1) {
    const rowKey = sorted[at]!;
    if (to !== undefined && rowKey > to) break;
    found.push(rowKey);
  }
  return found;
}
