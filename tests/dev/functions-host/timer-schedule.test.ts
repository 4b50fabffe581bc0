import { expect, it, onTestFinished, vi } from 'vitest';
import { readSchedule } from '../../../dev/functions-host/timer-schedule.ts';

const at = (text: string) => Date.parse(text);
const next = (schedule: string, from: string) =>
  new Date(readSchedule(schedule, 'f').nextAfter(at(from))).toISOString();

it.each([
  ['0 */5 * * * *', '2026-01-01T00:03:20Z', '2026-01-01T00:05:00.000Z'],
  ['*/5 * * * *', '2026-01-01T00:05:00Z', '2026-01-01T00:10:00.000Z'],
  ['30 0 9-17 * * MON-FRI', '2026-01-02T17:30:00Z', '2026-01-05T09:00:30.000Z'],
  ['0 5/20,3 * * * *', '2026-01-01T00:25:00Z', '2026-01-01T00:45:00.000Z'],
  ['0 5/20,3 * * * *', '2026-01-01T00:45:00Z', '2026-01-01T01:03:00.000Z'],
  ['0 0 0 1 jan,JUL *', '2026-01-01T00:00:00Z', '2026-07-01T00:00:00.000Z'],
  // Both day fields must hold: Friday the 13th.
  ['0 0 0 13 * 5', '2026-01-01T00:00:00Z', '2026-02-13T00:00:00.000Z'],
  ['00:10:00', '2026-01-01T00:03:20Z', '2026-01-01T00:13:20.000Z'],
  ['1.12:00:00', '2026-01-01T00:00:00Z', '2026-01-02T12:00:00.000Z'],
])('%s after %s is %s', (schedule, from, expected) => {
  expect(next(schedule, from)).toBe(expected);
});

it('follows the time zone of WEBSITE_TIME_ZONE, over its changes', () => {
  vi.stubEnv('WEBSITE_TIME_ZONE', 'Europe/Berlin');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(next('0 30 8 * * *', '2026-03-28T12:00:00Z')).toBe('2026-03-29T06:30:00.000Z');
  expect(next('0 30 8 * * *', '2026-10-24T12:00:00Z')).toBe('2026-10-25T07:30:00.000Z');
});

it.each([
  '0 0 0 L * *',
  '0 0 0 * * 7',
  '0 0 0 * * 5#2',
  '0 0 0 ? * *',
  '0 60 * * * *',
  '* * *',
  '@daily',
  '00:00:00',
  '10-5 * * * * *',
  '*/0 * * * * *',
])('refuses "%s"', (schedule) => {
  expect(() => readSchedule(schedule, 'f')).toThrow(/the schedule of f/);
});
