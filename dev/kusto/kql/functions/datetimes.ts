import { makeNotSupported } from '../../kusto-error.ts';
import { TICKS_AT_UNIX_EPOCH, ticksFromUnixMs } from '../../ticks.ts';
import {
  addMonths,
  type CalendarUnit,
  checkDatetime,
  dayOfYear,
  floorDivide,
  makeDatetime,
  partsOf,
  startOf,
  TICKS_PER_DAY,
  TICKS_PER_SECOND,
  weekdayOf,
  weekOfYear,
} from '../calendar.ts';
import { literalSql } from '../values.ts';
import { callScript, coerce, type FunctionTranslator, one, type ScriptEntry } from './function-entry.ts';

const HOUR = 36_000_000_000n;
const MINUTE = 600_000_000n;
/** Periods of a fixed length that `datetime_add` and `datetime_diff` know, in ticks. */
const lengths: Readonly<Record<string, bigint>> = {
  week: 7n * TICKS_PER_DAY,
  day: TICKS_PER_DAY,
  hour: HOUR,
  minute: MINUTE,
  second: TICKS_PER_SECOND,
  millisecond: 10_000n,
  microsecond: 10n,
};
const monthsIn: Readonly<Record<string, number>> = { year: 12, quarter: 3, month: 1 };

function add(period: string, amount: bigint, ticks: bigint): bigint {
  const unit = period.toLowerCase();
  const months = monthsIn[unit];
  if (months !== undefined) return checkDatetime(addMonths(ticks, amount * BigInt(months)));
  const length = lengths[unit];
  if (length !== undefined) return checkDatetime(ticks + amount * length);
  if (unit === 'nanosecond' && amount % 100n === 0n) return checkDatetime(ticks + amount / 100n);
  throw new Error(`datetime_add() of the period '${period}' (${amount})`);
}

/** How many borders of the period lie between the two. Weeks begin on Sunday. */
function difference(period: string, left: bigint, right: bigint): bigint {
  const unit = period.toLowerCase();
  const months = monthsIn[unit];
  if (months !== undefined) {
    const count = (ticks: bigint) => {
      const { year, month } = partsOf(ticks);
      return Math.floor((year * 12 + month - 1) / months);
    };
    return BigInt(count(left) - count(right));
  }
  if (unit === 'nanosecond') return (left - right) * 100n;
  const length = lengths[unit];
  if (length === undefined) throw new Error(`datetime_diff() of the period '${period}'`);
  // 0001-01-01 is a Monday.
  const shift = unit === 'week' ? TICKS_PER_DAY : 0n;
  return floorDivide(left + shift, length) - floorDivide(right + shift, length);
}

function part(name: string, ticks: bigint): number {
  const parts = partsOf(ticks);
  switch (name.toLowerCase()) {
    case 'year':
      return parts.year;
    case 'quarter':
      return Math.floor((parts.month + 2) / 3);
    case 'month':
      return parts.month;
    case 'week_of_year':
    case 'weekofyear':
      return weekOfYear(ticks);
    case 'day':
      return parts.day;
    case 'dayofyear':
      return dayOfYear(ticks);
    case 'hour':
      return parts.hour;
    case 'minute':
      return parts.minute;
    case 'second':
      return parts.second;
    case 'millisecond':
      return Math.floor(parts.fraction / 10_000);
    case 'microsecond':
      return Math.floor(parts.fraction / 10);
    case 'nanosecond':
      return parts.fraction * 100;
    default:
      throw new Error(`datetime_part() of '${name}'`);
  }
}

const pad = (value: number | bigint, width: number) => String(value).padStart(width, '0');

/** Fraction digits of `f` and `F`; the capital ones are left out when there is nothing but zeros. */
function formatFraction(token: string, fraction: number): string {
  const digits = pad(fraction, 7).slice(0, token.length);
  return token.startsWith('F') ? digits.replace(/0+$/, '') : digits;
}

