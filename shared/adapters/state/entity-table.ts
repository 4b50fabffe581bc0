/** What a property of an entity may hold. `null` is not stored: it reads back as an absent property. */
export type EntityValue = string | number | boolean | null;

/**
 * The properties of an entity. A string has at most 32,000 characters. The names `etag`, `timestamp`,
 * `partitionKey` and `rowKey` are taken by the service.
 */
export type EntityFields = Readonly<Record<string, EntityValue>>;

export interface StoredEntity {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly fields: EntityFields;
  readonly etag: string;
}

/** A range of one partition, by the ordinal order of row keys. Bounds that are left out do not bind. */
export interface EntityRange {
  readonly partitionKey: string;
  /** Lowest row key, included. */
  readonly from?: string;
  /** Row keys behind this one only. */
  readonly after?: string;
  /** Highest row key, included. */
  readonly to?: string;
  /** Entities to read at most. */
  readonly limit?: number;
}

export type EntityOperation =
  | { readonly kind: 'insert'; readonly rowKey: string; readonly fields: EntityFields }
  | {
      readonly kind: 'replace';
      readonly rowKey: string;
      readonly fields: EntityFields;
      readonly etag: string;
    }
  | { readonly kind: 'upsert'; readonly rowKey: string; readonly fields: EntityFields }
  /** `etag: null` deletes whatever version there is. */
  | { readonly kind: 'delete'; readonly rowKey: string; readonly etag: string | null };

export type TransactionResult =
  /** The new ETags in the order of the operations; `null` for a delete. */
  | { readonly ok: true; readonly etags: readonly (string | null)[] }
  /** Nothing was written: the operation of this index found its entity absent, present or in another version. */
  | { readonly ok: false; readonly failedAt: number };

/** Most entities in one answer. */
export const PAGE_ENTITIES = 1_000;

/** Most operations in one transaction. */
export const TRANSACTION_OPERATIONS = 100;

/** Called once for every request that goes out, retries included for tables. */
export type RequestHook = (kind: 'table' | 'blob', operation: string) => void;

/**
 * A table of entities, as Azure Table storage has them. Every failure but a precondition is a `LoaderError`
 * `stateUnavailable`.
 */
export interface EntityTable {
  /** Makes the table; that it exists already is no error. */
  create(): Promise<void>;

  /** One entity, or `null` when there is none. */
  get(partitionKey: string, rowKey: string): Promise<StoredEntity | null>;

  /** Entities of a range in ascending order of row key, as pages of up to 1,000. Pages are not one snapshot. */
  query(range: EntityRange): AsyncIterable<readonly StoredEntity[]>;

  /** Carries out all of 1 to 100 operations on different entities of a partition, or none of them. */
  transact(partitionKey: string, operations: readonly EntityOperation[]): Promise<TransactionResult>;
}

/** All entities of a range. */
export async function readAll(table: EntityTable, range: EntityRange): Promise<StoredEntity[]> {
  const entities: StoredEntity[] = [];
  for await (const page of table.query(range)) entities.push(...page);
  return entities;
}

/** Removes all entities of a range, a transaction at a time; somebody else may be removing them, too. */
export async function deleteAll(table: EntityTable, range: EntityRange): Promise<void> {
  for (;;) {
    const rows = await readAll(table, { ...range, limit: TRANSACTION_OPERATIONS });
    if (rows.length === 0) return;
    await table.transact(
      range.partitionKey,
      rows.map(({ rowKey }) => ({ kind: 'delete', rowKey, etag: null })),
    );
  }
}
