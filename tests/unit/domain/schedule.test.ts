import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { latestDue, type Schedule, scheduleProblem } from '../../../shared/domain/schedule.ts';

const due = (schedule: Schedule, after: string, until: string) =>
  latestDue(schedule, new Date(after), new Date(until))?.toISOString() ?? null;

describe('scheduleProblem', () => {
  test.each(['* * * * *', '0 2 * * *', '30 */5 * * * *', '0 0 * * MON-FRI', '0 0 29 2 *'])(
    '%s is a schedule',
    (cron) => {
      expect(scheduleProblem({ cron, timeZone: 'Europe/Berlin' })).toBe(null);
    },
  );

  test.each([
    ['', 'UTC'],
    ['every day', 'UTC'],
    ['61 * * * *', 'UTC'],
    ['* * * *', 'UTC'],
    ['0 0 30 2 *', 'UTC'],
    ['0 2 * * *', 'Mars/Olympus'],
  ])('"%s" in %s is none', (cron, timeZone) => {
    expect(scheduleProblem({ cron, timeZone })).toEqual(expect.any(String));
  });
});

describe('latestDue', () => {
  const nightly: Schedule = { cron: '0 2 * * *', timeZone: 'UTC' };

  test('includes the end of the interval and not its beginning', () => {
    expect(due(nightly, '2026-03-01T01:59:59Z', '2026-03-01T02:00:00Z')).toBe('2026-03-01T02:00:00.000Z');
    expect(due(nightly, '2026-03-01T02:00:00Z', '2026-03-01T02:01:00Z')).toBe(null);
    expect(due(nightly, '2026-03-01T01:00:00Z', '2026-03-01T01:59:59.999Z')).toBe(null);
    expect(due(nightly, '2026-03-01T01:59:59.999Z', '2026-03-01T02:00:00.001Z')).toBe(
      '2026-03-01T02:00:00.000Z',
    );
  });

  test('catches up once what was missed for days', () => {
    expect(due(nightly, '2026-03-01T00:00:00Z', '2026-03-09T12:00:00Z')).toBe('2026-03-09T02:00:00.000Z');
  });

  test('goes by the clock of the time zone, in summer and winter', () => {
    const berlin: Schedule = { cron: '0 7 * * *', timeZone: 'Europe/Berlin' };
    expect(due(berlin, '2026-01-15T00:00:00Z', '2026-01-15T23:00:00Z')).toBe('2026-01-15T06:00:00.000Z');
    expect(due(berlin, '2026-07-15T00:00:00Z', '2026-07-15T23:00:00Z')).toBe('2026-07-15T05:00:00.000Z');
    const kolkata: Schedule = { cron: '0 0 * * *', timeZone: 'Asia/Kolkata' };
    expect(due(kolkata, '2026-01-15T00:00:00Z', '2026-01-15T23:00:00Z')).toBe('2026-01-15T18:30:00.000Z');
  });

  test('an hour that the clock jumps over is due once, right after the jump', () => {
    const night: Schedule = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' };
    expect(due(night, '2026-03-29T00:00:00Z', '2026-03-29T12:00:00Z')).toBe('2026-03-29T01:00:00.000Z');
    expect(due(night, '2026-03-29T01:00:00Z', '2026-03-29T23:59:59Z')).toBe(null);
  });

  test('an hour that the clock repeats is due once for a daily schedule, and each time for an hourly one', () => {
    const night: Schedule = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' };
    expect(due(night, '2026-10-25T00:00:00Z', '2026-10-25T12:00:00Z')).toBe('2026-10-25T00:30:00.000Z');
    const hourly: Schedule = { cron: '30 * * * *', timeZone: 'Europe/Berlin' };
    expect(due(hourly, '2026-10-25T00:00:00Z', '2026-10-25T00:59:00Z')).toBe('2026-10-25T00:30:00.000Z');
    expect(due(hourly, '2026-10-25T00:59:00Z', '2026-10-25T01:59:00Z')).toBe('2026-10-25T01:30:00.000Z');
  });

  const schedules = fc.record<Schedule>({
    cron: fc.constantFrom(
      '* * * * *',
      '*/15 * * * *',
      '0 2 * * *',
      '30 2 * * *',
      '*/20 * * * * *',
      '0 */6 * * 1-5',
      '15 10 1 * *',
    ),
    timeZone: fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Australia/Lord_Howe',
      'Asia/Kolkata',
    ),
  });
  // Around the changes of the clock in Berlin, New York and on Lord Howe Island.
  const starts = fc.constantFrom(
    '2026-03-07T20:00:00Z',
    '2026-03-28T20:00:00Z',
    '2026-04-04T10:00:00Z',
    '2026-10-03T10:00:00Z',
    '2026-10-24T20:00:00Z',
    '2026-10-31T20:00:00Z',
  );
  const gaps = fc.array(
    fc.oneof(
      fc.constant(60_000),
      fc.integer({ min: 1, max: 120_000 }),
      fc.integer({ min: 1, max: 6 * 3_600_000 }),
    ),
    { minLength: 1, maxLength: 15 },
  );

  test('for any sequence of ticks no instant is reported twice, and the latest is never lost', () => {
    fc.assert(
      fc.property(schedules, starts, fc.nat(3_600_000), gaps, (schedule, start, shift, pauses) => {
        const first = new Date(Date.parse(start) + shift);
        const reported: Date[] = [];
        let checked = first;
        for (const pause of pauses) {
          const now = new Date(checked.getTime() + pause);
          const found = latestDue(schedule, checked, now);
          if (found !== null) {
            expect(found.getTime()).toBeGreaterThan(checked.getTime());
            expect(found.getTime()).toBeLessThanOrEqual(now.getTime());
            reported.push(found);
          }
          checked = now;
        }
        expect(new Set(reported.map(Number)).size).toBe(reported.length);
        // One look at the whole time sees the same latest instant as many looks did.
        expect(latestDue(schedule, first, checked)).toEqual(reported.at(-1) ?? null);
      }),
      { numRuns: 150 },
    );
  });
});