function formatWith(
  format: string,
  known: Readonly<Record<string, string>>,
  fraction: number,
  name: string,
): string {
  return format.replace(/([A-Za-z])\1*|[^A-Za-z]/g, (token) => {
    if (/^[fF]{1,7}$/.test(token)) return formatFraction(token, fraction);
    const value = known[token];
    if (value !== undefined) return value;
    if (/^[ /:,._[\]-]$/.test(token)) return token;
    throw new Error(`${name}() with '${token}' in its format`);
  });
}

function formatDatetimeWith(ticks: bigint, format: string): string {
  const { year, month, day, hour, minute, second, fraction } = partsOf(ticks);
  const hourOfHalf = hour % 12 === 0 ? 12 : hour % 12;
  const known = {
    d: String(day),
    dd: pad(day, 2),
    h: String(hourOfHalf),
    hh: pad(hourOfHalf, 2),
    H: String(hour),
    HH: pad(hour, 2),
    m: String(minute),
    mm: pad(minute, 2),
    M: String(month),
    MM: pad(month, 2),
    s: String(second),
    ss: pad(second, 2),
    y: String(year % 100),
    yy: pad(year % 100, 2),
    yyyy: pad(year, 4),
    tt: hour < 12 ? 'AM' : 'PM',
  };
  return formatWith(format, known, fraction, 'format_datetime');
}

function formatTimespanWith(ticks: bigint, format: string): string {
  if (ticks < 0n) throw new Error('format_timespan() of a timespan below zero');
  const days = ticks / TICKS_PER_DAY;
  const { hour, minute, second, fraction } = partsOf(ticks % TICKS_PER_DAY);
  const known: Record<string, string> = {
    h: String(hour),
    hh: pad(hour, 2),
    H: String(hour),
    HH: pad(hour, 2),
    m: String(minute),
    mm: pad(minute, 2),
    s: String(second),
    ss: pad(second, 2),
  };
  for (let width = 1; width <= 8; width += 1) known['d'.repeat(width)] = pad(days, width);
  return formatWith(format, known, fraction, 'format_timespan');
}

const start = (unit: CalendarUnit): ScriptEntry => ({
  parameters: ['datetime', 'long'],
  required: 1,
  nullableFrom: 1,
  result: 'datetime',
  run: (ticks: bigint, offset: bigint | null) => checkDatetime(startOf(unit, ticks, offset ?? 0n)),
});

/** The last tick of the unit. */
const end = (unit: CalendarUnit): ScriptEntry => ({
  parameters: ['datetime', 'long'],
  required: 1,
  nullableFrom: 1,
  result: 'datetime',
  run: (ticks: bigint, offset: bigint | null) =>
    checkDatetime(startOf(unit, ticks, (offset ?? 0n) + 1n) - 1n),
});

const partOf = (name: string): ScriptEntry => ({
  parameters: ['datetime'],
  result: 'int',
  run: (ticks: bigint) => part(name, ticks),
});

/** Units since 1970-01-01; null outside of what a datetime can be. */
const ofUnixTime = (ticksPerUnit: bigint, unitsPerTick = 1n): ScriptEntry => ({
  parameters: ['long'],
  result: 'datetime',
  run: (units: bigint) => {
    const ticks = floorDivide(units * ticksPerUnit, unitsPerTick) + TICKS_AT_UNIX_EPOCH;
    try {
      return checkDatetime(ticks);
    } catch {
      return null;
    }
  },
});

