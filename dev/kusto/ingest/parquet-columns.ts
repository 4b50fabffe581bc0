import type { ColumnType } from '../column-types.ts';
import { quoteText, type Store } from '../storage/store.ts';
import { MAX_DATETIME_TICKS, TICKS_AT_UNIX_EPOCH } from '../ticks.ts';
import { textConverters } from './convert-value.ts';
import { IngestionError } from './ingestion-error.ts';
import type { MappedColumn, PathStep } from './ingestion-mapping.ts';

const ROW_NUMBER = 'file_row_number';

/** DuckDB's table function for a file, with the number of each row. */
export function readParquet(file: string): string {
  return `read_parquet(${quoteText(file)}, ${ROW_NUMBER} = true)`;
}

/** A value of a Parquet file: SQL, DuckDB's type, and the file's own type where one DuckDB type stands for several. */
interface ParquetValue {
  readonly sql: string;
  readonly type: string;
  readonly physical: string | undefined;
}

/** SQL for each of the table's columns from a row of the file; what can't be converted is null. */
export async function planParquet(
  store: Store,
  input: { readonly file: string; readonly columns: readonly MappedColumn[]; readonly sourcePath: string },
): Promise<string[]> {
  const { file, columns, sourcePath } = input;
  const from = readParquet(file);
  const described = await store.read(`describe select * from ${from}`);
  const types = new Map(described.map(([name, type]) => [String(name), String(type)]));
  const physicals = new Map(
    (await store.read(`select name, type from parquet_schema(${quoteText(file)})`)).map(([name, type]) => [
      String(name),
      String(type),
    ]),
  );
  const find = async (steps: readonly PathStep[]): Promise<ParquetValue | undefined> => {
    const [first, ...rest] = steps;
    const name = String(first);
    const type = name === ROW_NUMBER ? undefined : types.get(name);
    if (type === undefined) return undefined;
    const sql = `"${name.replaceAll('"', '""')}"`;
    if (rest.length === 0) return { sql, type, physical: physicals.get(name) };
    const nested =
      sql + rest.map((step) => `[${typeof step === 'number' ? step + 1 : quoteText(step)}]`).join('');
    try {
      const [row] = await store.read(`describe select ${nested} from ${from}`);
      return { sql: nested, type: String(row?.[1]), physical: undefined };
    } catch {
      // The value has no such part.
      return undefined;
    }
  };
  const expressions: string[] = [];
  for (const column of columns) expressions.push(await makeExpression(column, find, sourcePath));
  return expressions;
}

async function makeExpression(
  column: MappedColumn,
  find: (steps: readonly PathStep[]) => Promise<ParquetValue | undefined>,
  sourcePath: string,
): Promise<string> {
  const type = column.type ?? 'string';
  const nothing = type === 'string' ? "''" : 'null';
  const { source } = column;
  switch (source.kind) {
    case 'none':
    case 'ordinal':
      return nothing;
    case 'constant':
      return makeLiteral(source.text, type);
    case 'sourceLocation':
      return makeLiteral(sourcePath, type);
    case 'sourceLineNumber':
      return `${ROW_NUMBER} + 1`;
    case 'path': {
      if (source.steps.length === 0) {
        throw new IngestionError(
          'BadRequest_InvalidMapping',
          `Column '${column.column}': the local endpoint can't read a whole parquet record.`,
        );
      }
      const value = await find(source.steps);
      if (value === undefined) return nothing;
      const converted =
        column.transform === undefined ? convert(value, type) : applyUnixTransform(column, value);
      return type === 'string' ? `coalesce(${converted}, '')` : converted;
    }
  }
}

type Family =
  | 'bool'
  | 'integer'
  | 'uint64'
  | 'float'
  | 'decimalInt'
  | 'decimalFixed'
  | 'decimalBytes'
  | 'text'
  | 'time'
  | 'uuid'
  | 'json'
  | 'nested'
  | 'other';

function readFamily({ type, physical }: ParquetValue): Family {
  if (/\[\d*\]$|^(STRUCT|MAP|UNION)\b/.test(type)) return 'nested';
  if (type === 'BOOLEAN') return 'bool';
  if (type === 'UBIGINT') return 'uint64';
  if (/^U?(TINYINT|SMALLINT|INTEGER|BIGINT)$/.test(type)) return 'integer';
  if (type === 'FLOAT' || type === 'DOUBLE') return 'float';
  if (type.startsWith('DECIMAL')) {
    if (physical === 'FIXED_LEN_BYTE_ARRAY') return 'decimalFixed';
    return physical === 'BYTE_ARRAY' ? 'decimalBytes' : 'decimalInt';
  }
  if (type === 'VARCHAR') return 'text';
  if (type === 'DATE' || type.startsWith('TIMESTAMP')) return 'time';
  if (type === 'UUID') return 'uuid';
  return type === 'JSON' ? 'json' : 'other';
}

const numbers: readonly Family[] = [
  'integer',
  'uint64',
  'float',
  'decimalInt',
  'decimalFixed',
  'decimalBytes',
];
const texts: readonly Family[] = ['text', 'json'];

