import type { ColumnType } from '../../column-types.ts';
import { makeNotSupported } from '../../kusto-error.ts';
import { TICKS_AT_UNIX_EPOCH } from '../../ticks.ts';
import { divideDecimals, multiplyDecimals } from '../decimal.ts';
import { convert, type Expression, isNumeric, isTime, sqlTypes } from '../values.ts';
import { coerce, type FunctionTranslator, one, type ScriptEntry, two } from './function-entry.ts';

/** Cut down to a multiple of `size`, also below zero. Sizes that are not above zero give null. */
function floorSql(value: string, size: string): string {
  return `case when ${size} > 0 then ${value} - (((${value} % ${size}) + ${size}) % ${size}) end`;
}

/**
 * Datetimes are cut from the epoch. Year 1 and 1970 give the same bins for every size that divides a day; where they
 * don't, which of the two the service takes is not known here.
 */
function binDatetime(value: Expression, size: Expression): Expression {
  const ticks = size.literal === undefined ? null : /^\((-?\d+)\)/.exec(size.sql)?.[1];
  if (ticks === null || ticks === undefined)
    return { sql: `kql_bin_datetime(${value.sql}, ${size.sql})`, type: 'datetime' };
  if (BigInt(ticks) > 0n && TICKS_AT_UNIX_EPOCH % BigInt(ticks) !== 0n)
    throw makeNotSupported(
      `bin() of a datetime by ${size.literal}, which divides no day; use startofweek() or bin_at()`,
    );
  return { sql: floorSql(value.sql, size.sql), type: 'datetime' };
}

const bin: FunctionTranslator = (args, { name, resultType }) => {
  const [value, size] = two(args, name);
  if (isTime(value)) {
    const ticks = coerce(size, 'timespan', name);
    if (value.type === 'datetime') return binDatetime(value, { ...size, sql: ticks });
    return { sql: floorSql(value.sql, ticks), type: 'timespan' };
  }
  const type = numericType([value, size], resultType, name);
  const [v, s] = [convert(value, type).sql, convert(size, type).sql];
  if (type === 'real') return { sql: `case when ${s} > 0 then floor(${v} / ${s}) * ${s} end`, type };
  return { sql: floorSql(v, s), type };
};

const binAt: FunctionTranslator = (args, { name, resultType }) => {
  const [value, size, fixed] = args;
  if (value === undefined || size === undefined || fixed === undefined)
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  if (isTime(value)) {
    if (fixed.type !== value.type || size.type !== 'timespan')
      throw makeNotSupported(`${name}() of a ${value.type} by a ${size.type} from a ${fixed.type}`);
    return { sql: `${fixed.sql} + ${floorSql(`(${value.sql} - ${fixed.sql})`, size.sql)}`, type: value.type };
  }
  const type = numericType([value, size, fixed], resultType, name);
  const [v, s, f] = [value, size, fixed].map((arg) => convert(arg, type).sql);
  if (type === 'real')
    return { sql: `case when ${s} > 0 then floor((${v} - ${f}) / ${s}) * ${s} + ${f} end`, type };
  return { sql: `${f} + ${floorSql(`(${v} - ${f})`, s ?? '')}`, type };
};

function numericType(
  values: readonly Expression[],
  resultType: ColumnType | undefined,
  name: string,
): 'int' | 'long' | 'real' {
  const odd = values.find((value) => !isNumeric(value) || value.type === 'decimal');
  if (odd !== undefined) throw makeNotSupported(`${name}() of a ${odd.type}`);
  if (values.some((value) => value.type === 'real')) return 'real';
  return resultType === 'int' ? 'int' : 'long';
}

/** A function of reals with the same name and meaning in DuckDB. Out of its domain it is NaN, as IEEE has it. */
const real =
  (sql: (value: string, second: string) => string, arity = 1): FunctionTranslator =>
  (args, { name }) => {
    if (args.length !== arity) throw makeNotSupported(`${name}() with ${args.length} arguments`);
    const [first = '', second = ''] = args.map((arg) => coerce(arg, 'real', name));
    return { sql: sql(first, second), type: 'real' };
  };

const logarithm = (sqlName: string) =>
  real(
    (x) =>
      `case when ${x} > 0 then ${sqlName}(${x}) when ${x} = 0 then '-inf'::double when ${x} is not null then 'nan'::double end`,
  );

const round: FunctionTranslator = ([value, digits], { name }) => {
  if (value === undefined) throw makeNotSupported('round() without its argument');
  if (value.type === 'int' || value.type === 'long' || value.type === 'decimal')
    throw makeNotSupported(`round() of a ${value.type}; convert it to real`);
  const places = digits === undefined ? '0::bigint' : coerce(digits, 'long', name);
  return { sql: `kql_round_real(${coerce(value, 'real', name)}, ${places})`, type: 'real' };
};

