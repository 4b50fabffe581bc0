import {
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBScalarFunction,
  type DuckDBType,
  type DuckDBValue,
} from '@duckdb/node-api';
import type { Column } from '../column-types.ts';
import type { PhysicalValue } from '../ingest/convert-value.ts';
import {
  Catalog,
  type CatalogChange,
  defineColumn,
  type Extent,
  extentChange,
  type StoredColumn,
  type StoredTable,
  tableChange,
} from './catalog.ts';

/** DuckDB's vector size: appending whole vectors is what its appender does best. */
const CHUNK_ROWS = 2_048;
const READERS = 2;

/** What a write transaction may do. */
export interface WriteTransaction {
  /** @returns how many rows the statement changed. */
  run(sql: string): Promise<number>;
  query(sql: string): Promise<DuckDBValue[][]>;
  /** Opens a bulk append to the table; `close` before anything else is run on the table. */
  openAppender(table: StoredTable, extentNumber: number): Promise<RowAppender>;
  saveCatalog(...changes: readonly CatalogChange[]): Promise<void>;
}

export interface RowAppender {
  /** Values in the order of the table's columns. */
  addRow(sourceOrdinal: number, values: readonly PhysicalValue[]): void;
  readonly rowCount: number;
  close(): void;
}

/**
 * The rows and the catalogue, in one DuckDB database. Writers queue up behind each other, one transaction at a
 * time; readers see what is committed.
 */