/** The service's table of what each Parquet type may become; all else is null. */
const readable: Readonly<Record<ColumnType, readonly Family[]>> = {
  bool: ['bool', 'integer', 'uint64', 'float', 'decimalInt', 'decimalBytes'],
  int: ['integer', 'uint64', 'float', 'decimalInt', 'text'],
  long: [...numbers, 'text'],
  real: ['integer', 'float', 'decimalInt', 'decimalFixed', 'decimalBytes', 'text'],
  decimal: ['bool', ...numbers, 'text'],
  datetime: ['time'],
  guid: ['uuid'],
  dynamic: ['decimalBytes', 'nested', ...texts],
  string: ['bool', ...numbers, 'time', 'uuid', ...texts],
  timespan: [],
};

function convert(value: ParquetValue, type: ColumnType): string {
  const family = readFamily(value);
  const { sql } = value;
  if (!readable[type].includes(family)) return 'null';
  switch (type) {
    case 'bool':
      return family === 'bool' ? sql : `(${sql} <> 0)`;
    case 'int':
    case 'long': {
      const physical = type === 'int' ? 'integer' : 'bigint';
      if (family === 'text')
        return `case when regexp_full_match(${sql}, '\\s*[+-]?[0-9]+\\s*') then try_cast(${sql} as ${physical}) end`;
      return family === 'integer' || family === 'uint64'
        ? `try_cast(${sql} as ${physical})`
        : `try_cast(trunc(${sql}) as ${physical})`;
    }
    case 'real':
      return `try_cast(${sql} as double)`;
    case 'decimal':
      return toDecimal(value, family);
    case 'datetime':
      return withinRange(makeTicks(value));
    case 'guid':
      return `${sql}::varchar`;
    case 'dynamic':
      if (family === 'text')
        return `case when json_valid(${sql}) then ${sql} else to_json(${sql})::varchar end`;
      return family === 'decimalBytes' ? `${sql}::varchar` : `to_json(${sql})::varchar`;
    case 'string':
      if (family === 'float') return `regexp_replace(${sql}::varchar, '\\.0$', '')`;
      return family === 'time' ? formatTicks(makeTicks(value)) : `${sql}::varchar`;
    case 'timespan':
      return 'null';
  }
}

/** A number that the stored type can't hold exactly fails the source: it must not become another one. */
function toDecimal({ sql }: ParquetValue, family: Family): string {
  if (family === 'bool') return `try_cast(${sql}::integer as decimal(38,17))`;
  const cast = `try_cast(${sql} as decimal(38,17))`;
  if (family === 'integer' || family === 'uint64') return cast;
  const isNumber = family === 'text' ? `try_cast(${sql} as double) is not null` : `${sql} is not null`;
  const isOther =
    family === 'float'
      ? `${cast} is null and isfinite(${sql})`
      : family === 'text'
        ? `${cast} is null`
        : `(${cast} is null or ${cast} <> ${sql})`;
  return `case when ${isNumber} and ${isOther} then error('a decimal needs more than 21 digits before or 17 after the point, which this endpoint can not store') else ${cast} end`;
}

function makeTicks({ sql, type }: ParquetValue): string {
  if (type === 'TIMESTAMP_NS') return `(epoch_ns(${sql}) // 100 + ${TICKS_AT_UNIX_EPOCH})`;
  return `(epoch_us(${sql}::timestamp) * 10 + ${TICKS_AT_UNIX_EPOCH})`;
}

/** Null for what lies outside of the years 1 to 9999. */
function withinRange(ticks: string): string {
  return `case when ${ticks} between 0 and ${MAX_DATETIME_TICKS} then (${ticks})::bigint end`;
}

/** With seven digits after the second, of which DuckDB's own format has six. */
function formatTicks(ticks: string): string {
  const timestamp = `make_timestamp((${ticks} - ${TICKS_AT_UNIX_EPOCH}) // 10)`;
  return `(strftime(${timestamp}, '%Y-%m-%dT%H:%M:%S.') || lpad((${ticks} % 10000000)::varchar, 7, '0') || 'Z')`;
}

function applyUnixTransform(column: MappedColumn, value: ParquetValue): string {
  const factors: Readonly<Record<string, string>> = {
    DateTimeFromUnixSeconds: '* 10000000',
    DateTimeFromUnixMilliseconds: '* 10000',
    DateTimeFromUnixMicroseconds: '* 10',
    DateTimeFromUnixNanoseconds: '// 100',
  };
  const factor = factors[column.transform ?? ''];
  if (factor === undefined) {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      `Column '${column.column}': the local endpoint can't apply ${column.transform} to parquet.`,
    );
  }
  const family = readFamily(value);
  if (family !== 'integer' && family !== 'uint64') return 'null';
  return withinRange(`(try_cast(${value.sql} as hugeint) ${factor} + ${TICKS_AT_UNIX_EPOCH})`);
}

function makeLiteral(text: string, type: ColumnType): string {
  const value = textConverters[type](text);
  if (value === null) return 'null';
  if (typeof value === 'string') return quoteText(value);
  if (type === 'real') return `${quoteText(String(value))}::double`;
  return String(value);
}