/** Half away from zero, on the digits of the double. */
function roundReal(value: number, places: bigint): number {
  if (!Number.isFinite(value)) return value;
  if (places < -300n || places > 300n) throw new Error('round() to more than 300 digits');
  const factor = 10 ** Number(places);
  const scaled = value * factor;
  if (!Number.isFinite(scaled)) return value;
  const rounded = Math.sign(scaled) * Math.round(Math.abs(scaled));
  const result = rounded / factor;
  return Number(places) > 0 ? Number(result.toPrecision(15)) : result;
}

const integerScripts = (run: (left: bigint, right: bigint) => bigint): ScriptEntry => ({
  parameters: ['long', 'long'],
  result: 'long',
  run: (left: bigint, right: bigint) => BigInt.asIntN(64, run(left, right)),
});

export const numberScripts: Readonly<Record<string, ScriptEntry>> = {
  binary_and: integerScripts((a, b) => a & b),
  binary_or: integerScripts((a, b) => a | b),
  binary_xor: integerScripts((a, b) => a ^ b),
  binary_shift_left: integerScripts((a, b) => a << (b & 63n)),
  binary_shift_right: integerScripts((a, b) => a >> (b & 63n)),
  binary_not: { parameters: ['long'], result: 'long', run: (value: bigint) => ~value },
  tohex: {
    parameters: ['long', 'long'],
    required: 1,
    nullableFrom: 1,
    result: 'string',
    run: (value: bigint, length: bigint | null) =>
      BigInt.asUintN(64, value)
        .toString(16)
        .padStart(Number(length ?? 0n), '0'),
  },
};

/** What translations of operators and functions name. */
export const hiddenNumberScripts: Readonly<Record<string, ScriptEntry>> = {
  round_real: { parameters: ['real', 'long'], result: 'real', run: roundReal },
  decimal_product: { parameters: ['decimal', 'decimal'], result: 'decimal', run: multiplyDecimals },
  decimal_quotient: { parameters: ['decimal', 'decimal'], result: 'decimal', run: divideDecimals },
  timespan_product: {
    parameters: ['timespan', 'real'],
    result: 'timespan',
    run: (ticks: bigint, factor: number) => {
      const product = Number(ticks) * factor;
      if (!Number.isSafeInteger(product))
        throw new Error(`a timespan times ${factor} that is not whole ticks`);
      return BigInt(product);
    },
  },
  bin_datetime: {
    parameters: ['datetime', 'timespan'],
    result: 'datetime',
    run: (ticks: bigint, size: bigint) => {
      if (size <= 0n) return null;
      if (TICKS_AT_UNIX_EPOCH % size !== 0n)
        throw new Error('bin() of a datetime by a size that divides no day');
      return (ticks / size) * size;
    },
  },
};

const sign: FunctionTranslator = (args, { name }) => {
  const value = one(args, name);
  if (!isNumeric(value)) throw makeNotSupported(`sign() of a ${value.type}`);
  return { sql: `sign(${value.sql})::double`, type: 'real' };
};

const test =
  (sql: string): FunctionTranslator =>
  (args, { name }) => ({ sql: `${sql}(${coerce(one(args, name), 'real', name)})`, type: 'bool' });

const abs: FunctionTranslator = (args, { name }) => {
  const value = one(args, name);
  if (!isNumeric(value) && value.type !== 'timespan') throw makeNotSupported(`abs() of a ${value.type}`);
  return { sql: `abs(${value.sql})::${sqlTypes[value.type]}`, type: value.type };
};

const ceiling: FunctionTranslator = (args, { name }) => {
  const value = one(args, name);
  if (value.type !== 'real') throw makeNotSupported(`ceiling() of a ${value.type}; convert it to real`);
  return { sql: `ceil(${value.sql})`, type: 'real' };
};

export const numberFunctions: Readonly<Record<string, FunctionTranslator>> = {
  bin,
  floor: bin,
  bin_at: binAt,
  abs,
  sign,
  round,
  ceiling,
  sqrt: real((x) => `case when ${x} < 0 then 'nan'::double else sqrt(${x}) end`),
  exp: real((x) => `exp(${x})`),
  exp2: real((x) => `pow(2::double, ${x})`),
  exp10: real((x) => `pow(10::double, ${x})`),
  log: logarithm('ln'),
  log2: logarithm('log2'),
  log10: logarithm('log10'),
  pow: real((x, y) => `pow(${x}, ${y})`, 2),
  sin: real((x) => `sin(${x})`),
  cos: real((x) => `cos(${x})`),
  tan: real((x) => `tan(${x})`),
  asin: real((x) => `case when abs(${x}) > 1 then 'nan'::double else asin(${x}) end`),
  acos: real((x) => `case when abs(${x}) > 1 then 'nan'::double else acos(${x}) end`),
  atan: real((x) => `atan(${x})`),
  atan2: real((y, x) => `atan2(${y}, ${x})`, 2),
  degrees: real((x) => `degrees(${x})`),
  radians: real((x) => `radians(${x})`),
  pi: () => ({ sql: 'pi()', type: 'real' }),
  isnan: test('isnan'),
  isinf: test('isinf'),
  isfinite: test('isfinite'),
};
