import type { TableClient, TableEntity, TableEntityResult, TransactionAction } from '@azure/data-tables';
import type {
  EntityFields,
  EntityOperation,
  EntityRange,
  EntityTable,
  EntityValue,
  StoredEntity,
  TransactionResult,
} from './entity-table.ts';
import { PAGE_ENTITIES } from './entity-table.ts';
import { stateError, storageFault } from './state-error.ts';
import { deleteTags } from './table-request-policies.ts';

/** The one answer of the service that says which operation of a transaction failed: `3:The specified ...`. */
const FAILED_OPERATION = /^(\d+):/;

/** Codes of failed preconditions. A missing table is a 404 too, and none of them. */
const PRECONDITION_CODES: ReadonlySet<string> = new Set([
  'EntityAlreadyExists',
  'UpdateConditionNotSatisfied',
  'ConditionNotMet',
  'ResourceNotFound',
  'EntityNotFound',
]);

const ABSENT_CODES: ReadonlySet<string> = new Set(['ResourceNotFound', 'EntityNotFound']);

/** A table of Azure Table storage. `open` is called at the first use, so that the SDK is loaded no sooner. */
export function azureEntityTable(name: string, open: () => Promise<TableClient>): EntityTable {
  async function* query(range: EntityRange): AsyncGenerator<readonly StoredEntity[]> {
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    try {
      const client = await open();
      const pages = client
        .listEntities({ queryOptions: { filter: filterOf(range) } })
        .byPage({ maxPageSize: Math.min(PAGE_ENTITIES, left) });
      for await (const page of pages) {
        const entities = page.slice(0, left).map(readEntity);
        left -= entities.length;
        yield entities;
        if (left <= 0) return;
      }
    } catch (error) {
      throw stateError(`read the table ${name}`, error);
    }
  }

  return {
    create: async () => {
      try {
        // The SDK takes TableAlreadyExists for success.
        await (await open()).createTable();
      } catch (error) {
        throw stateError(`create the table ${name}`, error);
      }
    },
    get: async (partitionKey, rowKey) => {
      try {
        return readEntity(await (await open()).getEntity(partitionKey, rowKey));
      } catch (error) {
        if (ABSENT_CODES.has(storageFault(error).code ?? '')) return null;
        throw stateError(`read the table ${name}`, error);
      }
    },
    query,
    transact: async (partitionKey, operations): Promise<TransactionResult> => {
      try {
        const client = await open();
        const [only] = operations;
        const etags =
          operations.length === 1 && only !== undefined
            ? [await writeOne(client, partitionKey, only)]
            : await writeAll(client, partitionKey, operations);
        return { ok: true, etags };
      } catch (error) {
        const failedAt = failedOperation(error, operations.length);
        if (failedAt !== null) return { ok: false, failedAt };
        throw stateError(`write to the table ${name}`, error);
      }
    },
  };
}

async function writeOne(
  client: TableClient,
  partitionKey: string,
  operation: EntityOperation,
): Promise<string | null> {
  if (operation.kind === 'delete') {
    await client.deleteEntity(partitionKey, operation.rowKey, { etag: operation.etag ?? '*' });
    return null;
  }
  const entity = writeEntity(partitionKey, operation);
  const { etag } =
    operation.kind === 'insert'
      ? await client.createEntity(entity)
      : operation.kind === 'replace'
        ? await client.updateEntity(entity, 'Replace', { etag: operation.etag })
        : await client.upsertEntity(entity, 'Replace');
  return needEtag(etag);
}

async function writeAll(
  client: TableClient,
  partitionKey: string,
  operations: readonly EntityOperation[],
): Promise<readonly (string | null)[]> {
  const { signal } = new AbortController();
  deleteTags.set(
    signal,
    operations.flatMap((operation) => (operation.kind === 'delete' ? [operation.etag ?? '*'] : [])),
  );
  const actions = operations.map((operation) => actionOf(partitionKey, operation));
  const { subResponses } = await client.submitTransaction(actions, { abortSignal: signal });
  return operations.map((operation, index) =>
    operation.kind === 'delete' ? null : needEtag(subResponses[index]?.etag),
  );
}

function actionOf(partitionKey: string, operation: EntityOperation): TransactionAction {
  switch (operation.kind) {
    case 'insert':
      return ['create', writeEntity(partitionKey, operation)];
    case 'replace':
      return ['update', writeEntity(partitionKey, operation), 'Replace', { etag: operation.etag }];
    case 'upsert':
      return ['upsert', writeEntity(partitionKey, operation), 'Replace'];
    case 'delete':
      return ['delete', { partitionKey, rowKey: operation.rowKey }];
  }
}

function failedOperation(error: unknown, operations: number): number | null {
  const { code } = storageFault(error);
  if (code === null || !PRECONDITION_CODES.has(code)) return null;
  if (operations === 1) return 0;
  const index = FAILED_OPERATION.exec(error instanceof Error ? error.message : '')?.[1];
  return index === undefined ? null : Number(index);
}

function needEtag(etag: string | undefined): string {
  if (etag === undefined) throw new Error('the answer to a write holds no ETag');
  return etag;
}

function filterOf({ partitionKey, from, after, to }: EntityRange): string {
  const conditions = [`PartitionKey eq ${quote(partitionKey)}`];
  if (from !== undefined) conditions.push(`RowKey ge ${quote(from)}`);
  if (after !== undefined) conditions.push(`RowKey gt ${quote(after)}`);
  if (to !== undefined) conditions.push(`RowKey le ${quote(to)}`);
  return conditions.join(' and ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function writeEntity(
  partitionKey: string,
  { rowKey, fields }: { readonly rowKey: string; readonly fields: EntityFields },
): TableEntity<Record<string, unknown>> {
  const entity: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null) entity[name] = typeof value === 'number' ? writeNumber(value) : value;
  }
  return { ...entity, partitionKey, rowKey };
}

/** The service takes a bare JSON integer for an Int32; a Double holds integers up to 2^53 exactly. */
function writeNumber(value: number): unknown {
  return (value | 0) === value ? value : { value, type: 'Double' };
}

function readEntity(result: TableEntityResult<Record<string, unknown>>): StoredEntity {
  const { partitionKey, rowKey, etag, timestamp: _timestamp, ...properties } = result;
  const fields: Record<string, EntityValue> = {};
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      fields[name] = value;
  }
  return { partitionKey: partitionKey ?? '', rowKey: rowKey ?? '', fields, etag };
}
