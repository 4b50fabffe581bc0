import { Cron } from 'croner';
import { parseSpan, resolveSettingNames } from './settings.ts';

/** When a timer function runs. */
export interface TimerSchedule {
  /** First time after the given one, in milliseconds since 1970. */
  nextAfter(ms: number): number;
  readonly isInterval: boolean;
}

const months = 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ');
const weekdays = 'SUN MON TUE WED THU FRI SAT'.split(' ');

/**
 * Reads an NCRONTAB expression of 6 or 5 fields, or an interval `[d.]hh:mm:ss`; `%NAME%` comes from the settings.
 * Both day fields must hold when both are given: that is NCRONTAB's rule, not cron's.
 *
 * @throws when it is neither, and for signs that other crons know and NCRONTAB does not (`L`, `W`, `#`, `?`, 7)
 */
export function readSchedule(text: string, functionName: string): TimerSchedule {
  const where = `the schedule of ${functionName}`;
  const resolved = resolveSettingNames(text, where).trim();
  if (/^[\d.:]+$/.test(resolved) && resolved.includes(':')) {
    const intervalMs = parseSpan(resolved, where);
    if (intervalMs <= 0) throw new Error(`${where}: "${resolved}" is no interval above 0.`);
    return { isInterval: true, nextAfter: (ms) => ms + intervalMs };
  }
  const fields = resolved.split(/\s+/);
  if (fields.length === 5) fields.unshift('0');
  if (fields.length !== 6)
    throw new Error(`${where}: "${resolved}" must have 5 or 6 fields, or be an interval.`);
  const numeric = fields.map((field, index) => toNumeric(field, { index, where, schedule: resolved }));
  const cron = readCron(numeric.join(' '), `${where}: "${resolved}"`);
  return {
    isInterval: false,
    nextAfter(ms) {
      const next = cron.nextRun(new Date(ms));
      if (next === null) throw new Error(`${where}: "${resolved}" never comes.`);
      return next.getTime();
    },
  };
}

function readCron(pattern: string, what: string): Cron {
  const timezone = process.env.WEBSITE_TIME_ZONE ?? 'UTC';
  try {
    return new Cron(pattern, { mode: '6-part', domAndDow: true, timezone, paused: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what} can't be followed in the time zone ${timezone}: ${reason}`, { cause });
  }
}

function toNumeric(field: string, params: { index: number; where: string; schedule: string }): string {
  const names = params.index === 4 ? months : params.index === 5 ? weekdays : [];
  const offset = params.index === 4 ? 1 : 0;
  const text = field.replace(/[A-Za-z]+/g, (name) => {
    const at = names.findIndex((each) => name.toUpperCase().startsWith(each));
    return at < 0 ? name : String(at + offset);
  });
  const isFine = /^(\*|\d+(-\d+)?)(\/\d+)?(,(\*|\d+(-\d+)?)(\/\d+)?)*$/.test(text);
  const most = [59, 59, 23, 31, 12, 6][params.index] ?? 0;
  const numbers = text.replace(/\/\d+/g, '').match(/\d+/g) ?? [];
  if (!isFine || numbers.some((each) => Number(each) > most)) {
    throw new Error(`${params.where}: "${field}" of "${params.schedule}" is no NCRONTAB field.`);
  }
  // A number with a step goes on to the end of the field, as NCRONTAB has it.
  return text.replace(/(^|,)(\d+)\//g, `$1$2-${most}/`);
}