export class Store {
  readonly catalog = new Catalog();
  readonly #instance: DuckDBInstance;
  readonly #writer: DuckDBConnection;
  readonly #readers: DuckDBConnection[];
  readonly #idleReaders: DuckDBConnection[];
  readonly #waitingReaders: ((connection: DuckDBConnection) => void)[] = [];
  #lastWrite: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(instance: DuckDBInstance, writer: DuckDBConnection, readers: DuckDBConnection[]) {
    this.#instance = instance;
    this.#writer = writer;
    this.#readers = readers;
    this.#idleReaders = [...readers];
  }

  /** @param file DuckDB file, created if missing; undefined keeps everything in memory. */
  static async open(file: string | undefined): Promise<Store> {
    const instance = await DuckDBInstance.create(file ?? ':memory:', {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      preserve_insertion_order: 'false',
    });
    const connections = await Promise.all(Array.from({ length: READERS + 1 }, () => instance.connect()));
    const [writer, ...readers] = connections;
    if (writer === undefined) throw new Error('DuckDB gave no connection.');
    for (const connection of connections) await connection.run("set timezone = 'UTC'");
    const store = new Store(instance, writer, readers);
    await writer.run('create table if not exists kusto_catalog(key varchar primary key, document varchar)');
    const saved = await writer.runAndReadAll('select key, document from kusto_catalog');
    for (const [key, document] of saved.getRows())
      store.catalog.load(String(key), JSON.parse(String(document)));
    await store.write((transaction) =>
      transaction.saveCatalog(['instance', { id: store.catalog.instanceId }]),
    );
    return store;
  }

  /** Runs `work` in a transaction of its own, after all writes before it. What it throws rolls the rows back. */
  write<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const result = this.#lastWrite.then(() => this.#writeNow(work));
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }

  async #writeNow<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const writer = this.#writer;
    await writer.run('begin transaction');
    try {
      const result = await work({
        run: async (sql) => (await writer.runAndReadAll(sql)).rowsChanged,
        query: async (sql) => (await writer.runAndReadAll(sql)).getRows(),
        openAppender: (table, extentNumber) => openAppender(writer, table, extentNumber),
        saveCatalog: async (...changes) => {
          for (const [key, document] of changes) {
            if (document === null) await writer.run('delete from kusto_catalog where key = $1', [key]);
            else
              await writer.run('insert or replace into kusto_catalog values ($1, $2)', [
                key,
                JSON.stringify(document),
              ]);
          }
        },
      });
      await writer.run('commit');
      return result;
    } catch (error) {
      await writer.run('rollback').catch(() => undefined);
      throw error;
    }
  }

  /** Makes functions known to all connections. */
  register(functions: readonly DuckDBScalarFunction[]): void {
    for (const scalar of functions) this.#writer.registerScalarFunction(scalar);
  }

  /** Rows as DuckDB's JavaScript values: BIGINT as bigint, DECIMAL as DuckDBDecimalValue. */
  async read(sql: string): Promise<DuckDBValue[][]> {
    const reader = await this.#takeReader();
    try {
      return (await reader.runAndReadAll(sql)).getRows();
    } finally {
      const next = this.#waitingReaders.shift();
      if (next) next(reader);
      else this.#idleReaders.push(reader);
    }
  }

  #takeReader(): Promise<DuckDBConnection> {
    const idle = this.#idleReaders.pop();
    if (idle) return Promise.resolve(idle);
    return new Promise((resolve) => this.#waitingReaders.push(resolve));
  }

  async createTable(input: {
    database: string;
    name: string;
    columns: readonly Column[];
    folder?: string;
    docString?: string;
  }): Promise<StoredTable> {
    return this.write(async (transaction) => {
      // Two writers may both have found the table missing.
      const existing = this.catalog.findTable(input.database, input.name);
      if (existing) return existing;
      const table = this.catalog.addTable(input);
      const columns = ['_x integer not null', '_b integer not null', ...table.columns.map(defineColumn)];
      await transaction.run(`create table ${table.physical} (${columns.join(', ')})`);
      await transaction.saveCatalog(tableChange(table));
      return table;
    });
  }

  /** Adds the columns that are missing; @throws KustoError when one exists with another type. */
  async addColumns(table: StoredTable, wanted: readonly Column[]): Promise<readonly StoredColumn[]> {
    return this.write(async (transaction) => {
      const added = this.catalog.planNewColumns(table, wanted);
      for (const column of added)
        await transaction.run(`alter table ${table.physical} add column ${defineColumn(column)}`);
      if (added.length > 0) {
        table.columns = [...table.columns, ...added];
        this.catalog.schemaVersion += 1;
        await transaction.saveCatalog(tableChange(table));
      }
      return added;
    });
  }

  async dropTable(table: StoredTable): Promise<void> {
    await this.write(async (transaction) => {
      const extents = this.catalog.extentsOf(table);
      await transaction.run(`drop table ${table.physical}`);
      await transaction.saveCatalog(
        [`table/${table.physical}`, null],
        ...extents.map((extent): CatalogChange => [`extent/${extent.number}`, null]),
      );
      for (const extent of extents) this.catalog.extents.delete(extent.number);
      this.catalog.removeTable(table);
    });
  }

  async dropExtents(table: StoredTable, extents: readonly Extent[]): Promise<void> {
    if (extents.length === 0) return;
    await this.write(async (transaction) => {
      const numbers = extents.map((extent) => extent.number).join(', ');
      await transaction.run(`delete from ${table.physical} where _x in (${numbers})`);
      await transaction.saveCatalog(
        ...extents.map((extent): CatalogChange => [`extent/${extent.number}`, null]),
      );
    });
    for (const extent of extents) this.catalog.extents.delete(extent.number);
  }

  /** Saves one more extent of rows that `transaction` has just written. Visible to others once it commits. */
  async addExtent(transaction: WriteTransaction, extent: Extent): Promise<void> {
    await transaction.saveCatalog(extentChange(extent));
    this.catalog.extents.set(extent.number, extent);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#lastWrite;
    for (const connection of [this.#writer, ...this.#readers]) connection.closeSync();
    this.#instance.closeSync();
  }
}

async function openAppender(
  connection: DuckDBConnection,
  table: StoredTable,
  extentNumber: number,
): Promise<RowAppender> {
  const appender = await connection.createAppender(table.physical);
  const types: DuckDBType[] = Array.from({ length: appender.columnCount }, (_, index) =>
    appender.columnType(index),
  );
  const columnCount = table.columns.length;
  let columns: DuckDBValue[][] = types.map(() => []);
  let pending = 0;
  let total = 0;
  const flush = () => {
    if (pending === 0) return;
    const chunk = DuckDBDataChunk.create(types, pending);
    chunk.setColumns(columns);
    appender.appendDataChunk(chunk);
    columns = types.map(() => []);
    pending = 0;
  };
  return {
    addRow(sourceOrdinal, values) {
      columns[0]?.push(extentNumber);
      columns[1]?.push(sourceOrdinal);
      for (let index = 0; index < columnCount; index += 1) columns[index + 2]?.push(values[index] ?? null);
      pending += 1;
      total += 1;
      if (pending === CHUNK_ROWS) flush();
    },
    get rowCount() {
      return total;
    },
    close() {
      flush();
      appender.flushSync();
      appender.closeSync();
    },
  };
}

/** SQL string literal. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
