import { DuckDBDecimalValue as Decimal, type DuckDBDecimalValue, type DuckDBValue } from '@duckdb/node-api';
import type { Column, ColumnType } from '../column-types.ts';
import { KustoError } from '../kusto-error.ts';
import type { Extent } from '../storage/catalog.ts';
import { quoteText, type Store } from '../storage/store.ts';
import { formatDatetime, formatTimespan, ticksFromUnixMs } from '../ticks.ts';
import type { KqlParser } from './parser.ts';
import type { TableSchema } from './syntax.ts';
import { type BaseRelation, translateQuery } from './translate-query.ts';

/** Rows as they stand in answers: JSON values, long integers as raw JSON. */
export interface ResultTable {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly unknown[])[];
}

/** Runs KQL against one database. @throws KustoError. */
export async function runQuery(input: {
  store: Store;
  parser: KqlParser;
  database: string;
  text: string;
}): Promise<ResultTable> {
  const { store } = input;
  const database = store.catalog.requireDatabase(input.database);
  const tables = store.catalog.tablesOf(database.name);
  return execute(input, {
    schemas: tables,
    schemaKey: `${database.name}/${store.catalog.schemaVersion}`,
    database: database.name,
    text: input.text,
    findTable: (name) => {
      const table = store.catalog.findTable(database.name, name);
      return table && { from: table.physical, columns: table.columns, extentNumber: '_x' };
    },
    extentsSql: listExtents(store),
  });
}

/** Runs KQL operators over the rows of a command: `.show table T extents | summarize sum(RowCount)`. */
export async function runTail(
  input: { store: Store; parser: KqlParser },
  table: ResultTable,
  tail: string,
): Promise<ResultTable> {
  const name = 'CommandResult';
  const literals = table.rows.map(
    (row) =>
      `(${row.map((cell, index) => quoteCell(cell, table.columns[index]?.type ?? 'string')).join(', ')})`,
  );
  const columns = table.columns.map((column, index) => ({ ...column, physical: `c${index}` }));
  const names = columns.map((column) => column.physical).join(', ');
  const empty = `(select ${columns.map((column) => `null::${cellTypes[column.type]} as ${column.physical}`).join(', ')} where false)`;
  const base: BaseRelation = {
    from: literals.length === 0 ? empty : `(values ${literals.join(', ')}) as v(${names})`,
    columns,
  };
  return execute(input, {
    schemas: [{ name, columns: table.columns }],
    schemaKey: '',
    database: 'command',
    text: `${name} | ${tail}`,
    findTable: (wanted) => (wanted === name ? base : undefined),
    extentsSql: '',
  });
}

const cellTypes: Readonly<Record<ColumnType, string>> = {
  bool: 'boolean',
  int: 'integer',
  long: 'bigint',
  real: 'double',
  decimal: 'decimal(38,17)',
  datetime: 'bigint',
  timespan: 'bigint',
  guid: 'varchar',
  dynamic: 'varchar',
  string: 'varchar',
};

function quoteCell(cell: unknown, type: ColumnType): string {
  if (cell === null || cell === undefined) return `null::${cellTypes[type]}`;
  if (type === 'datetime') return `${ticksFromUnixMs(Date.parse(String(cell)))}::bigint`;
  if (typeof cell === 'object') return quoteText(JSON.stringify(cell));
  return `${quoteText(String(cell))}::${cellTypes[type]}`;
}

async function execute(
  services: { store: Store; parser: KqlParser },
  query: {
    readonly schemas: readonly TableSchema[];
    readonly schemaKey: string;
    readonly database: string;
    readonly text: string;
    readonly extentsSql: string;
    findTable(name: string): BaseRelation | undefined;
  },
): Promise<ResultTable> {
  const schemas = query.schemas.map(({ name, columns }) => ({
    name,
    columns: columns.map((column) => ({ name: column.name, type: column.type })),
  }));
  const schemaKey = query.schemaKey === '' ? JSON.stringify(schemas) : query.schemaKey;
  const syntax = await services.parser.parse({
    text: query.text,
    database: query.database,
    tables: schemas,
    schemaKey,
  });
  const translated = translateQuery(syntax, {
    findTable: query.findTable,
    extentsSql: query.extentsSql,
    nowMs: Date.now(),
  });
  let rows: DuckDBValue[][];
  try {
    rows = await services.store.read(translated.sql);
  } catch (error) {
    throw new KustoError(
      'General_BadRequest',
      `The query failed in the local engine: ${(error as Error).message.split('\n')[0]}`,
    );
  }
  const encoders = translated.columns.map((column) => cellEncoders[column.type]);
  return {
    columns: translated.columns,
    rows: rows.map((row) => encoders.map((encode, index) => encode(row[index] ?? null))),
  };
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

const encodeNumber = (value: DuckDBValue): unknown => {
  if (value === null) return null;
  if (typeof value === 'bigint') return rawJson(value.toString());
  const number = Number(value);
  if (Number.isFinite(number)) return number;
  return Number.isNaN(number) ? 'NaN' : number > 0 ? 'Infinity' : '-Infinity';
};

const cellEncoders: Readonly<Record<ColumnType, (value: DuckDBValue) => unknown>> = {
  bool: (value) => value,
  int: encodeNumber,
  long: encodeNumber,
  real: encodeNumber,
  decimal: (value) => (value === null ? null : formatDecimal(value)),
  datetime: (value) => (value === null ? null : formatDatetime(BigInt(value as bigint))),
  timespan: (value) => (value === null ? null : formatTimespan(BigInt(value as bigint))),
  guid: (value) => (value === null ? null : String(value)),
  dynamic: (value) => (value === null ? null : parseDynamic(String(value))),
  string: (value) => (value === null ? '' : String(value)),
};

function formatDecimal(value: DuckDBValue): string {
  const text = value instanceof Decimal ? (value as DuckDBDecimalValue).toString() : String(value);
  return text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text;
}

function parseDynamic(text: string): unknown {
  try {
    return rawDynamic(text);
  } catch {
    return text;
  }
}

/** Scalars stay values; objects and arrays keep their own digits. */
function rawDynamic(text: string): unknown {
  return /\d{16}/.test(text) && !/^[[{]/.test(text) ? rawJson(text) : JSON.parse(text);
}

function listExtents(store: Store): string {
  const rows = [...store.catalog.extents.values()].map(
    (extent: Extent) =>
      `(${extent.number}, ${quoteText(extent.id)}, ${quoteText(JSON.stringify(extent.tags))}, ${ticksFromUnixMs(Date.parse(extent.createdOn))}::bigint)`,
  );
  const names = 'v(n, id, tags, t)';
  return rows.length === 0
    ? `select 0 as n, '' as id, '' as tags, 0::bigint as t where false`
    : `select * from (values ${rows.join(', ')}) as ${names}`;
}
