import type { LoadState, PendingList } from '../../ports/load-state.ts';
import type { EntityOperation, EntityTable } from './entity-table.ts';
import { readAll, TRANSACTION_OPERATIONS } from './entity-table.ts';
import { chunk, mapLimited } from './map-limited.ts';
import { objectRowKey } from './object-row-key.ts';

/** All pending objects of a load are in one partition, where more at once would only be throttled. */
const TRANSACTIONS_AT_ONCE = 4;

/**
 * Pending objects over one table: PartitionKey `{load}.{bucket}`, RowKey the encoded object key. Their order is
 * that of the row keys: the order of the keys, but among keys too long for a row key, that of a hash.
 */
export function pendingTable(
  table: EntityTable,
): Pick<LoadState, 'addPending' | 'readPending' | 'removePending'> {
  /** Deletes those whose version has stayed; one that was renewed or is gone already is passed over. */
  const remove = async (partitionKey: string, deletes: readonly EntityOperation[]): Promise<void> => {
    let rest = deletes;
    while (rest.length > 0) {
      const result = await table.transact(partitionKey, rest);
      if (result.ok) return;
      rest = rest.filter((_, at) => at !== result.failedAt);
    }
  };

  return {
    addPending: async (list, keys) => {
      const upserts = [...new Set(keys)].map(
        (key): EntityOperation => ({ kind: 'upsert', rowKey: objectRowKey(key), fields: { key } }),
      );
      await mapLimited(chunk(upserts, TRANSACTION_OPERATIONS), TRANSACTIONS_AT_ONCE, (some) =>
        table.transact(partitionKeyOf(list), some),
      );
    },

    readPending: async (list, { afterKey, limit }) => {
      const entities = await readAll(table, {
        partitionKey: partitionKeyOf(list),
        limit,
        ...(afterKey === null ? {} : { after: objectRowKey(afterKey) }),
      });
      return entities.map(({ fields, etag }) => ({ key: String(fields['key']), etag }));
    },

    removePending: async (list, pending) => {
      const deletes = pending.map(
        ({ key, etag }): EntityOperation => ({ kind: 'delete', rowKey: objectRowKey(key), etag }),
      );
      await mapLimited(chunk(deletes, TRANSACTION_OPERATIONS), TRANSACTIONS_AT_ONCE, (some) =>
        remove(partitionKeyOf(list), some),
      );
    },
  };
}

function partitionKeyOf({ load, bucket }: PendingList): string {
  return `${load}.${bucket}`;
}
