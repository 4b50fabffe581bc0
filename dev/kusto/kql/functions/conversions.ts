import { textConverters } from '../../ingest/convert-value.ts';
import { makeNotSupported } from '../../kusto-error.ts';
import { formatDatetime, formatTimespan, parseTimespan } from '../../ticks.ts';
import { checkDatetime, readDatetime } from '../calendar.ts';
import { formatDecimal, parseDecimal } from '../decimal.ts';
import {
  type DynamicValue,
  formatDynamic,
  isBag,
  isList,
  isLong,
  isNumber,
  makeReal,
  normalizeNumbers,
  readDynamic,
  requireDynamic,
  textOfDynamic,
} from '../dynamic-value.ts';
import type { ScriptFunction, ScriptValue } from '../script-functions.ts';
import { convert, type Expression } from '../values.ts';
import type { FunctionTranslator } from './function-entry.ts';

const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;
const INTEGER = /^\s*([+-]?)(\d+|0x[0-9a-f]+)\s*$/i;
const REAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/** Decimal or hexadecimal digits; a fraction or an exponent is no integer. */
function readLong(text: string): bigint | null {
  const match = INTEGER.exec(text);
  if (match === null) return null;
  const value = BigInt(match[2] ?? '0') * (match[1] === '-' ? -1n : 1n);
  return value >= MIN_LONG && value <= MAX_LONG ? value : null;
}

function readInt(text: string): number | null {
  const value = readLong(text);
  return value === null || value !== BigInt.asIntN(32, value) ? null : Number(value);
}

function readReal(text: string): number | null {
  return REAL.test(text) ? Number(text) : (textConverters.real(text) as number | null);
}

/** `true`, `false`, or an integer: anything but zero is true. */
function readBool(text: string): boolean | null {
  const word = text.trim().toLowerCase();
  if (word === 'true' || word === 'false') return word === 'true';
  const value = readLong(text);
  return value === null ? null : value !== 0n;
}

/** What each type reads from a text; strings and dynamics are not read. */
export const readers = {
  bool: readBool,
  int: readInt,
  long: readLong,
  real: readReal,
  decimal: parseDecimal,
  datetime: readDatetime,
  timespan: (text: string) => (text.trim() === '' ? null : parseTimespan(text)),
  guid: (text: string) => textConverters.guid(text) as string | null,
} as const;

/** Cut towards zero, at most as far as the type goes. */
function longOfReal(value: number): bigint | null {
  if (Number.isNaN(value)) return null;
  if (value >= 2 ** 63) return MAX_LONG;
  return value <= -(2 ** 63) ? MIN_LONG : BigInt(Math.trunc(value));
}

function intOfReal(value: number): number | null {
  if (Number.isNaN(value)) return null;
  return Math.max(-2147483648, Math.min(2147483647, Math.trunc(value)));
}

/**
 * As .NET writes a double: the shortest digits that read back to it, with an exponent from 1E+15 on and from 1E-05 down.
 */
