import type { ColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { coerce } from './functions/function-entry.ts';
import { type Expression, sqlTypes, toDynamic } from './values.ts';

interface Call {
  readonly name: string;
  readonly args: readonly Expression[];
  /** SQL ` filter (where ...)` of the `...if` forms, or nothing. */
  readonly filter: string;
  /** True when lists have to follow `_o`. */
  readonly hasOrder: boolean;
}

type AggregateTranslator = (value: Expression, call: Call) => Expression;

const addable: readonly ColumnType[] = ['int', 'long', 'real', 'decimal', 'timespan'];
const orderable: readonly ColumnType[] = ['int', 'long', 'real', 'decimal', 'datetime', 'timespan'];

/** Of one value, which is the first argument; over no rows counts and sums are 0, lists are empty, others null. */
const aggregates: Readonly<Record<string, AggregateTranslator>> = {
  sum: (value, { filter }) => {
    const type = value.type === 'int' ? 'long' : value.type;
    if (!addable.includes(type)) throw makeNotSupported(`sum of a ${value.type}`);
    return { sql: `coalesce(sum(${value.sql})${filter}, 0)::${sqlTypes[type]}`, type };
  },
  avg: (value, { filter }) => {
    if (value.type === 'timespan')
      return {
        sql: `(sum(${value.sql})${filter} // count(${value.sql})${filter})::bigint`,
        type: 'timespan',
      };
    if (!['int', 'long', 'real'].includes(value.type)) throw makeNotSupported(`avg of a ${value.type}`);
    // Of nothing it is NaN.
    return { sql: `coalesce(avg(${value.sql})${filter}, 'nan'::double)`, type: 'real' };
  },
  min: (value, call) => extreme('min', value, call),
  max: (value, call) => extreme('max', value, call),
  dcount: (value, { filter }) => countDistinct(value, filter),
  count_distinct: (value, { filter }) => countDistinct(value, filter),
  stdev: (value, call) => spread('stddev_samp', value, call),
  variance: (value, call) => spread('var_samp', value, call),
  stdevp: (value, call) => spread('stddev_pop', value, call),
  variancep: (value, call) => spread('var_pop', value, call),
  make_list: (value, call) => list(value, call, { isSet: false, keepsNulls: false }),
  make_list_with_nulls: (value, call) => list(value, call, { isSet: false, keepsNulls: true }),
  make_set: (value, call) => list(value, call, { isSet: true, keepsNulls: false }),
  make_bag: (value, { filter }) => {
    if (value.type !== 'dynamic') throw makeNotSupported(`make_bag of a ${value.type}`);
    return {
      sql: `kql_merge_bags(concat('[', string_agg(${value.sql}, ',')${filter}, ']'))`,
      type: 'dynamic',
    };
  },
  take_any: (value, { filter }) => any(value, filter),
  any: (value, { filter }) => any(value, filter),
  percentile: (value, { args, filter }) => percentile(value, args[1], filter),
};

/** The forms with a condition, which is the second argument, or the third after a size. */
const conditional: Readonly<Record<string, string>> = {
  sumif: 'sum',
  avgif: 'avg',
  minif: 'min',
  maxif: 'max',
  dcountif: 'dcount',
  count_distinctif: 'count_distinct',
  stdevif: 'stdev',
  varianceif: 'variance',
  make_list_if: 'make_list',
  make_set_if: 'make_set',
  make_bag_if: 'make_bag',
  take_anyif: 'take_any',
  anyif: 'any',
};

/** Each makes several columns; they stand alone, never inside of another expression. */
export const severalColumns: readonly string[] = ['arg_max', 'arg_min', 'percentiles', 'take_any', 'any'];

/** Names of the aggregates that are translated. */
export const supportedAggregates: readonly string[] = [
  'count',
  'countif',
  ...Object.keys(aggregates),
  ...Object.keys(conditional),
  'arg_max',
  'arg_min',
  'percentiles',
];

export function isAggregate(name: string): boolean {
  return supportedAggregates.includes(name);
}

/** @throws KustoError naming what can't be aggregated. */
export function translateAggregate(name: string, args: readonly Expression[], hasOrder: boolean): Expression {
  const [first, ...rest] = args;
  if (name === 'countif') {
    if (first === undefined) throw makeNotSupported('countif() without its condition');
    return { sql: `count(*) filter (where ${coerce(first, 'bool', name)})`, type: 'long' };
  }
  if (first === undefined) {
    if (name === 'count') return { sql: 'count(*)', type: 'long' };
    throw makeNotSupported(`${name}() without its arguments`);
  }
  const plain = conditional[name];
  const condition = plain === undefined ? undefined : rest[0];
  if (plain !== undefined && condition === undefined) throw makeNotSupported(`${name}() without a condition`);
  const filter = condition === undefined ? '' : ` filter (where ${coerce(condition, 'bool', name)})`;
  const translate = aggregates[plain ?? name];
  if (translate === undefined) throw makeNotSupported(`${name}() here, or with these arguments`);
  const own = plain === undefined ? args : [first, ...rest.slice(1)];
  const limit = plain === undefined && name.startsWith('percentile') ? 2 : name.startsWith('make_') ? 2 : 1;
  // The second argument of dcount is the accuracy of an estimate; here it is exact.
  if (own.length > limit && !(plain ?? name).startsWith('dcount'))
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  return translate(first, { name, args: own, filter, hasOrder });
}

function countDistinct(value: Expression, filter: string): Expression {
  if (value.type === 'dynamic') throw makeNotSupported('a distinct count of a dynamic; convert it first');
  return { sql: `count(distinct ${value.sql})${filter}`, type: 'long' };
}

function extreme(name: string, value: Expression, { filter }: Call): Expression {
  if (!orderable.includes(value.type) && value.type !== 'string')
    throw makeNotSupported(`${name} of a ${value.type}`);
  const sql = `${name}(${value.sql})${filter}`;
  return { sql: value.type === 'string' ? `coalesce(${sql}, '')` : sql, type: value.type };
}

/** Of a sample of one, and of nothing, it is 0. */
function spread(sqlName: string, value: Expression, { filter, name }: Call): Expression {
  if (!['int', 'long', 'real'].includes(value.type)) throw makeNotSupported(`${name} of a ${value.type}`);
  return { sql: `coalesce(${sqlName}(${value.sql})${filter}, 0)::double`, type: 'real' };
}

function any(value: Expression, filter: string): Expression {
  const sql = `any_value(${value.sql})${filter}`;
  return { sql: value.type === 'string' ? `coalesce(${sql}, '')` : sql, type: value.type };
}

/** Nearest rank, as the service answers over few values; over many the service estimates. */
export function percentile(value: Expression, rank: Expression | undefined, filter = ''): Expression {
  if (!orderable.includes(value.type) || value.type === 'decimal')
    throw makeNotSupported(`percentile of a ${value.type}`);
  const percent = Number(rank?.literal);
  if (!(percent >= 0 && percent <= 100))
    throw makeNotSupported('percentile() with a rank that is no literal of 0 to 100');
  return { sql: `quantile_disc(${value.sql}, ${percent / 100})${filter}`, type: value.type };
}

function list(
  value: Expression,
  { args, filter, hasOrder, name }: Call,
  { isSet, keepsNulls }: { isSet: boolean; keepsNulls: boolean },
): Expression {
  const size = args[1];
  if (size !== undefined && size.literal === undefined)
    throw makeNotSupported(`${name}() with a size that is not a literal`);
  const json = toDynamic(value);
  const own = `coalesce(${json}, 'null')`;
  const isKept = value.type === 'string' || keepsNulls ? '' : `${value.sql} is not null`;
  const condition = filter.replace(/^ filter \(where (.*)\)$/s, '$1');
  const conditions = [isKept, condition].filter((part) => part !== '').join(' and ');
  const order = hasOrder && !isSet ? ' order by _o' : '';
  const items = `list(${isSet ? 'distinct ' : ''}${own}${order})${conditions === '' ? '' : ` filter (where ${conditions})`}`;
  const cut = size === undefined ? items : `(${items})[1:${Number(size.literal)}]`;
  return { sql: `concat('[', array_to_string(${cut}, ','), ']')`, type: 'dynamic' };
}
