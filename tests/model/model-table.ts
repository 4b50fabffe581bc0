import type {
  EntityFields,
  EntityOperation,
  EntityRange,
  EntityTable,
  StoredEntity,
} from '../../shared/adapters/state/entity-table.ts';

/** A table whose whole content can be told apart from another's. */
export interface ModelTable extends EntityTable {
  /** Equal for equal contents, whatever the order in which independent rows were written. */
  fingerprint(): string;
}

/** Property by which a transaction knows its own work again; it differs from execution to execution. */
const WRITE_ID = 'writeId';

/**
 * A table in memory for the model. ETags count the writes of their own row, where those of the memory driver count the
 * writes of the table: so two orders of writes to different rows end in the same state, and are explored once.
 */
export function createModelTable(): ModelTable {
  const rows = new Map<string, StoredEntity>();
  const writes = new Map<string, number>();
  const idOf = (partitionKey: string, rowKey: string) => `${partitionKey}\n${rowKey}`;

  const isAllowed = (partitionKey: string, operation: EntityOperation): boolean => {
    const row = rows.get(idOf(partitionKey, operation.rowKey));
    switch (operation.kind) {
      case 'upsert':
        return true;
      case 'insert':
        return row === undefined;
      case 'replace':
        return row?.etag === operation.etag;
      case 'delete':
        return row !== undefined && (operation.etag === null || row.etag === operation.etag);
    }
  };

  const apply = (partitionKey: string, operation: EntityOperation): string | null => {
    const { rowKey } = operation;
    const id = idOf(partitionKey, rowKey);
    if (operation.kind === 'delete') {
      rows.delete(id);
      return null;
    }
    const count = (writes.get(id) ?? 0) + 1;
    writes.set(id, count);
    const kept = Object.entries(operation.fields).filter(([, value]) => value !== null);
    const fields: EntityFields = Object.fromEntries(kept);
    const etag = `W/"${count}"`;
    rows.set(id, { partitionKey, rowKey, fields, etag });
    return etag;
  };

  return {
    create: async () => undefined,
    get: async (partitionKey, rowKey) => rows.get(idOf(partitionKey, rowKey)) ?? null,
    query: async function* (range) {
      const found = [...rows.values()].filter((row) => isWithin(range, row));
      yield found.sort((a, b) => (a.rowKey < b.rowKey ? -1 : 1)).slice(0, range.limit);
    },
    transact: async (partitionKey, operations) => {
      const failedAt = operations.findIndex((operation) => !isAllowed(partitionKey, operation));
      if (failedAt >= 0) return { ok: false, failedAt };
      return { ok: true, etags: operations.map((operation) => apply(partitionKey, operation)) };
    },
    fingerprint: () =>
      [...rows]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([id, { fields, etag }]) => `${id} ${etag} ${JSON.stringify({ ...fields, [WRITE_ID]: '' })}`)
        .join('\n'),
  };
}

function isWithin({ partitionKey, from, after, to }: EntityRange, row: StoredEntity): boolean {
  return (
    row.partitionKey === partitionKey &&
    (from === undefined || row.rowKey >= from) &&
    (after === undefined || row.rowKey > after) &&
    (to === undefined || row.rowKey <= to)
  );
}
