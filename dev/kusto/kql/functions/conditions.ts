import { makeNotSupported } from '../../kusto-error.ts';
import { commonType, convert, type Expression, sqlTypes } from '../values.ts';
import { coerce, type FunctionTranslator, one, two } from './function-entry.ts';

/** Both arms of one type; a condition that is null takes the second. */
const iff: FunctionTranslator = (args, { name }) => {
  const [condition, yes, no] = args;
  if (condition === undefined || yes === undefined || no === undefined || args.length > 3)
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  const type = commonType([yes, no], `${name}()`);
  return {
    sql: `case when ${coerce(condition, 'bool', name)} then ${convert(yes, type).sql} else ${convert(no, type).sql} end`,
    type,
  };
};

const choose: FunctionTranslator = (args, { name }) => {
  if (args.length < 3 || args.length % 2 === 0)
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  const values = args.filter((_, index) => index % 2 === 1 || index === args.length - 1);
  const type = commonType(values, `${name}()`);
  const arms: string[] = [];
  for (let index = 0; index + 1 < args.length; index += 2) {
    const [condition, value] = [args[index], args[index + 1]];
    if (condition !== undefined && value !== undefined)
      arms.push(`when ${coerce(condition, 'bool', name)} then ${convert(value, type).sql}`);
  }
  return { sql: `case ${arms.join(' ')} else ${convert(args.at(-1) as Expression, type).sql} end`, type };
};

/** An empty string is passed over like a null. */
const coalesce: FunctionTranslator = (args, { name }) => {
  if (args.length < 2) throw makeNotSupported(`${name}() with ${args.length} arguments`);
  const type = commonType(args, `${name}()`);
  const values = args.map((arg) => convert(arg, type).sql);
  if (type !== 'string') return { sql: `coalesce(${values.join(', ')})`, type };
  return { sql: `coalesce(${values.map((sql) => `nullif(${sql}, '')`).join(', ')}, '')`, type };
};

/** Nulls are passed over while there is a value. */
const extreme =
  (sqlName: string): FunctionTranslator =>
  (args, { name }) => {
    const type = commonType(args, `${name}()`);
    if (args.length < 2 || type === 'dynamic' || type === 'bool' || type === 'guid' || type === 'string')
      throw makeNotSupported(`${name}() of ${args.length} values of type ${type}`);
    return { sql: `${sqlName}(${args.map((arg) => convert(arg, type).sql).join(', ')})`, type };
  };

const isNull: FunctionTranslator = (args, { name }) => {
  const value = one(args, name);
  if (value.type === 'string') return { sql: 'false', type: 'bool' };
  if (value.type === 'dynamic')
    return { sql: `(${value.sql} is null or ${value.sql} = 'null')`, type: 'bool' };
  return { sql: `(${value.sql} is null)`, type: 'bool' };
};

/** A column by its name, or else the second argument. */
const columnIfExists: FunctionTranslator = (args, { scope, name }) => {
  const [wanted, otherwise] = two(args, name);
  if (wanted.literal === undefined) throw makeNotSupported(`${name}() with a name that is not a literal`);
  return scope.columns.get(wanted.literal) ?? otherwise;
};

/** The value of another row of a table that has an order, or the default. */
const neighbor =
  (sqlName: string): FunctionTranslator =>
  (args, { scope, name }) => {
    const [value, offset, otherwise] = args;
    if (value === undefined || args.length > 3)
      throw makeNotSupported(`${name}() with ${args.length} arguments`);
    requireOrder(scope.isSerialized, name);
    const rows = offset === undefined ? '1' : coerce(offset, 'long', name);
    const missing =
      otherwise === undefined ? `null::${sqlTypes[value.type]}` : convert(otherwise, value.type).sql;
    const sql = `${sqlName}(${value.sql}, ${rows}, ${missing}) over (order by _o)`;
    return { sql: value.type === 'string' ? `coalesce(${sql}, '')` : sql, type: value.type };
  };

function requireOrder(isSerialized: boolean | undefined, name: string): void {
  if (isSerialized !== true)
    throw makeNotSupported(`${name}() over rows without an order; sort or serialize them first`);
}

const rowNumber: FunctionTranslator = (args, { scope, name }) => {
  requireOrder(scope.isSerialized, name);
  if (args.length > 1) throw makeNotSupported('row_number() that restarts');
  const [start] = args;
  const first = start === undefined ? '1' : coerce(start, 'long', name);
  return { sql: `(row_number() over (order by _o) - 1 + ${first})`, type: 'long' };
};

const runningSum: FunctionTranslator = (args, { scope, name }) => {
  requireOrder(scope.isSerialized, name);
  const value = one(args, name);
  if (!['int', 'long', 'real', 'timespan'].includes(value.type))
    throw makeNotSupported(`${name}() of a ${value.type}`);
  const type = value.type === 'int' ? 'long' : value.type;
  return {
    sql: `coalesce(sum(${value.sql}) over (order by _o rows unbounded preceding), 0)::${sqlTypes[type]}`,
    type,
  };
};

const not: FunctionTranslator = (args, { name }) => ({
  sql: `(not ${coerce(one(args, name), 'bool', name)})`,
  type: 'bool',
});

function requireExtents(name: string, hasExtents: boolean): void {
  if (!hasExtents) throw makeNotSupported(`${name}() after an operator that makes new rows`);
}

export const conditionFunctions: Readonly<Record<string, FunctionTranslator>> = {
  iff,
  iif: iff,
  case: choose,
  coalesce,
  min_of: extreme('least'),
  max_of: extreme('greatest'),
  isnull: isNull,
  isnotnull: (args, context) => ({ sql: `(not ${isNull(args, context).sql})`, type: 'bool' }),
  notnull: (args, context) => ({ sql: `(not ${isNull(args, context).sql})`, type: 'bool' }),
  not,
  column_ifexists: columnIfExists,
  columnifexists: columnIfExists,
  prev: neighbor('lag'),
  next: neighbor('lead'),
  row_number: rowNumber,
  row_cumsum: runningSum,
  extent_tags: (_args, { scope, name }) => {
    requireExtents(name, scope.extents !== undefined);
    return { sql: scope.extents?.tags ?? '', type: 'dynamic' };
  },
  extent_id: (_args, { scope, name }) => {
    requireExtents(name, scope.extents !== undefined);
    return { sql: scope.extents?.id ?? '', type: 'guid' };
  },
  ingestion_time: (_args, { scope, name }) => {
    requireExtents(name, scope.extents !== undefined);
    return { sql: scope.extents?.ingestionTime ?? '', type: 'datetime' };
  },
};
