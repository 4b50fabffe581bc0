import type { ColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { quoteText } from '../storage/store.ts';
import type { KqlNode } from './syntax.ts';

/** SQL and the Kusto type of its value. SQL of type string is never null. */
export interface Expression {
  readonly sql: string;
  readonly type: ColumnType;
  /** Set for literals: what they say; of a dynamic its JSON. */
  readonly literal?: string | undefined;
  readonly isNull?: boolean;
}

/** Rows at one point of the pipeline: a CTE, with `_x` (extent) and `_o` (order) while they last. */
export interface Stage {
  readonly from: string;
  readonly columns: readonly StageColumn[];
  readonly hasExtent: boolean;
  readonly hasOrder: boolean;
  /** True when functions may look at other rows, as after `sort` and `serialize`. */
  readonly isSerialized?: boolean;
}

export interface StageColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly physical: string;
}

/** What `let`, `as`, parameters and arguments bind. `table` is set when rows are those of a table under another name. */
export type Named =
  | { readonly kind: 'scalar'; readonly value: Expression }
  | { readonly kind: 'tabular'; readonly stage: Stage; readonly table?: string | undefined }
  | { readonly kind: 'function'; readonly declaration: KqlNode; readonly names: Names };

export type Names = ReadonlyMap<string, Named>;

/** What names mean at this point of the query. */
export interface Scope {
  /** Case-sensitive. */
  readonly columns: ReadonlyMap<string, Expression>;
  readonly names: Names;
  /** One instant for the whole query, as `now()` answers it. */
  readonly nowMs: number;
  /** Set when the rows are still rows of a table: what its extents tell. */
  readonly extents?: ExtentColumns | undefined;
  /** True in the aggregates of summarize. */
  readonly isAggregate?: boolean;
  /** True when the rows have an order (`_o`). */
  readonly hasOrder?: boolean;
  /** True when functions may look at other rows. */
  readonly isSerialized?: boolean;
  readonly queries: Queries;
}

/** Queries inside of expressions. */
export interface Queries {
  /** First column of the only row. */
  scalar(node: KqlNode, names: Names): Expression;
  /** SQL of a subquery with one column. */
  list(node: KqlNode, names: Names): Expression;
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

const numericTypes: readonly ColumnType[] = ['int', 'long', 'real', 'decimal'];

export function isNumeric(value: Expression): boolean {
  return numericTypes.includes(value.type);
}

export function isTime(value: Expression): boolean {
  return value.type === 'datetime' || value.type === 'timespan';
}

/** Text of a value, as `tostring()` gives it: never null. */
export function toText(value: Expression): string {
  const { sql, type } = value;
  switch (type) {
    case 'string':
      return sql;
    case 'bool':
      return `case when ${sql} then 'True' when not ${sql} then 'False' else '' end`;
    case 'int':
    case 'long':
    case 'guid':
      return `coalesce(${sql}::varchar, '')`;
    default:
      return `coalesce(kql_text_of_${type}(${sql}), '')`;
  }
}

/** JSON text of a value, as it stands in a dynamic; null stays null. */
export function toDynamic(value: Expression): string {
  const { sql, type } = value;
  switch (type) {
    case 'dynamic':
      return sql;
    case 'int':
    case 'long':
    case 'bool':
      return `(${sql})::varchar`;
    case 'decimal':
      throw makeNotSupported('a decimal in a dynamic; convert it first');
    case 'guid':
      return `('"' || ${sql} || '"')`;
    case 'string':
      return `kql_json_of_string(${sql})`;
    default:
      return `kql_json_of_${type}(${sql})`;
  }
}

/** The same value as another type, by the rules of the `to...()` functions: null where it has none. */
export function convert(value: Expression, type: ColumnType): Expression {
  if (value.type === type) return value;
  if (value.isNull && type !== 'string') return { sql: `null::${sqlTypes[type]}`, type, isNull: true };
  if (type === 'string') return { sql: toText(value), type };
  if (type === 'dynamic') return { sql: toDynamic(value), type };
  if (value.type === 'string' || value.type === 'dynamic')
    return { sql: `kql_${type}_of_${value.type}(${value.sql})`, type };
  const sql = conversions[type]?.[value.type]?.(value.sql);
  if (sql === undefined) throw makeNotSupported(`to${type}() of a ${value.type}`);
  return { sql, type };
}

type Conversion = (sql: string) => string;
const asLong: Conversion = (sql) => `(${sql})::bigint`;
const wrapToInt: Conversion = (sql) => `kql_wrap_to_int(${sql})`;
const isNotZero: Conversion = (sql) => `(${sql} <> 0)`;

const conversions: Readonly<Partial<Record<ColumnType, Readonly<Partial<Record<ColumnType, Conversion>>>>>> =
  {
    int: {
      bool: (sql) => `(${sql})::integer`,
      long: wrapToInt,
      datetime: wrapToInt,
      timespan: wrapToInt,
      real: (sql) => `kql_int_of_real(${sql})`,
      decimal: (sql) => `kql_wrap_to_int(trunc(${sql})::bigint)`,
    },
    long: {
      bool: asLong,
      int: asLong,
      datetime: (sql) => sql,
      timespan: (sql) => sql,
      real: (sql) => `kql_long_of_real(${sql})`,
      decimal: (sql) => `trunc(${sql})::bigint`,
    },
    real: {
      bool: (sql) => `(${sql})::integer::double`,
      int: (sql) => `(${sql})::double`,
      long: (sql) => `(${sql})::double`,
      datetime: (sql) => `(${sql})::double`,
      timespan: (sql) => `(${sql})::double`,
      decimal: (sql) => `kql_real_of_decimal(${sql})`,
    },
    decimal: {
      int: (sql) => `(${sql})::decimal(38,17)`,
      long: (sql) => `(${sql})::decimal(38,17)`,
      real: (sql) => `kql_decimal_of_real(${sql})`,
    },
    bool: { int: isNotZero, long: isNotZero, real: isNotZero, decimal: isNotZero },
  };

/** SQL of a literal of a type from what conversions answer in JavaScript. */
export function literalSql(value: boolean | number | bigint | string | null, type: ColumnType): string {
  if (value === null) return `null::${sqlTypes[type]}`;
  if (typeof value === 'boolean') return String(value);
  if (type === 'real') return `${quoteText(String(value))}::double`;
  return typeof value === 'string' ? quoteText(value) : `(${value})::${sqlTypes[type]}`;
}

/** The one type of several values; numbers widen. @throws KustoError when they can't be mixed. */
export function commonType(values: readonly Expression[], what: string): ColumnType {
  const types = [...new Set(values.filter((value) => !value.isNull).map((value) => value.type))];
  const [first] = types;
  if (first === undefined) return values[0]?.type ?? 'string';
  if (types.length === 1) return first;
  if (types.every((type) => type === 'int' || type === 'long')) return 'long';
  if (types.includes('dynamic')) return 'dynamic';
  throw makeNotSupported(`${types.join(' and ')} mixed in ${what}; convert them to one type`);
}
