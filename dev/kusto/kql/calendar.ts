import { parseDatetime, TICKS_AT_UNIX_EPOCH } from '../ticks.ts';

/** Calendar arithmetic on ticks of 100 ns since 0001-01-01, always UTC. */
export const TICKS_PER_SECOND = 10_000_000n;
export const TICKS_PER_DAY = 864_000_000_000n;
const MAX_TICKS = 3_155_378_975_999_999_999n;

export interface CalendarParts {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** Ticks within the second. */
  readonly fraction: number;
}

export function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor !== 0n && value < 0n !== divisor < 0n ? quotient - 1n : quotient;
}

function floorTo(value: bigint, size: bigint): bigint {
  return floorDivide(value, size) * size;
}

export function partsOf(ticks: bigint): CalendarParts {
  const date = new Date(Number(floorDivide(ticks - TICKS_AT_UNIX_EPOCH, 10_000n)));
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    fraction: Number(ticks % TICKS_PER_SECOND),
  };
}

/** Months beyond 1 to 12 and days beyond the month run over, as in `Date.UTC`. */
function ticksOfDate(year: number, month: number, day: number): bigint {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return BigInt(date.getTime()) * 10_000n + TICKS_AT_UNIX_EPOCH;
}

/** 0 is Sunday. */
export function weekdayOf(ticks: bigint): number {
  return Number((ticks / TICKS_PER_DAY + 1n) % 7n);
}

export function dayOfYear(ticks: bigint): number {
  return Number((ticks - ticksOfDate(partsOf(ticks).year, 1, 1)) / TICKS_PER_DAY) + 1;
}

/** ISO 8601: the week belongs to the year of its Thursday. */
export function weekOfYear(ticks: bigint): number {
  const thursday = ticks + BigInt(3 - ((weekdayOf(ticks) + 6) % 7)) * TICKS_PER_DAY;
  return Math.floor((dayOfYear(thursday) - 1) / 7) + 1;
}

export type CalendarUnit = 'day' | 'week' | 'month' | 'year';

/** Start of the unit that holds `ticks`, moved by whole units. May be outside of what a datetime can be. */
export function startOf(unit: CalendarUnit, ticks: bigint, offset: bigint): bigint {
  const { year, month } = partsOf(ticks);
  const day = floorTo(ticks, TICKS_PER_DAY);
  switch (unit) {
    case 'day':
      return day + offset * TICKS_PER_DAY;
    case 'week':
      return day - BigInt(weekdayOf(ticks)) * TICKS_PER_DAY + offset * 7n * TICKS_PER_DAY;
    case 'month':
      return ticksOfDate(year, month + Number(offset), 1);
    default:
      return ticksOfDate(year + Number(offset), 1, 1);
  }
}

/** The day is cut to the length of the month that is reached. */
export function addMonths(ticks: bigint, months: bigint): bigint {
  const { year, month, day } = partsOf(ticks);
  const first = ticksOfDate(year, month + Number(months), 1);
  const next = ticksOfDate(year, month + Number(months) + 1, 1);
  const length = Number((next - first) / TICKS_PER_DAY);
  return first + BigInt(Math.min(day, length) - 1) * TICKS_PER_DAY + (ticks % TICKS_PER_DAY);
}

/** @throws Error for what is before the year 1 or after 9999. */
export function checkDatetime(ticks: bigint): bigint {
  if (ticks < 0n || ticks > MAX_TICKS) throw new Error('datetimes before the year 1 or after 9999');
  return ticks;
}

/** @returns null where there is no such date. */
export function makeDatetime(parts: readonly number[]): bigint | null {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts;
  const isDate = year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1;
  const isClock = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60;
  if (!isDate || !isClock) return null;
  const ticks = ticksOfDate(year, month, day);
  if (partsOf(ticks).month !== month) return null;
  return (
    ticks +
    BigInt(hour * 3_600 + minute * 60) * TICKS_PER_SECOND +
    BigInt(Math.trunc(Number((second * 1e7).toFixed(2))))
  );
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const CLOCK = '(?:[T ,]+(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:\\.(\\d{1,7}))?)?)?\\s*(Z|UTC|GMT)?$';
const YEAR_FIRST = new RegExp(`^(\\d{4})[/.](\\d{1,2})[/.](\\d{1,2})${CLOCK}`, 'i');
const MONTH_FIRST = new RegExp(`^(\\d{1,2})[-.](\\d{1,2})[-.](\\d{4})${CLOCK}`, 'i');
const MONTH_NAME_FIRST = new RegExp(`^([a-z]{3})[a-z]*\\s+(\\d{1,2}),?\\s+(\\d{4})${CLOCK}`, 'i');
const DIGITS = /^(\d{4})(\d{2})(\d{2})$/;

/** What `todatetime()` reads beyond what ingestion is sure to: year or month first, month by name, eight digits. */
export function readDatetime(text: string): bigint | null {
  const value = text.trim();
  const known = parseDatetime(value);
  if (known !== null) return known;
  const yearFirst = YEAR_FIRST.exec(value) ?? DIGITS.exec(value);
  if (yearFirst) return makeFrom(yearFirst.slice(1, 4), yearFirst.slice(4, 8));
  const monthFirst = MONTH_FIRST.exec(value);
  if (monthFirst) {
    const [month, day, year] = monthFirst.slice(1, 4);
    return makeFrom([year, month, day], monthFirst.slice(4, 8));
  }
  const named = MONTH_NAME_FIRST.exec(value);
  if (named === null) return null;
  const month = MONTHS.indexOf((named[1] ?? '').toLowerCase()) + 1;
  return makeFrom([named[3], String(month), named[2]], named.slice(4, 8));
}

function makeFrom(
  date: readonly (string | undefined)[],
  clock: readonly (string | undefined)[],
): bigint | null {
  const [hour, minute, second, fraction] = clock;
  const ticks = makeDatetime([...date, hour, minute, second].map((part) => Number(part ?? 0)));
  return ticks === null ? null : ticks + BigInt((fraction ?? '').padEnd(7, '0'));
}
