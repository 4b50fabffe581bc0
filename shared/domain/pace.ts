/**
 * How much of its configured concurrency a run may use. It is halved when Amazon S3 or Azure Data Explorer throttle, and
 * rises again by the same amount every half minute: additive increase, multiplicative decrease, as TCP does it.
 */
export interface Pace {
  /** 0 exclusive to 1, as of `since`; it has risen from there. */
  readonly share: number;
  /** When it was last lowered; ISO 8601, UTC. */
  readonly since: string;
  /** How often it was lowered. */
  readonly slowdowns: number;
  /** The lowest share so far. */
  readonly lowestShare: number;
}

/** Answers that say "slower" come in bursts, from all that is in flight: within this time they count as one. */
const COOLDOWN_MS = 10_000;
const RISE_EVERY_MS = 30_000;
const RISE = 1 / 16;
const LOWEST = 1 / 32;

/** The share now; 1 for a run that was never throttled. */
export function shareAt(pace: Pace | null, now: Date, timeScale: number): number {
  if (pace === null) return 1;
  const elapsedMs = Math.max(0, now.getTime() - Date.parse(pace.since)) * timeScale;
  return Math.min(1, pace.share + RISE * Math.floor(elapsedMs / RISE_EVERY_MS));
}

/** The pace after a throttled answer, or `null` when it was lowered just before. */
export function lowered(pace: Pace | null, now: Date, timeScale: number): Pace | null {
  if (pace !== null && (now.getTime() - Date.parse(pace.since)) * timeScale < COOLDOWN_MS) return null;
  const share = Math.max(LOWEST, shareAt(pace, now, timeScale) / 2);
  return {
    share,
    since: now.toISOString(),
    slowdowns: (pace?.slowdowns ?? 0) + 1,
    lowestShare: Math.min(share, pace?.lowestShare ?? 1),
  };
}

/** A bound of the definition at this share; at least one. */
export function atShare(bound: number, share: number): number {
  return Math.max(1, Math.floor(bound * share));
}
