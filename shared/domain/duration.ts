const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a duration such as `500ms`, `30s`, `10m`, `6h` or `7d`, or `null` when it is none. */
export function parseDurationMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (match === null) return null;
  return Math.round(Number(match[1]) * UNITS[match[2]!]!);
}

/** Milliseconds of a .NET time span as ADX writes it in policies: `[d.]hh:mm:ss[.fffffff]`; `null` when it is none. */
export function parseTimeSpanMs(text: string): number | null {
  const match = /^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(\.\d+)?$/.exec(text.trim());
  if (match === null) return null;
  const [, days = '0', hours, minutes, seconds, fraction = '0'] = match;
  return (
    Number(days) * 86_400_000 +
    Number(hours) * 3_600_000 +
    Number(minutes) * 60_000 +
    Number(seconds) * 1000 +
    Math.round(Number(fraction) * 1000)
  );
}