export const datetimeScripts: Readonly<Record<string, ScriptEntry>> = {
  startofweek: start('week'),
  startofmonth: start('month'),
  startofyear: start('year'),
  endofday: end('day'),
  endofweek: end('week'),
  endofmonth: end('month'),
  endofyear: end('year'),
  monthofyear: partOf('month'),
  getmonth: partOf('month'),
  getyear: partOf('year'),
  dayofmonth: partOf('day'),
  dayofyear: partOf('dayofyear'),
  hourofday: partOf('hour'),
  week_of_year: partOf('week_of_year'),
  dayofweek: {
    parameters: ['datetime'],
    result: 'timespan',
    run: (ticks: bigint) => BigInt(weekdayOf(ticks)) * TICKS_PER_DAY,
  },
  datetime_part: { parameters: ['string', 'datetime'], result: 'int', run: part },
  datetime_add: { parameters: ['string', 'long', 'datetime'], result: 'datetime', run: add },
  datetime_diff: { parameters: ['string', 'datetime', 'datetime'], result: 'long', run: difference },
  format_datetime: { parameters: ['datetime', 'string'], result: 'string', run: formatDatetimeWith },
  format_timespan: { parameters: ['timespan', 'string'], result: 'string', run: formatTimespanWith },
  make_datetime: {
    parameters: ['long', 'long', 'long', 'long', 'long', 'real'],
    required: 3,
    nullableFrom: 3,
    result: 'datetime',
    run: (...parts: (bigint | number | null)[]) => makeDatetime(parts.map((value) => Number(value ?? 0))),
  },
  unixtime_seconds_todatetime: ofUnixTime(TICKS_PER_SECOND),
  unixtime_milliseconds_todatetime: ofUnixTime(10_000n),
  unixtime_microseconds_todatetime: ofUnixTime(10n),
  unixtime_nanoseconds_todatetime: ofUnixTime(1n, 100n),
};

/** What other translations name. */
export const hiddenDatetimeScripts: Readonly<Record<string, ScriptEntry>> = {
  startofday: start('day'),
  timespan_of_parts: {
    parameters: ['long', 'long', 'long', 'real'],
    result: 'timespan',
    run: (days: bigint, hours: bigint, minutes: bigint, seconds: number) => {
      const isClock =
        hours >= 0n && hours < 24n && minutes >= 0n && minutes < 60n && seconds >= 0 && seconds < 60;
      if (!isClock || days < 0n) return null;
      return (
        days * TICKS_PER_DAY +
        hours * HOUR +
        minutes * MINUTE +
        BigInt(Math.trunc(Number((seconds * 1e7).toFixed(2))))
      );
    },
  },
};

const makeTimespan: FunctionTranslator = (args, { name }) => {
  if (args.length < 2 || args.length > 4) throw makeNotSupported(`${name}() with ${args.length} arguments`);
  const hasDays = args.length === 4;
  const [days, hours, minutes, seconds] = hasDays ? args : [undefined, ...args];
  const whole = [days, hours, minutes].map((value) =>
    value === undefined ? '0' : coerce(value, 'long', name),
  );
  const rest = seconds === undefined ? '0::double' : coerce(seconds, 'real', name);
  return { sql: `kql_timespan_of_parts(${whole.join(', ')}, ${rest})`, type: 'timespan' };
};

/** Without an offset it is what loads are counted by, so it is left to DuckDB; no datetime is below zero. */
const startOfDay: FunctionTranslator = (args, { name }) => {
  const [value] = args;
  if (args.length !== 1 || value?.type !== 'datetime') return callScript(name, start('day'), args);
  return { sql: `(${value.sql} - ${value.sql} % ${TICKS_PER_DAY})`, type: 'datetime' };
};

export const datetimeFunctions: Readonly<Record<string, FunctionTranslator>> = {
  startofday: startOfDay,
  make_timespan: makeTimespan,
  now: ([offset], { scope, name }) => {
    const base = literalSql(ticksFromUnixMs(scope.nowMs), 'datetime');
    return {
      sql: offset === undefined ? base : `(${base} + ${coerce(offset, 'timespan', name)})`,
      type: 'datetime',
    };
  },
  ago: (args, { scope, name }) => ({
    sql: `(${literalSql(ticksFromUnixMs(scope.nowMs), 'datetime')} - ${coerce(one(args, name), 'timespan', name)})`,
    type: 'datetime',
  }),
};
