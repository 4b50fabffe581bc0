import type { ColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { type Expression, sqlTypes, toText } from './values.ts';

const addable: readonly ColumnType[] = ['int', 'long', 'real', 'decimal', 'timespan'];

type AggregateTranslator = (args: readonly Expression[]) => Expression;

/** Over no rows counts and sums are 0, lists are empty, the others null, as the service documents it. */
const aggregates: Readonly<Record<string, AggregateTranslator>> = {
  count: () => ({ sql: 'count(*)', type: 'long' }),
  countif: ([condition]) => ({
    sql: `count(*) filter (where ${need(condition, 'countif').sql})`,
    type: 'long',
  }),
  sum: ([value]) => sum(need(value, 'sum'), ''),
  sumif: ([value, condition]) => sum(need(value, 'sumif'), ` filter (where ${need(condition, 'sumif').sql})`),
  avg: ([value]) => average(need(value, 'avg'), ''),
  avgif: ([value, condition]) =>
    average(need(value, 'avgif'), ` filter (where ${need(condition, 'avgif').sql})`),
  min: ([value]) => extreme('min', need(value, 'min')),
  max: ([value]) => extreme('max', need(value, 'max')),
  dcount: ([value]) => ({ sql: `count(distinct ${need(value, 'dcount').sql})`, type: 'long' }),
  count_distinct: ([value]) => ({
    sql: `count(distinct ${need(value, 'count_distinct').sql})`,
    type: 'long',
  }),
  dcountif: ([value, condition]) => ({
    sql: `count(distinct ${need(value, 'dcountif').sql}) filter (where ${need(condition, 'dcountif').sql})`,
    type: 'long',
  }),
  make_list: ([value, size]) => list(need(value, 'make_list'), size, false),
  make_set: ([value, size]) => list(need(value, 'make_set'), size, true),
  take_any: ([value, second]) => any(need(value, 'take_any'), second),
  any: ([value, second]) => any(need(value, 'any'), second),
};

export function isAggregate(name: string): boolean {
  return Object.hasOwn(aggregates, name);
}

/** @throws KustoError naming what can't be aggregated. */
export function translateAggregate(name: string, args: readonly Expression[]): Expression {
  const translate = aggregates[name];
  if (translate === undefined) throw makeNotSupported(`the aggregate ${name}()`);
  return translate(args);
}

function need(value: Expression | undefined, name: string): Expression {
  if (value === undefined) throw makeNotSupported(`${name}() without its arguments`);
  return value;
}

function sum(value: Expression, filter: string): Expression {
  if (!addable.includes(value.type)) throw makeNotSupported(`sum of a ${value.type}`);
  const type = value.type === 'int' ? 'long' : value.type;
  return { sql: `coalesce(sum(${value.sql})${filter}, 0)::${sqlTypes[type]}`, type };
}

function average(value: Expression, filter: string): Expression {
  if (!['int', 'long', 'real'].includes(value.type)) throw makeNotSupported(`avg of a ${value.type}`);
  return { sql: `avg(${value.sql})${filter}`, type: 'real' };
}

function extreme(name: string, value: Expression): Expression {
  if (value.type === 'dynamic' || value.type === 'bool' || value.type === 'guid')
    throw makeNotSupported(`${name} of a ${value.type}`);
  const sql = `${name}(${value.sql})`;
  return { sql: value.type === 'string' ? `coalesce(${sql}, '')` : sql, type: value.type };
}

function any(value: Expression, second: Expression | undefined): Expression {
  if (second !== undefined) throw makeNotSupported('take_any of several columns');
  return { sql: `any_value(${value.sql})`, type: value.type };
}

function list(value: Expression, size: Expression | undefined, isSet: boolean): Expression {
  if (size !== undefined) throw makeNotSupported('make_list and make_set with a size');
  const isText = value.type === 'datetime' || value.type === 'guid' || value.type === 'string';
  if (value.type === 'timespan' || value.type === 'decimal')
    throw makeNotSupported(`make_list of a ${value.type}`);
  const item = value.type === 'dynamic' ? `${value.sql}::json` : isText ? toText(value) : value.sql;
  return {
    sql: `coalesce(to_json(list(${isSet ? 'distinct ' : ''}${item}) filter (where ${value.sql} is not null))::varchar, '[]')`,
    type: 'dynamic',
  };
}
