import type { DuckDBDecimalValue, DuckDBValue } from '@duckdb/node-api';
import type { Column, ColumnType } from '../column-types.ts';
import { KustoError, makeNotSupported } from '../kusto-error.ts';
import type { Extent } from '../storage/catalog.ts';
import { quoteText, type Store } from '../storage/store.ts';
import { formatDatetime, formatTimespan, parseDatetime, parseTimespan, ticksFromUnixMs } from '../ticks.ts';
import { checkDatetime } from './calendar.ts';
import { formatDecimal } from './decimal.ts';
import { encodeDynamic, requireDynamic } from './dynamic-value.ts';
import type { KqlParser } from './parser.ts';
import { SCRIPT_ERROR } from './script-functions.ts';
import type { TableSchema } from './syntax.ts';
import { type BaseRelation, translateQuery } from './translate-query.ts';
import { literalSql, sqlTypes } from './values.ts';

/** Rows as they stand in answers: JSON values, long integers as raw JSON. */
export interface ResultTable {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly unknown[])[];
  /** Set when there were more rows than an answer may have, and these are only the first of them. */
  readonly limit?: KustoError;
}

/** Rows that a query may answer; the service cuts there, unless it is told not to, and reports the query as failed. */
export const MAX_ANSWER_ROWS = 500_000;

/** Runs KQL against one database. @throws KustoError. */
export async function runQuery(input: {
  store: Store;
  parser: KqlParser;
  database: string;
  text: string;
  /** Values of `declare query_parameters`, as the client sent them. */
  parameters?: Readonly<Record<string, unknown>> | undefined;
  /** Default: no limit. */
  maxRows?: number;
}): Promise<ResultTable> {
  const { store } = input;
  const database = store.catalog.requireDatabase(input.database);
  const tables = store.catalog.tablesOf(database.name);
  return execute(input, {
    schemas: tables,
    schemaKey: `${database.name}/${store.catalog.schemaVersion}`,
    database: database.name,
    text: input.text,
    parameters: input.parameters,
    maxRows: input.maxRows,
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
  const empty = `(select ${columns.map((column) => `null::${sqlTypes[column.type]} as ${column.physical}`).join(', ')} where false)`;
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

function quoteCell(cell: unknown, type: ColumnType): string {
  if (cell === null || cell === undefined) return `null::${sqlTypes[type]}`;
  if (type === 'datetime') return literalSql(parseDatetime(String(cell)), type);
  if (type === 'timespan') return literalSql(parseTimespan(String(cell)), type);
  if (typeof cell === 'object') return quoteText(JSON.stringify(cell));
  return `${quoteText(String(cell))}::${sqlTypes[type]}`;
}

async function execute(
  services: { store: Store; parser: KqlParser },
  query: {
    readonly schemas: readonly TableSchema[];
    readonly schemaKey: string;
    readonly database: string;
    readonly text: string;
    readonly extentsSql: string;
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
    readonly maxRows?: number | undefined;
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
    parameters: query.parameters,
  });
  let rows: DuckDBValue[][];
  try {
    const cut = query.maxRows === undefined ? '' : ` limit ${query.maxRows + 1}`;
    rows = await services.store.read(translated.sql + cut);
  } catch (error) {
    throw describeFailure((error as Error).message);
  }
  const types = translated.columns.map((column) => column.type);
  const isCut = query.maxRows !== undefined && rows.length > query.maxRows;
  if (isCut) rows.length = query.maxRows;
  return {
    ...(isCut && { limit: makeLimitError(query.maxRows) }),
    columns: translated.columns,
    rows: rows.map((row) => types.map((type, index) => encodeCell(row[index] ?? null, type))),
  };
}

function makeLimitError(maxRows: number): KustoError {
  return new KustoError(
    'LimitsExceeded',
    `Query execution has exceeded the allowed limits (80DA0003): The results of this query exceed the set limit of ${maxRows} records, so not all records were returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003).`,
    { type: 'Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException' },
  );
}

/** What went wrong in DuckDB, told as what it is: something that is not translated, or a value out of range. */
function describeFailure(message: string): KustoError {
  const line = message.split('\n')[0] ?? '';
  const script = line.indexOf(SCRIPT_ERROR);
  if (script !== -1) return makeNotSupported(line.slice(script + SCRIPT_ERROR.length));
  return new KustoError('General_BadRequest', `The query failed in the local engine: ${line}`, {
    type: 'Kusto.Data.Exceptions.KustoBadRequestException',
  });
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

function encodeNumber(value: DuckDBValue): unknown {
  if (typeof value === 'bigint') return rawJson(value.toString());
  const number = Number(value);
  if (Number.isFinite(number)) return number;
  return Number.isNaN(number) ? 'NaN' : number > 0 ? 'Infinity' : '-Infinity';
}

function encodeDatetime(value: DuckDBValue): string {
  const ticks = BigInt(value as bigint);
  try {
    return formatDatetime(checkDatetime(ticks));
  } catch (error) {
    throw makeNotSupported((error as Error).message);
  }
}

/** Values that are not null. */
const cellEncoders: Readonly<Record<ColumnType, (value: DuckDBValue) => unknown>> = {
  bool: (value) => value,
  int: encodeNumber,
  long: encodeNumber,
  real: encodeNumber,
  decimal: (value) => formatDecimal((value as DuckDBDecimalValue).value),
  datetime: encodeDatetime,
  timespan: (value) => formatTimespan(BigInt(value as bigint)),
  guid: String,
  dynamic: (value) => encodeDynamic(requireDynamic(String(value))),
  string: String,
};

function encodeCell(value: DuckDBValue, type: ColumnType): unknown {
  if (value === null) return type === 'string' ? '' : null;
  return cellEncoders[type](value);
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
