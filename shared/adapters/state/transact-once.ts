import { randomBytes } from 'node:crypto';
import { LoaderError } from '../../errors/loader-error.ts';
import type { EntityOperation, EntityTable, TransactionResult } from './entity-table.ts';
import { TRANSACTION_OPERATIONS } from './entity-table.ts';
import { mapLimited, REQUESTS_AT_ONCE } from './map-limited.ts';

/** Property that tells which call wrote an entity. */
const WRITE_ID = 'writeId';

/**
 * Like `table.transact`, but not deceived by retries. When an answer is lost, the SDK sends the transaction again,
 * and its own first try makes a precondition fail. Every transaction marks what it writes with an id of its own,
 * so that it knows its work; that another caller wanted to write the same is not taken for it.
 *
 * A transaction of nothing but deletes leaves no mark: there a failure may mean that the entity is gone already.
 */
export async function transactOnce(
  table: EntityTable,
  partitionKey: string,
  operations: readonly EntityOperation[],
): Promise<TransactionResult> {
  checkOperations(operations);
  const writeId = randomBytes(9).toString('base64url');
  const marked = operations.map((operation) =>
    operation.kind === 'delete'
      ? operation
      : { ...operation, fields: { ...operation.fields, [WRITE_ID]: writeId } },
  );
  const result = await table.transact(partitionKey, marked);
  if (result.ok) return result;
  const failed = operations[result.failedAt];
  const witness = failed?.kind === 'delete' ? operations.find(({ kind }) => kind !== 'delete') : failed;
  if (witness === undefined) return result;
  const readMark = async ({ rowKey }: EntityOperation): Promise<string | null> => {
    const entity = await table.get(partitionKey, rowKey);
    return entity?.fields[WRITE_ID] === writeId ? entity.etag : null;
  };
  if ((await readMark(witness)) === null) return result;
  return { ok: true, etags: await mapLimited(operations, REQUESTS_AT_ONCE, readMark) };
}

function checkOperations(operations: readonly EntityOperation[]): void {
  const rowKeys = new Set(operations.map(({ rowKey }) => rowKey));
  if (operations.length < 1 || operations.length > TRANSACTION_OPERATIONS) {
    throw new LoaderError(
      'internal',
      `A transaction has 1 to ${TRANSACTION_OPERATIONS} operations, not ${operations.length}.`,
    );
  }
  if (rowKeys.size !== operations.length) {
    throw new LoaderError('internal', 'A transaction writes an entity once; here one is written twice.');
  }
}
