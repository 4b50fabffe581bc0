import type { ColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';

/** SQL and the Kusto type of its value. */
export interface Expression {
  readonly sql: string;
  readonly type: ColumnType;
  /** Set for literals: what they say. */
  readonly literal?: string | undefined;
  readonly isNull?: boolean;
}

/** What names mean at this point of the query. */
export interface Scope {
  /** Case-sensitive. */
  readonly columns: ReadonlyMap<string, Expression>;
  /** One instant for the whole query, as `now()` answers it. */
  readonly nowMs: number;
  /** Set when the rows are still rows of a table: what its extents tell. */
  readonly extents?: ExtentColumns | undefined;
  /** True in the aggregates of summarize. */
  readonly isAggregate?: boolean;
  /** `let` values. */
  readonly values: ReadonlyMap<string, Expression>;
}

export interface ExtentColumns {
  readonly tags: string;
  readonly id: string;
  readonly ingestionTime: string;
}

/** DuckDB type that holds a value of a Kusto type. */
export const sqlTypes: Readonly<Record<ColumnType, string>> = {
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

/** Text of a value, as `tostring` gives it: never null. */
export function toText(value: Expression): string {
  switch (value.type) {
    case 'string':
      return value.sql;
    case 'dynamic':
      // A JSON string loses its quotes; other JSON stays as it is written.
      return `coalesce(case when json_type(${value.sql}) = 'VARCHAR' then json_extract_string(${value.sql}, '$') when json_type(${value.sql}) = 'NULL' then '' else ${value.sql} end, '')`;
    case 'bool':
      throw makeNotSupported('a bool as text; use iff()');
    case 'real':
      return `coalesce(case when isnan(${value.sql}) then 'NaN' when isinf(${value.sql}) then case when ${value.sql} > 0 then '∞' else '-∞' end else regexp_replace(${value.sql}::varchar, '\\.0$', '') end, '')`;
    case 'decimal':
      return `coalesce(regexp_replace(regexp_replace(${value.sql}::varchar, '(\\.[0-9]*?)0+$', '\\1'), '\\.$', ''), '')`;
    case 'datetime':
      return `coalesce(${formatTicksSql(value.sql)}, '')`;
    case 'timespan':
      throw makeNotSupported('a timespan as text');
    default:
      return `coalesce(${value.sql}::varchar, '')`;
  }
}

const EPOCH = '621355968000000000';

/** DuckDB timestamp of ticks; loses the seventh digit. */
export function toTimestamp(sql: string): string {
  return `make_timestamp((${sql} - ${EPOCH}) // 10)`;
}

export function fromTimestamp(sql: string): string {
  return `(epoch_us(${sql}) * 10 + ${EPOCH})`;
}

function formatTicksSql(sql: string): string {
  return `(strftime(${toTimestamp(sql)}, '%Y-%m-%dT%H:%M:%S.') || lpad((${sql} % 10000000)::varchar, 7, '0') || 'Z')`;
}

/** The value of a dynamic as another type; null where it is something else. */
export function castDynamic(sql: string, type: ColumnType): string {
  const text = `json_extract_string(${sql}, '$')`;
  switch (type) {
    case 'string':
      return toText({ sql, type: 'dynamic' });
    case 'bool':
      return `case lower(${text}) when 'true' then true when 'false' then false end`;
    case 'int':
    case 'long':
    case 'real':
    case 'decimal':
      return `case when json_type(${sql}) in ('BIGINT', 'UBIGINT', 'DOUBLE', 'HUGEINT') then try_cast(${text} as ${sqlTypes[type]}) end`;
    case 'guid':
      return `lower(${text})`;
    case 'dynamic':
      return sql;
    default:
      throw makeNotSupported(`a dynamic as ${type}; use to${type}(tostring(...))`);
  }
}
