import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseDurationMs, parseTimeSpanMs } from '../../../shared/domain/duration.ts';

describe('parseDurationMs', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['6h', 21_600_000],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
    [' 2s ', 2000],
    ['0s', 0],
  ])('%s', (text, expected) => {
    expect(parseDurationMs(text)).toBe(expected);
  });

  test.each(['', '5', 's', '-1s', '1 s', '1e3s', '1,5h', '1w', '1S', '1h30m', 'Infinitys'])(
    '"%s" is none',
    (text) => {
      expect(parseDurationMs(text)).toBe(null);
    },
  );

  test('is whole milliseconds, never negative, or null', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,9}(\.\d{1,3})?(ms|s|m|h|d)$/)), (text) => {
        const ms = parseDurationMs(text);
        expect(ms === null || (Number.isInteger(ms) && ms >= 0)).toBe(true);
      }),
    );
  });
});

describe('parseTimeSpanMs', () => {
  test.each([
    ['00:05:00', 300_000],
    ['00:00:10', 10_000],
    ['1.02:03:04', 93_784_000],
    ['00:00:00.5', 500],
    ['00:00:00.0010000', 1],
    ['23:59:59.9999999', 86_400_000],
  ])('%s', (text, expected) => {
    expect(parseTimeSpanMs(text)).toBe(expected);
  });

  test.each(['', '5', '05:00', '-00:05:00', '00:05:00Z', '1:2:3', 'null'])('"%s" is none', (text) => {
    expect(parseTimeSpanMs(text)).toBe(null);
  });

  test('reads back what a time span says', () => {
    fc.assert(
      fc.property(
        fc.nat(999),
        fc.nat(23),
        fc.nat(59),
        fc.nat(59),
        fc.nat(9_999_999),
        (days, hours, minutes, seconds, ticks) => {
          const pad = (value: number, length = 2) => String(value).padStart(length, '0');
          const text = `${days}.${pad(hours)}:${pad(minutes)}:${pad(seconds)}.${pad(ticks, 7)}`;
          const whole = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
          expect(parseTimeSpanMs(text)! - whole).toBeCloseTo(ticks / 10_000, -1);
        },
      ),
    );
  });
});
