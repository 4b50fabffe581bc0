import { encodeRowKey } from '../../domain/ledger-key.ts';

/**
 * Leads every row key that is made of an object key. Without it a row key could begin with a comma, and Azurite
 * reads `PartitionKey='p',RowKey=',x'` of a transaction as the partition `p',RowKey=`.
 */
const LEAD = 'k';

/** The row key of an object; sorts as `encodeRowKey` does. */
export function objectRowKey(key: string): string {
  return LEAD + encodeRowKey(key);
}
