import type { ColumnType } from '../column-types.ts';
import { quoteText } from '../storage/store.ts';
import { TICKS_AT_UNIX_EPOCH } from '../ticks.ts';
import { textConverters } from './convert-value.ts';
import { IngestionError } from './ingestion-error.ts';
import type { MappedColumn } from './ingestion-mapping.ts';

/** A column of a Parquet file as DuckDB describes it. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: string;
}

/** SQL that gives the table's column from a row of the file; what can't be converted is null. */
export function makeParquetExpression(
  column: MappedColumn,
  fileColumns: readonly ParquetColumn[],
  context: { readonly sourcePath: string },
): string {
  const type = column.type ?? 'string';
  const nothing = type === 'string' ? "''" : 'null';
  const { source, transform } = column;
  if (source.kind === 'none') return nothing;
  if (source.kind === 'constant') return makeLiteral(source.text, type);
  if (source.kind === 'sourceLocation') return makeLiteral(context.sourcePath, type);
  if (source.kind !== 'path') {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      `Column '${column.column}': the local endpoint can't read ${source.kind} from parquet.`,
    );
  }
  const [first, ...rest] = source.steps;
  const fileColumn = fileColumns.find((candidate) => candidate.name === first);
  if (fileColumn === undefined) return nothing;
  const value = `"${fileColumn.name.replaceAll('"', '""')}"`;
  if (rest.length > 0) {
    if (type !== 'dynamic' && type !== 'string') {
      throw new IngestionError(
        'BadRequest_InvalidMapping',
        `Column '${column.column}': the local endpoint reads nested parquet paths into dynamic and string columns only.`,
      );
    }
    const path = `$${rest.map((step) => (typeof step === 'number' ? `[${step}]` : `."${step}"`)).join('')}`;
    return type === 'dynamic'
      ? `json_extract(to_json(${value}), ${quoteText(path)})::varchar`
      : `coalesce(json_extract_string(to_json(${value}), ${quoteText(path)}), '')`;
  }
  if (transform !== undefined) return applyUnixTransform(column, value, fileColumn.type);
  const converted = convertParquet(value, readFamily(fileColumn.type), fileColumn.type, type);
  return type === 'string' ? `coalesce(${converted}, '')` : converted;
}

type Family =
  | 'bool'
  | 'integer'
  | 'uint64'
  | 'float'
  | 'decimal'
  | 'text'
  | 'bytes'
  | 'time'
  | 'uuid'
  | 'json'
  | 'nested'
  | 'other';

function readFamily(type: string): Family {
  if (/\[\d*\]$|^(STRUCT|MAP|UNION)\b/.test(type)) return 'nested';
  if (type === 'BOOLEAN') return 'bool';
  if (type === 'UBIGINT') return 'uint64';
  if (/^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/.test(type)) return 'integer';
  if (type === 'FLOAT' || type === 'DOUBLE') return 'float';
  if (type.startsWith('DECIMAL')) return 'decimal';
  if (type === 'VARCHAR') return 'text';
  if (type === 'BLOB') return 'bytes';
  if (type === 'DATE' || type.startsWith('TIMESTAMP')) return 'time';
  if (type === 'UUID') return 'uuid';
  return type === 'JSON' ? 'json' : 'other';
}

function convertParquet(value: string, family: Family, fileType: string, type: ColumnType): string {
  const isNumber = family === 'integer' || family === 'uint64' || family === 'float' || family === 'decimal';
  switch (type) {
    case 'bool':
      if (family === 'bool') return value;
      return isNumber ? `(${value} <> 0)` : 'null';
    case 'int':
    case 'long': {
      const physical = type === 'int' ? 'integer' : 'bigint';
      if (family === 'float' || family === 'decimal') return `try_cast(trunc(${value}) as ${physical})`;
      if (isNumber) return `try_cast(${value} as ${physical})`;
      return family === 'text'
        ? `case when regexp_full_match(${value}, '\\s*[+-]?[0-9]+\\s*') then try_cast(${value} as ${physical}) end`
        : 'null';
    }
    case 'real':
      if (family === 'uint64') return 'null';
      return isNumber || family === 'text' ? `try_cast(${value} as double)` : 'null';
    case 'decimal':
      if (family === 'bool') return `try_cast(${value}::integer as decimal(38,17))`;
      return isNumber || family === 'text' ? `try_cast(${value} as decimal(38,17))` : 'null';
    case 'datetime':
      return family === 'time' ? makeTicks(value, fileType) : 'null';
    case 'guid':
      return family === 'uuid' ? `${value}::varchar` : 'null';
    case 'dynamic':
      if (family === 'text')
        return `case when json_valid(${value}) then ${value} else to_json(${value})::varchar end`;
      return family === 'json' || family === 'nested' ? `to_json(${value})::varchar` : 'null';
    case 'string':
      if (family === 'float') return `regexp_replace(${value}::varchar, '\\.0$', '')`;
      if (family === 'time') return `strftime(${value}::timestamp, '%Y-%m-%dT%H:%M:%S.%f0Z')`;
      if (family === 'bytes') return `try_cast(decode(${value}) as varchar)`;
      if (family === 'nested' || family === 'other') return 'null';
      return `${value}::varchar`;
    case 'timespan':
      return 'null';
  }
}

function makeTicks(value: string, fileType: string): string {
  if (fileType === 'TIMESTAMP_NS') return `(epoch_ns(${value}) // 100 + ${TICKS_AT_UNIX_EPOCH})`;
  return `(epoch_us(${value}::timestamp) * 10 + ${TICKS_AT_UNIX_EPOCH})`;
}

function applyUnixTransform(column: MappedColumn, value: string, fileType: string): string {
  const factors: Readonly<Record<string, string>> = {
    DateTimeFromUnixSeconds: '* 10000000',
    DateTimeFromUnixMilliseconds: '* 10000',
    DateTimeFromUnixMicroseconds: '* 10',
    DateTimeFromUnixNanoseconds: '// 100',
  };
  const factor = factors[column.transform ?? ''];
  if (factor === undefined || column.type !== 'datetime') {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      `Column '${column.column}': the local endpoint can't apply ${column.transform} to parquet.`,
    );
  }
  if (readFamily(fileType) !== 'integer') return 'null';
  return `(try_cast(${value} as bigint) ${factor} + ${TICKS_AT_UNIX_EPOCH})`;
}

function makeLiteral(text: string, type: ColumnType): string {
  const value = textConverters[type](text);
  if (value === null) return 'null';
  if (typeof value === 'string') return quoteText(value);
  if (type === 'real') return `${quoteText(String(value))}::double`;
  return String(value);
}
