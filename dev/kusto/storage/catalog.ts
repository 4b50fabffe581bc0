import { randomUUID } from 'node:crypto';
import { type Column, type ColumnType, typeNames } from '../column-types.ts';
import { KustoError, makeEntityNotFound } from '../kusto-error.ts';

export interface StoredMapping {
  readonly name: string;
  /** Lower case: `csv`, `json`, `parquet`, ... */
  readonly kind: string;
  /** The mapping as it was given: a JSON array as text. */
  readonly mapping: string;
  readonly lastUpdatedOn: string;
}

export interface BatchingPolicy {
  readonly MaximumBatchingTimeSpan: string;
  readonly MaximumNumberOfItems: number;
  readonly MaximumRawDataSizeMB: number;
}

export interface Policies {
  readonly ingestionbatching?: BatchingPolicy;
  readonly streamingingestion?: { readonly IsEnabled: boolean; readonly HintAllocatedRate: number | null };
}

/** A column and the DuckDB column that holds it; names never reach DuckDB, which folds their case. */
export interface StoredColumn extends Column {
  readonly physical: string;
}

export interface StoredTable {
  readonly id: string;
  readonly database: string;
  name: string;
  /** DuckDB table: `t1`, `t2`, ... with `_x` (extent number) and `_b` (ordinal of the source in its batch). */
  readonly physical: string;
  columns: StoredColumn[];
  folder: string;
  docString: string;
  mappings: StoredMapping[];
  policies: Policies;
}

export interface StoredDatabase {
  readonly id: string;
  readonly name: string;
  mappings: StoredMapping[];
  policies: Policies;
}

export interface Extent {
  /** Value of `_x` in the rows of the extent. */
  readonly number: number;
  readonly id: string;
  readonly tablePhysical: string;
  /** ISO 8601. What `ingestion_time()` answers. */
  readonly createdOn: string;
  readonly rowCount: number;
  readonly originalSizeBytes: number;
  readonly tags: readonly string[];
}

/** One changed document of the catalogue; null deletes it. */
export type CatalogChange = readonly [key: string, document: object | null];

/**
 * Names, policies, mappings and extents. Held in memory and written through to DuckDB by the store, in the same
 * transaction as the rows they describe.
 */
export class Catalog {
  readonly databases = new Map<string, StoredDatabase>();
  readonly tables = new Map<string, StoredTable>();
  readonly extents = new Map<number, Extent>();
  /** Kept across restarts so that queues and containers keep their names. */
  instanceId: string = randomUUID().replaceAll('-', '').slice(0, 12);
  /** Goes up whenever names or types change; the KQL parser caches by it. */
  schemaVersion = 1;
  #nextTable = 1;
  #nextExtent = 1;

  load(key: string, document: unknown): void {
    if (key === 'instance') this.instanceId = (document as { id: string }).id;
    else if (key.startsWith('database/')) {
      const database = document as StoredDatabase;
      this.databases.set(database.name.toLowerCase(), database);
    } else if (key.startsWith('table/')) {
      const table = document as StoredTable;
      this.tables.set(tableKey(table.database, table.name), table);
      this.#nextTable = Math.max(this.#nextTable, Number(table.physical.slice(1)) + 1);
    } else if (key.startsWith('extent/')) {
      const extent = document as Extent;
      this.extents.set(extent.number, extent);
      this.#nextExtent = Math.max(this.#nextExtent, extent.number + 1);
    }
  }

  /** Database names are case-insensitive. */
  findDatabase(name: string): StoredDatabase | undefined {
    return this.databases.get(name.toLowerCase());
  }

  /** @throws KustoError when there is none of that name. */
  requireDatabase(name: string): StoredDatabase {
    const database = this.findDatabase(name);
    if (database === undefined) throw makeEntityNotFound('Database', name);
    return database;
  }

  addDatabase(name: string): CatalogChange {
    const database: StoredDatabase = { id: randomUUID(), name, mappings: [], policies: {} };
    this.databases.set(name.toLowerCase(), database);
    return databaseChange(database);
  }

  /** Table names are case-sensitive. */
  findTable(database: string, name: string): StoredTable | undefined {
    return this.tables.get(tableKey(database, name));
  }

