/** Waiting times of a run, in milliseconds, already divided by the time scale of tests. */
export interface Timing {
  /** Life of a presigned URL. */
  readonly urlLifetimeMs: number;
  /** How long a download may take that began before its URL expired. */
  readonly downloadGraceMs: number;
  /** How long a settler waits for ADX's report after the last post of a shard. */
  readonly settleDeadlineMs: number;
  /** How long a part of a run may be silent before the run is taken over. */
  readonly staleAfterMs: number;
  /** From the last post of a shard to the first look at its status. */
  readonly firstLookMs: number;
  /** Longest time between two looks while ADX's batching window is open. */
  readonly lookEveryMs: number;
  /** Longest time between two looks once the window has passed. */
  readonly lookAtMostEveryMs: number;
  /** Longest durable timer of a run: a part that waits must still show that it lives. */
  readonly longestTimerMs: number;
}

export interface LookSituation {
  readonly postedAt: Date;
  readonly now: Date;
  /** ADX's batching window of the table. */
  readonly batchingWindowMs: number;
  /** Number of looks so far. */
  readonly looks: number;
  readonly timing: Timing;
}

/**
 * When to look at a shard's status again. First after 10 s, then twice as far apart up to 30 s until the batching
 * window and a minute have passed, then backing off to 5 minutes; never past the deadline.
 */
export function nextLookAt({ postedAt, now, batchingWindowMs, looks, timing }: LookSituation): Date {
  const deadline = postedAt.getTime() + timing.settleDeadlineMs;
  const expected = postedAt.getTime() + batchingWindowMs + 6 * timing.firstLookMs;
  const inWindow = now.getTime() < expected;
  const longest = inWindow ? timing.lookEveryMs : timing.lookAtMostEveryMs;
  const delay = Math.min(longest, timing.firstLookMs * 2 ** Math.min(looks, 10));
  return new Date(Math.max(now.getTime() + 1, Math.min(now.getTime() + delay, deadline)));
}
