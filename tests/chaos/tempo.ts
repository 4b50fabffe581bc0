const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** How long things last in a seed: the app's settings, the faults that must outlast them, and the test's own patience. */
export interface Tempo {
  /** Divides all time constants of app and cluster. */
  readonly timeScale: number;
  /** Divides how long sessions in AWS last: 1 h at 1. */
  readonly sessionTimeScale: number;
  readonly settings: Readonly<Record<string, string>>;
  /** Faults go on for at most so long; a seed without its kills by then has stopped making headway. */
  readonly mostChaosMs: number;
  /** After the last fault everything must be settled within this. */
  readonly mostSettlingMs: number;
  /** Longest pause between two faults. */
  readonly pauseMs: number;
  /** Pause between runs while objects wait for their fences. */
  readonly waitForFenceMs: number;
  /** How long the host may take to come to the side effect at which it is killed. */
  readonly mostToKillMs: number;
  /** Longer than a run may be silent (`LOADER_STALE_AFTER`), in ms: a request that falls asleep. */
  readonly asleepMs: readonly [number, number];
  /** Requests that fall asleep in a row; together shorter than `functionTimeout`. */
  readonly mostAsleep: number;
  /** Behind the settle deadline, and long before the fence: a status that comes late. */
  readonly lateStatusMs: number;
  /** When a late download begins: from before the settle deadline to behind the fence. */
  readonly lateDownloadMs: readonly [number, number];
}

/** The fence is 35 s or less, as a URL ends with the session of 40 s that signed it, and a seed takes about a minute. */
export const SCALED: Tempo = {
  timeScale: 240,
  sessionTimeScale: 90,
  settings: {
    LOADER_URL_LIFETIME: '2h',
    LOADER_DOWNLOAD_GRACE: '20m',
    LOADER_TICK_SCHEDULE: '* * * * * *',
    LOADER_SETTLE_DEADLINE: '30m',
  },
  mostChaosMs: 150 * SECOND,
  mostSettlingMs: 150 * SECOND,
  pauseMs: 300,
  waitForFenceMs: 2 * SECOND,
  mostToKillMs: 2.5 * SECOND,
  asleepMs: [4 * SECOND, 9 * SECOND],
  mostAsleep: 4,
  lateStatusMs: 20 * SECOND,
  lateDownloadMs: [3 * SECOND, 40 * SECOND],
};

/**
 * All constants as in production, and all settings as they are by default but for two, which a user may set so:
 * by default an object without a report waits seven hours for its fence, and a seed would take most of a day.
 */
export const UNSCALED: Tempo = {
  timeScale: 1,
  sessionTimeScale: 1,
  settings: { LOADER_URL_LIFETIME: '1h', LOADER_DOWNLOAD_GRACE: '15m' },
  mostChaosMs: 40 * MINUTE,
  mostSettlingMs: 150 * MINUTE,
  pauseMs: 10 * SECOND,
  waitForFenceMs: MINUTE,
  mostToKillMs: 2 * MINUTE,
  asleepMs: [11 * MINUTE, 13 * MINUTE],
  mostAsleep: 2,
  lateStatusMs: 45 * MINUTE,
  lateDownloadMs: [15 * MINUTE, 80 * MINUTE],
};