function formatReal(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '-∞';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power >= 15 || power <= -5)
    return `${mantissa}E${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const digits = mantissa.replace(/[-.]/g, '');
  if (power >= 0) return String(value);
  return `${value < 0 ? '-' : ''}0.${'0'.repeat(-power - 1)}${digits}`;
}

function decimalOfReal(value: number): bigint | null {
  if (!Number.isFinite(value)) return null;
  const text = String(value);
  if (text.replace(/e.*$/i, '').replace(/\D/g, '').replace(/^0+/, '').length > 15)
    throw new Error('todecimal() of a real with more than 15 digits');
  return parseDecimal(text);
}

function ofDynamic(read: {
  readonly number?: (value: string) => ScriptValue;
  readonly bool?: (value: boolean) => ScriptValue;
  readonly text: (value: string) => ScriptValue;
}): (json: string) => ScriptValue {
  return (json) => {
    const value = requireDynamic(json);
    if (value === null || isList(value) || isBag(value)) return null;
    if (typeof value === 'boolean') return read.bool?.(value) ?? null;
    return isNumber(value) ? (read.number?.(value.number) ?? null) : read.text(value);
  };
}

const isInteger = (number: string) => isLong({ number });
const longOfNumber = (text: string) => (isInteger(text) ? readLong(text) : longOfReal(Number(text)));
const intOfNumber = (text: string) => {
  const value = isInteger(text) ? readLong(text) : null;
  return value === null ? intOfReal(Number(text)) : Number(BigInt.asIntN(32, value));
};

/** Conversions that `convert()` and `toText()` name. */
export const conversionScripts: Readonly<Record<string, ScriptFunction>> = {
  bool_of_string: { parameters: ['string'], result: 'bool', run: readBool },
  int_of_string: { parameters: ['string'], result: 'int', run: readInt },
  long_of_string: { parameters: ['string'], result: 'long', run: readLong },
  real_of_string: { parameters: ['string'], result: 'real', run: readReal },
  decimal_of_string: { parameters: ['string'], result: 'decimal', run: parseDecimal },
  datetime_of_string: { parameters: ['string'], result: 'datetime', run: readDatetime },
  timespan_of_string: { parameters: ['string'], result: 'timespan', run: readers.timespan },
  guid_of_string: { parameters: ['string'], result: 'guid', run: readers.guid },
  bool_of_dynamic: {
    parameters: ['dynamic'],
    result: 'bool',
    run: ofDynamic({ number: (text) => Number(text) !== 0, bool: (value) => value, text: readBool }),
  },
  int_of_dynamic: {
    parameters: ['dynamic'],
    result: 'int',
    run: ofDynamic({ number: intOfNumber, bool: Number, text: readInt }),
  },
  long_of_dynamic: {
    parameters: ['dynamic'],
    result: 'long',
    run: ofDynamic({ number: longOfNumber, bool: (value) => (value ? 1n : 0n), text: readLong }),
  },
  real_of_dynamic: {
    parameters: ['dynamic'],
    result: 'real',
    run: ofDynamic({ number: Number, bool: Number, text: readReal }),
  },
  decimal_of_dynamic: {
    parameters: ['dynamic'],
    result: 'decimal',
    run: ofDynamic({ number: parseDecimal, text: parseDecimal }),
  },
  datetime_of_dynamic: {
    parameters: ['dynamic'],
    result: 'datetime',
    run: ofDynamic({ text: readDatetime }),
  },
  timespan_of_dynamic: {
    parameters: ['dynamic'],
    result: 'timespan',
    run: ofDynamic({ text: readers.timespan }),
  },
  guid_of_dynamic: { parameters: ['dynamic'], result: 'guid', run: ofDynamic({ text: readers.guid }) },
  wrap_to_int: {
    parameters: ['long'],
    result: 'int',
    run: (value: bigint) => Number(BigInt.asIntN(32, value)),
  },
  int_of_real: { parameters: ['real'], result: 'int', run: intOfReal },
  long_of_real: { parameters: ['real'], result: 'long', run: longOfReal },
  real_of_decimal: {
    parameters: ['decimal'],
    result: 'real',
    run: (value: bigint) => Number(formatDecimal(value)),
  },
  decimal_of_real: { parameters: ['real'], result: 'decimal', run: decimalOfReal },
  text_of_real: { parameters: ['real'], result: 'string', run: formatReal },
  text_of_decimal: { parameters: ['decimal'], result: 'string', run: formatDecimal },
  text_of_datetime: {
    parameters: ['datetime'],
    result: 'string',
    run: (ticks: bigint) => formatDatetime(checkDatetime(ticks)),
  },
  text_of_timespan: { parameters: ['timespan'], result: 'string', run: formatTimespan },
  text_of_dynamic: {
    parameters: ['dynamic'],
    result: 'string',
    run: (json: string) => textOfDynamic(requireDynamic(json)),
  },
  json_of_string: { parameters: ['string'], result: 'dynamic', run: (text: string) => JSON.stringify(text) },
  json_of_real: {
    parameters: ['real'],
    result: 'dynamic',
    run: (value: number) => formatDynamic(makeReal(value)),
  },
  json_of_datetime: {
    parameters: ['datetime'],
    result: 'dynamic',
    run: (ticks: bigint) => JSON.stringify(formatDatetime(checkDatetime(ticks))),
  },
  json_of_timespan: {
    parameters: ['timespan'],
    result: 'dynamic',
    run: (ticks: bigint) => JSON.stringify(formatTimespan(ticks)),
  },
  json_of_text: { parameters: ['string'], result: 'dynamic', run: parseJson },
};

/** JSON, or else a string that holds the text; nothing for no text. */
function parseJson(text: string): string | null {
  if (text.trim() === '') return null;
  const value: DynamicValue | undefined = readDynamic(text);
  if (value === null) return null;
  return value === undefined ? JSON.stringify(text) : formatDynamic(normalizeNumbers(value));
}

function to(type: Expression['type']): FunctionTranslator {
  return ([value]) => {
    if (value === undefined) throw makeNotSupported(`to${type}() without its argument`);
    // Over literals the service folds such a value otherwise than over rows.
    const isFolded = type === 'int' && value.type === 'real' && value.literal !== undefined;
    if (isFolded && Math.abs(Number(value.literal)) >= 2 ** 31)
      throw makeNotSupported('toint() of a real literal outside of int');
    return convert(value, type);
  };
}

const toJson: FunctionTranslator = ([value]) => {
  if (value === undefined) throw makeNotSupported('parse_json() without its argument');
  if (value.type === 'string') return { sql: `kql_json_of_text(${value.sql})`, type: 'dynamic' };
  return convert(value, 'dynamic');
};

export const conversionFunctions: Readonly<Record<string, FunctionTranslator>> = {
  tostring: to('string'),
  tobool: to('bool'),
  toboolean: to('bool'),
  toint: to('int'),
  tolong: to('long'),
  todouble: to('real'),
  toreal: to('real'),
  todecimal: to('decimal'),
  todatetime: to('datetime'),
  totimespan: to('timespan'),
  toguid: to('guid'),
  todynamic: toJson,
  parse_json: toJson,
  toobject: toJson,
};
