import { Cron } from 'croner';

export interface Schedule {
  /** Five fields, or six with seconds in front, as Azure Functions' timers have them. */
  readonly cron: string;
  /** IANA name, such as `Europe/Berlin`. The load is due by the clock of that zone, daylight saving time included. */
  readonly timeZone: string;
}

/** Why a schedule is not valid, or `null` when it is. */
export function scheduleProblem(schedule: Schedule): string | null {
  try {
    const first = new Cron(schedule.cron, { timezone: schedule.timeZone, paused: true }).nextRun(new Date(0));
    return first === null ? 'there is no such day' : null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * The latest instant at which the schedule fell due after `after`, up to and including `until`; `null` when there is
 * none. Ticks that were missed are thus caught up once, by their latest instant.
 */
export function latestDue(schedule: Schedule, after: Date, until: Date): Date | null {
  const cron = new Cron(schedule.cron, { timezone: schedule.timeZone, paused: true });
  // `previousRuns` counts back from a moment that is not itself included.
  const [latest] = cron.previousRuns(1, new Date(until.getTime() + 1000 - (until.getTime() % 1000)));
  return latest !== undefined && latest > after ? latest : null;
}