  /** @throws KustoError when there is none of that name. */
  requireTable(database: string, name: string): StoredTable {
    const table = this.findTable(this.requireDatabase(database).name, name);
    if (table === undefined) throw makeEntityNotFound('Table', name);
    return table;
  }

  tablesOf(database: string): StoredTable[] {
    return [...this.tables.values()]
      .filter((table) => table.database.toLowerCase() === database.toLowerCase())
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  addTable(input: {
    database: string;
    name: string;
    columns: readonly Column[];
    folder?: string;
    docString?: string;
  }): StoredTable {
    const table: StoredTable = {
      id: randomUUID(),
      database: input.database,
      name: input.name,
      physical: `t${this.#nextTable}`,
      columns: input.columns.map((column, index) => ({ ...column, physical: `c${index}` })),
      folder: input.folder ?? '',
      docString: input.docString ?? '',
      mappings: [],
      policies: {},
    };
    this.#nextTable += 1;
    this.tables.set(tableKey(table.database, table.name), table);
    this.schemaVersion += 1;
    return table;
  }

  /** @returns what has to be saved. */
  renameTable(table: StoredTable, name: string): CatalogChange {
    this.tables.delete(tableKey(table.database, table.name));
    table.name = name;
    this.tables.set(tableKey(table.database, name), table);
    this.schemaVersion += 1;
    return tableChange(table);
  }

  removeTable(table: StoredTable): void {
    this.tables.delete(tableKey(table.database, table.name));
    this.schemaVersion += 1;
  }

  /**
   * Columns of `wanted` that the table lacks, with their physical names.
   * @throws KustoError when a column exists with another type.
   */
  planNewColumns(table: StoredTable, wanted: readonly Column[]): StoredColumn[] {
    const added: StoredColumn[] = [];
    for (const column of wanted) {
      const existing = table.columns.find((candidate) => candidate.name === column.name);
      if (existing === undefined) {
        added.push({ ...column, physical: `c${table.columns.length + added.length}` });
      } else if (existing.type !== column.type) {
        throw new KustoError(
          'BadRequest_EntityTypeChange',
          `Column '${column.name}' of table '${table.name}' has type '${existing.type}'; it can't become '${column.type}'.`,
        );
      }
    }
    return added;
  }

  extentsOf(table: StoredTable): Extent[] {
    return [...this.extents.values()].filter((extent) => extent.tablePhysical === table.physical);
  }

  makeExtent(
    table: StoredTable,
    input: {
      rowCount: number;
      originalSizeBytes: number;
      tags: readonly string[];
      createdOn?: string | undefined;
      number?: number;
    },
  ): Extent {
    return {
      number: input.number ?? this.takeExtentNumber(),
      id: randomUUID(),
      tablePhysical: table.physical,
      createdOn: input.createdOn ?? new Date().toISOString(),
      rowCount: input.rowCount,
      originalSizeBytes: input.originalSizeBytes,
      tags: input.tags,
    };
  }

  takeExtentNumber(): number {
    this.#nextExtent += 1;
    return this.#nextExtent - 1;
  }
}

function tableKey(database: string, name: string): string {
  return `${database.toLowerCase()}/${name}`;
}

export function tableChange(table: StoredTable): CatalogChange {
  return [`table/${table.physical}`, table];
}

export function databaseChange(database: StoredDatabase): CatalogChange {
  return [`database/${database.name.toLowerCase()}`, database];
}

export function extentChange(extent: Extent): CatalogChange {
  return [`extent/${extent.number}`, extent];
}

/** DuckDB column definition; a string column has no nulls, a missing value is the empty string. */
export function defineColumn(column: StoredColumn): string {
  return `${column.physical} ${typeNames[column.type].physical}${column.type === 'string' ? " default ''" : ''}`;
}

/** `a:long,b:string`. */
export function formatSchema(columns: readonly { name: string; type: ColumnType }[]): string {
  return columns.map((column) => `${quoteName(column.name)}:${column.type}`).join(',');
}

/** Bare when Kusto allows it, else `['a b']`. */
function quoteName(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
    ? name
    : `['${name.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}']`;
}
