/** Ticks are 100 ns; datetimes count from 0001-01-01T00:00:00Z, as in .NET and Kusto. */

const TICKS_PER_MS = 10_000n;
export const TICKS_AT_UNIX_EPOCH = 621_355_968_000_000_000n;
export const MAX_DATETIME_TICKS = 3_155_378_975_999_999_999n;

/** @returns null for what lies outside of the years 1 to 9999. */
export function toDatetimeTicks(ticks: bigint): bigint | null {
  return ticks < 0n || ticks > MAX_DATETIME_TICKS ? null : ticks;
}

export function ticksFromUnixMs(ms: number): bigint {
  return BigInt(Math.trunc(ms)) * TICKS_PER_MS + TICKS_AT_UNIX_EPOCH;
}

/** `2024-01-02T03:04:05.1234567Z`, always seven digits as the service writes it. */
export function formatDatetime(ticks: bigint): string {
  const unixTicks = ticks - TICKS_AT_UNIX_EPOCH;
  let seconds = unixTicks / 10_000_000n;
  let rest = unixTicks % 10_000_000n;
  if (rest < 0n) {
    rest += 10_000_000n;
    seconds -= 1n;
  }
  const iso = new Date(Number(seconds) * 1_000).toISOString();
  return `${iso.slice(0, 19)}.${rest.toString().padStart(7, '0')}Z`;
}

/** `[-][d.]hh:mm:ss[.fffffff]`. */
export function formatTimespan(ticks: bigint): string {
  const sign = ticks < 0n ? '-' : '';
  const value = ticks < 0n ? -ticks : ticks;
  const fraction = value % 10_000_000n;
  const totalSeconds = value / 10_000_000n;
  const two = (number: bigint) => number.toString().padStart(2, '0');
  const days = totalSeconds / 86_400n;
  const clock = `${two((totalSeconds / 3_600n) % 24n)}:${two((totalSeconds / 60n) % 60n)}:${two(totalSeconds % 60n)}`;
  return `${sign}${days > 0n ? `${days}.` : ''}${clock}${fraction > 0n ? `.${fraction.toString().padStart(7, '0')}` : ''}`;
}

const ISO =
  /^(\d{4})-(\d{1,2})(?:-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?$/i;
const AMERICAN =
  /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?:[ ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(?:\s*([AP]M))?)?\s*(Z|UTC|GMT)?$/i;
const RFC_822 =
  /^(?:[A-Za-z]{3},?\s+)?(\d{1,2})[ -]([A-Za-z]{3})[A-Za-z]*[ -](\d{4})(?:\s+(\d{1,2}):(\d{2})(?::(\d{2}))?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?$/i;
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** ISO 8601 and its blank-separated form, `M/d/yyyy`, RFC 822. No zone means UTC. @returns null for anything else. */
export function parseDatetime(text: string): bigint | null {
  const value = text.trim();
  let match = ISO.exec(value);
  if (match) {
    const [, year, month, day, hour, minute, second, fraction, zone] = match;
    return makeDatetime([year, month, day ?? '1', hour, minute, second], fraction, zone);
  }
  match = AMERICAN.exec(value);
  if (match) {
    const [, month, day, year, hour, minute, second, fraction, half, zone] = match;
    let clockHour = Number(hour ?? 0);
    if (half !== undefined) {
      if (clockHour < 1 || clockHour > 12) return null;
      clockHour = (clockHour % 12) + (half.toUpperCase() === 'PM' ? 12 : 0);
    }
    return makeDatetime([year, month, day, String(clockHour), minute, second], fraction, zone);
  }
  match = RFC_822.exec(value);
  if (match) {
    const [, day, monthName, year, hour, minute, second, zone] = match;
    const month = MONTHS.indexOf((monthName ?? '').toLowerCase()) + 1;
    return month === 0
      ? null
      : makeDatetime([year, String(month), day, hour, minute, second], undefined, zone);
  }
  return null;
}

function makeDatetime(
  parts: readonly (string | undefined)[],
  fraction: string | undefined,
  zone: string | undefined,
): bigint | null {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map((part) =>
    Number(part ?? 0),
  );
  if (year < 1 || hour > 24 || minute > 59 || second > 59) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  let ms = date.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000;
  const offset = /^([+-])(\d{2}):?(\d{2})$/.exec(zone ?? '');
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    ms -= (offset[1] === '-' ? -minutes : minutes) * 60_000;
  }
  const ticks = ticksFromUnixMs(ms) + BigInt((fraction ?? '').padEnd(7, '0').slice(0, 7));
  return toDatetimeTicks(ticks);
}

const UNIT_TICKS: Readonly<Record<string, number>> = {
  d: 864_000_000_000,
  day: 864_000_000_000,
  days: 864_000_000_000,
  h: 36_000_000_000,
  hr: 36_000_000_000,
  hrs: 36_000_000_000,
  hour: 36_000_000_000,
  hours: 36_000_000_000,
  m: 600_000_000,
  min: 600_000_000,
  minute: 600_000_000,
  minutes: 600_000_000,
  s: 10_000_000,
  sec: 10_000_000,
  second: 10_000_000,
  seconds: 10_000_000,
  ms: 10_000,
  milli: 10_000,
  millis: 10_000,
  millisec: 10_000,
  millisecond: 10_000,
  milliseconds: 10_000,
  micro: 10,
  micros: 10,
  microsec: 10,
  microsecond: 10,
  microseconds: 10,
  tick: 1,
  ticks: 1,
};

/** `[-][d.]hh:mm[:ss[.fffffff]]`, `1d`, `2.5h`, `30s`. @returns null for anything else. */
export function parseTimespan(text: string): bigint | null {
  const value = text.trim();
  const clock = /^(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?$/.exec(value);
  if (clock) {
    const [, sign, days, hours, minutes, seconds, fraction] = clock;
    if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds ?? 0) > 59) return null;
    const totalSeconds =
      BigInt(days ?? 0) * 86_400n +
      BigInt(hours ?? 0) * 3_600n +
      BigInt(minutes ?? 0) * 60n +
      BigInt(seconds ?? 0);
    const ticks = totalSeconds * 10_000_000n + BigInt((fraction ?? '').padEnd(7, '0'));
    return sign === '-' ? -ticks : ticks;
  }
  const withUnit = /^(-?\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(value);
  const unitTicks = withUnit ? UNIT_TICKS[(withUnit[2] ?? '').toLowerCase()] : undefined;
  if (withUnit && unitTicks !== undefined) return BigInt(Math.round(Number(withUnit[1]) * unitTicks));
  const days = /^-?\d+$/.exec(value);
  return days ? BigInt(value) * 864_000_000_000n : null;
}
