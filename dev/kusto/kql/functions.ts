import type { ColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { quoteText } from '../storage/store.ts';
import { parseDatetime, parseTimespan, ticksFromUnixMs } from '../ticks.ts';
import type { KqlNode } from './syntax.ts';
import { type Expression, fromTimestamp, type Scope, sqlTypes, toText, toTimestamp } from './values.ts';

interface CallContext {
  readonly scope: Scope;
  readonly node: KqlNode;
  readonly resultType: ColumnType | undefined;
}

type FunctionTranslator = (args: readonly Expression[], context: CallContext) => Expression;

const DAY = '864000000000';

/** Ticks since 0001-01-01, a Monday, cut down to a multiple of `size`. */
function floorTicks(sql: string, size: string): string {
  return `(${sql} - (((${sql} % ${size}) + ${size}) % ${size}))`;
}

function startOf(unit: string): FunctionTranslator {
  return (args, { scope: _scope }) => {
    const value = one(args);
    requireType(value, 'datetime', `startof${unit}`);
    if (args.length > 1) throw makeNotSupported(`startof${unit}() with an offset`);
    return { sql: fromTimestamp(`date_trunc('${unit}', ${toTimestamp(value.sql)})`), type: 'datetime' };
  };
}

function datePart(part: string): FunctionTranslator {
  return (args) => {
    const value = one(args);
    requireType(value, 'datetime', part);
    return { sql: `extract(${part} from ${toTimestamp(value.sql)})::integer`, type: 'int' };
  };
}

function textFunction(name: string, type: ColumnType = 'string'): FunctionTranslator {
  return (args) => ({ sql: `${name}(${toText(one(args))})${type === 'long' ? '::bigint' : ''}`, type });
}

function toInteger(type: 'int' | 'long'): FunctionTranslator {
  return (args) => {
    const value = one(args);
    const target = sqlTypes[type];
    switch (value.type) {
      case 'string':
        return {
          sql: `case when regexp_full_match(${value.sql}, '\\s*[+-]?[0-9]+\\s*') then try_cast(trim(${value.sql}) as ${target}) end`,
          type,
        };
      case 'dynamic': {
        const text = toText(value);
        return {
          sql: `case when regexp_full_match(${text}, '[+-]?[0-9]+') then try_cast(${text} as ${target}) when json_type(${value.sql}) = 'DOUBLE' then try_cast(trunc(try_cast(${text} as double)) as ${target}) end`,
          type,
        };
      }
      case 'guid':
        throw makeNotSupported(`to${type}() of a guid`);
      case 'real':
      case 'decimal':
        return { sql: `try_cast(trunc(${value.sql}) as ${target})`, type };
      default:
        return { sql: `try_cast(${value.sql} as ${target})`, type };
    }
  };
}

function toNumber(type: 'real' | 'decimal'): FunctionTranslator {
  return (args) => {
    const value = one(args);
    if (value.type === 'guid' || value.type === 'datetime' || value.type === 'timespan')
      throw makeNotSupported(`to${type}() of a ${value.type}`);
    const sql = value.type === 'dynamic' ? toText(value) : value.sql;
    return { sql: `try_cast(${sql} as ${sqlTypes[type]})`, type };
  };
}

const toDatetime: FunctionTranslator = (args) => {
  const value = one(args);
  if (value.type === 'datetime') return value;
  if (value.type !== 'string' && value.type !== 'dynamic')
    throw makeNotSupported(`todatetime() of a ${value.type}`);
  if (value.literal !== undefined && value.type === 'string') {
    const ticks = parseDatetime(value.literal);
    return { sql: ticks === null ? 'null::bigint' : `${ticks}::bigint`, type: 'datetime' };
  }
  const text = toText(value);
  const iso = '\\s*\\d{4}-\\d{2}-\\d{2}([T ]\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,7})?)?)?\\s*Z?\\s*';
  // DuckDB reads six digits; the seventh is added by hand.
  const seventh = `coalesce(try_cast(nullif(regexp_extract(${text}, '\\.\\d{6}(\\d)', 1), '') as bigint), 0)`;
  const cut = `regexp_replace(trim(${text}), '(\\.\\d{6})\\d', '\\1')`;
  return {
    sql: `case when regexp_full_match(${text}, ${quoteText(iso)}) then ${fromTimestamp(`try_cast(rtrim(${cut}, 'Z ') as timestamp)`)} + ${seventh} end`,
    type: 'datetime',
  };
};

const bin: FunctionTranslator = (args) => {
  const [value, size] = two(args);
  if (value.type === 'datetime' || value.type === 'timespan') {
    if (size.type !== 'timespan') throw makeNotSupported(`bin() of a ${value.type} by a ${size.type}`);
    return { sql: floorTicks(value.sql, size.sql), type: value.type };
  }
  const type: ColumnType =
    value.type === 'real' || size.type === 'real'
      ? 'real'
      : value.type === 'int' && size.type === 'int'
        ? 'int'
        : 'long';
  if (value.type === 'decimal' || size.type === 'decimal') throw makeNotSupported('bin() of a decimal');
  if (type === 'real') return { sql: `(floor(${value.sql} / ${size.sql}::double) * ${size.sql})`, type };
  return { sql: floorTicks(value.sql, size.sql), type };
};

const iff: FunctionTranslator = (args) => {
  const [condition, yes, no] = args;
  if (condition === undefined || yes === undefined || no === undefined)
    throw makeNotSupported('iff() without three arguments');
  const type = commonType([yes, no]);
  return { sql: `case when ${condition.sql} then ${yes.sql} else ${no.sql} end`, type };
};

const coalesce: FunctionTranslator = (args) => {
  const type = commonType(args);
  if (type === 'string') {
    return { sql: `coalesce(${args.map((arg) => `nullif(${arg.sql}, '')`).join(', ')}, '')`, type };
  }
  return { sql: `coalesce(${args.map((arg) => arg.sql).join(', ')})`, type };
};

const isNull: FunctionTranslator = (args) => {
  const value = one(args);
  if (value.type === 'string') return { sql: 'false', type: 'bool' };
  if (value.type === 'dynamic')
    return { sql: `(${value.sql} is null or ${value.sql} = 'null')`, type: 'bool' };
  return { sql: `(${value.sql} is null)`, type: 'bool' };
};

const isEmpty: FunctionTranslator = (args) => ({ sql: `(${toText(one(args))} = '')`, type: 'bool' });

const negate =
  (inner: FunctionTranslator): FunctionTranslator =>
  (args, context) => ({ sql: `(not ${inner(args, context).sql})`, type: 'bool' });

const functions: Readonly<Record<string, FunctionTranslator>> = {
  tostring: (args) => ({ sql: toText(one(args)), type: 'string' }),
  tolong: toInteger('long'),
  toint: toInteger('int'),
  todouble: toNumber('real'),
  toreal: toNumber('real'),
  todecimal: toNumber('decimal'),
  todatetime: toDatetime,
  totimespan: (args) => {
    const value = one(args);
    if (value.type === 'timespan') return value;
    if (value.literal === undefined) throw makeNotSupported('totimespan() of anything but a literal');
    const ticks = parseTimespan(value.literal);
    return { sql: ticks === null ? 'null::bigint' : `${ticks}::bigint`, type: 'timespan' };
  },
  tobool: (args) => {
    const value = one(args);
    if (value.type === 'bool') return value;
    if (value.type === 'int' || value.type === 'long') return { sql: `(${value.sql} <> 0)`, type: 'bool' };
    return {
      sql: `case lower(${toText(value)}) when 'true' then true when '1' then true when 'false' then false when '0' then false end`,
      type: 'bool',
    };
  },
  toguid: (args) => {
    const value = one(args);
    if (value.type === 'guid') return value;
    const text = toText(value);
    return { sql: `try_cast(${text} as uuid)::varchar`, type: 'guid' };
  },
  todynamic: (args) => {
    const value = one(args);
    if (value.type === 'dynamic') return value;
    if (value.type !== 'string') throw makeNotSupported(`todynamic() of a ${value.type}`);
    return {
      sql: `case when ${value.sql} = '' then null when json_valid(${value.sql}) then ${value.sql} else to_json(${value.sql})::varchar end`,
      type: 'dynamic',
    };
  },
  strlen: textFunction('length', 'long'),
  tolower: textFunction('lower'),
  toupper: textFunction('upper'),
  strcat: (args) => ({ sql: `concat(${args.map(toText).join(', ')})`, type: 'string' }),
  substring: (args) => {
    const [text, start, length] = args;
    if (text === undefined || start === undefined) throw makeNotSupported('substring() without a start');
    const from = `(greatest(${start.sql}, 0) + 1)`;
    return {
      sql: `substring(${toText(text)}, ${from}${length === undefined ? '' : `, greatest(${length.sql}, 0)`})`,
      type: 'string',
    };
  },
  bin,
  floor: bin,
  startofday: (args) => {
    const value = one(args);
    requireType(value, 'datetime', 'startofday');
    if (args.length > 1) throw makeNotSupported('startofday() with an offset');
    return { sql: floorTicks(value.sql, DAY), type: 'datetime' };
  },
  startofmonth: startOf('month'),
  startofyear: startOf('year'),
  monthofyear: datePart('month'),
  getmonth: datePart('month'),
  getyear: datePart('year'),
  dayofmonth: datePart('day'),
  hourofday: datePart('hour'),
  now: (args, { scope }) => {
    const base = `${ticksFromUnixMs(scope.nowMs)}::bigint`;
    return { sql: args[0] === undefined ? base : `(${base} + ${args[0].sql})`, type: 'datetime' };
  },
  ago: (args, { scope }) => ({
    sql: `(${ticksFromUnixMs(scope.nowMs)}::bigint - ${one(args).sql})`,
    type: 'datetime',
  }),
  isnull: isNull,
  isnotnull: negate(isNull),
  isempty: isEmpty,
  isnotempty: negate(isEmpty),
  notempty: negate(isEmpty),
  not: (args) => ({ sql: `(not ${one(args).sql})`, type: 'bool' }),
  iff,
  iif: iff,
  coalesce,
  abs: (args) => ({ sql: `abs(${one(args).sql})`, type: one(args).type }),
  round: (args) => ({ sql: `round(${one(args).sql}::double, ${args[1]?.literal ?? '0'})`, type: 'real' }),
  array_length: (args) => {
    const value = one(args);
    requireType(value, 'dynamic', 'array_length');
    return {
      sql: `case when json_type(${value.sql}) = 'ARRAY' then json_array_length(${value.sql})::bigint end`,
      type: 'long',
    };
  },
  extent_tags: (_args, { scope }) => ({ sql: requireExtents(scope, 'extent_tags').tags, type: 'dynamic' }),
  extent_id: (_args, { scope }) => ({ sql: requireExtents(scope, 'extent_id').id, type: 'guid' }),
  ingestion_time: (_args, { scope }) => ({
    sql: requireExtents(scope, 'ingestion_time').ingestionTime,
    type: 'datetime',
  }),
};

/** @throws KustoError naming a function that is not translated. */
export function translateFunction(
  name: string,
  args: readonly Expression[],
  context: CallContext,
): Expression {
  const translate = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (translate === undefined) throw makeNotSupported(`the function ${name}()`);
  return translate(args, context);
}

function requireExtents(scope: Scope, name: string): NonNullable<Scope['extents']> {
  if (scope.extents === undefined) throw makeNotSupported(`${name}() after an operator that makes new rows`);
  return scope.extents;
}

function one(args: readonly Expression[]): Expression {
  const [value] = args;
  if (value === undefined) throw makeNotSupported('a function without its argument');
  return value;
}

function two(args: readonly Expression[]): [Expression, Expression] {
  const [first, second] = args;
  if (first === undefined || second === undefined)
    throw makeNotSupported('a function without its two arguments');
  return [first, second];
}

function requireType(value: Expression, type: ColumnType, name: string): void {
  if (value.type !== type) throw makeNotSupported(`${name}() of a ${value.type}`);
}

function commonType(values: readonly Expression[]): ColumnType {
  const types = [...new Set(values.filter((value) => !value.isNull).map((value) => value.type))];
  const [first] = types;
  if (first === undefined) return values[0]?.type ?? 'string';
  if (types.length === 1) return first;
  const order: readonly ColumnType[] = ['int', 'long', 'real'];
  if (types.every((type) => order.includes(type)))
    return order[Math.max(...types.map((type) => order.indexOf(type)))] ?? 'long';
  throw makeNotSupported(`mixing ${types.join(' and ')} in one expression`);
}
