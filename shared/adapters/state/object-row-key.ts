import { encodeRowKey, rowKeyRange } from '../../domain/ledger-key.ts';

/**
 * Leads every row key that is made of an object key. Without it a row key could begin with a comma, and Azurite
 * reads `PartitionKey='p',RowKey=',x'` of a transaction as the partition `p',RowKey=`.
 */
const LEAD = 'k';

/** The row key of an object; sorts as `encodeRowKey` does. */
export function objectRowKey(key: string): string {
  return LEAD + encodeRowKey(key);
}

/** Lowest and highest row key of the objects from `firstKey` to `lastKey`, both included. */
export function objectRowKeyRange(
  firstKey: string,
  lastKey: string,
): { readonly from: string; readonly to: string } {
  const { from, to } = rowKeyRange(firstKey, lastKey);
  return { from: LEAD + from, to: LEAD + to };
}
