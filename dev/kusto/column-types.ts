import { KustoError } from './kusto-error.ts';

export const columnTypes = [
  'bool',
  'int',
  'long',
  'real',
  'decimal',
  'datetime',
  'timespan',
  'guid',
  'dynamic',
  'string',
] as const;
export type ColumnType = (typeof columnTypes)[number];

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

const aliases: Readonly<Record<string, ColumnType>> = {
  boolean: 'bool',
  double: 'real',
  float: 'real',
  date: 'datetime',
  time: 'timespan',
  uuid: 'guid',
  uniqueid: 'guid',
  int32: 'int',
  int64: 'long',
  object: 'dynamic',
};

interface TypeNames {
  /** `DataType` in v1 answers. */
  readonly v1: string;
  /** `Type` in `schema as json`. */
  readonly clr: string;
  /** DuckDB column that holds it. */
  readonly physical: string;
}

/**
 * Datetimes and timespans are kept as ticks of 100 ns (datetimes since 0001-01-01), because DuckDB's timestamps
 * lose the seventh digit or can't reach the year 9999.
 */
export const typeNames: Readonly<Record<ColumnType, TypeNames>> = {
  bool: { v1: 'SByte', clr: 'System.SByte', physical: 'BOOLEAN' },
  int: { v1: 'Int32', clr: 'System.Int32', physical: 'INTEGER' },
  long: { v1: 'Int64', clr: 'System.Int64', physical: 'BIGINT' },
  real: { v1: 'Double', clr: 'System.Double', physical: 'DOUBLE' },
  decimal: { v1: 'SqlDecimal', clr: 'System.Data.SqlTypes.SqlDecimal', physical: 'DECIMAL(38,17)' },
  datetime: { v1: 'DateTime', clr: 'System.DateTime', physical: 'BIGINT' },
  timespan: { v1: 'TimeSpan', clr: 'System.TimeSpan', physical: 'BIGINT' },
  guid: { v1: 'Guid', clr: 'System.Guid', physical: 'VARCHAR' },
  dynamic: { v1: 'Object', clr: 'System.Object', physical: 'VARCHAR' },
  string: { v1: 'String', clr: 'System.String', physical: 'VARCHAR' },
};

/** @returns undefined for a name that is no Kusto type. */
export function readColumnType(name: string): ColumnType | undefined {
  const lower = name
    .trim()
    .toLowerCase()
    .replace(/^system\./, '');
  if ((columnTypes as readonly string[]).includes(lower)) return lower as ColumnType;
  if (aliases[lower] !== undefined) return aliases[lower];
  return columnTypes.find((type) => typeNames[type].clr.toLowerCase() === `system.${lower}`);
}

/** @throws KustoError for a name that is no Kusto type. */
export function requireColumnType(name: string): ColumnType {
  const type = readColumnType(name);
  if (type === undefined) {
    throw new KustoError(
      'BadRequest_InvalidType',
      `'${name}' is not a Kusto type; use one of ${columnTypes.join(', ')}.`,
    );
  }
  return type;
}
