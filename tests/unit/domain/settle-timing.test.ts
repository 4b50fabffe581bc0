import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { nextLookAt, type Timing } from '../../../shared/domain/settle-timing.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const TIMING: Timing = {
  urlLifetimeMs: 360 * MINUTE,
  downloadGraceMs: 60 * MINUTE,
  settleDeadlineMs: 30 * MINUTE,
  staleAfterMs: 10 * MINUTE,
  firstLookMs: 10 * SECOND,
  lookEveryMs: 30 * SECOND,
  lookAtMostEveryMs: 5 * MINUTE,
  longestTimerMs: MINUTE,
};
const POSTED_AT = new Date('2026-03-01T00:00:00.000Z');

/** Offsets of all looks from the post, milliseconds, when nothing is ever reported and every look takes `lookMs`. */
function looksUntilDeadline(
  batchingWindowMs: number,
  lookMs = 0,
  settleDeadlineMs = TIMING.settleDeadlineMs,
): number[] {
  const offsets: number[] = [];
  let now = POSTED_AT;
  while (offsets.length < 1000 && now.getTime() - POSTED_AT.getTime() < settleDeadlineMs) {
    const next = nextLookAt({
      postedAt: POSTED_AT,
      now,
      batchingWindowMs,
      looks: offsets.length,
      timing: { ...TIMING, settleDeadlineMs },
    });
    offsets.push(next.getTime() - POSTED_AT.getTime());
    now = new Date(next.getTime() + lookMs);
  }
  return offsets;
}

describe('nextLookAt', () => {
  test('looks after 10 s, then 20 s, then every 30 s while the batching window is open', () => {
    expect(looksUntilDeadline(5 * MINUTE).slice(0, 5)).toEqual(
      [10, 30, 60, 90, 120].map((seconds) => seconds * SECOND),
    );
  });

  test('backs off to 5 minutes once the window and a minute have passed', () => {
    const looks = looksUntilDeadline(5 * MINUTE);
    const gaps = looks.map((at, index) => at - (looks[index - 1] ?? 0));
    expect(looks.filter((at) => at > 11 * MINUTE).length).toBeGreaterThan(0);
    expect(Math.max(...gaps)).toBe(5 * MINUTE);
    gaps.forEach((gap, index) => {
      if ((looks[index - 1] ?? 0) < 6 * MINUTE) expect(gap).toBeLessThanOrEqual(30 * SECOND);
    });
  });

  test('backs off step by step when the window is short', () => {
    const looks = looksUntilDeadline(10 * SECOND);
    const gaps = looks.map((at, index) => (at - (looks[index - 1] ?? 0)) / SECOND);
    expect(gaps.slice(0, 8)).toEqual([10, 20, 30, 30, 160, 300, 300, 300]);
  });

  test('makes the last look at the deadline itself', () => {
    expect(looksUntilDeadline(5 * MINUTE).at(-1)).toBe(30 * MINUTE);
  });

  test('ends in a bounded number of looks for any window, deadline and speed', () => {
    fc.assert(
      fc.property(
        fc.nat(60 * MINUTE),
        fc.nat(2 * MINUTE),
        fc.integer({ min: 1, max: 60 * MINUTE }),
        (window, lookMs, deadline) => {
          const looks = looksUntilDeadline(window, lookMs, deadline);
          expect(looks.length).toBeLessThanOrEqual(3 + deadline / (30 * SECOND));
          expect(looks.at(-1)).toBeLessThanOrEqual(deadline);
        },
      ),
    );
  });

  test('is later than now, in bounds, and passes the deadline only by the 1 ms that makes it later than now', () => {
    fc.assert(
      fc.property(
        fc.nat(90 * MINUTE),
        fc.nat(60 * MINUTE),
        fc.nat(200),
        (sincePost, batchingWindowMs, looks) => {
          const now = new Date(POSTED_AT.getTime() + sincePost);
          const at = nextLookAt({
            postedAt: POSTED_AT,
            now,
            batchingWindowMs,
            looks,
            timing: TIMING,
          }).getTime();
          const deadline = POSTED_AT.getTime() + TIMING.settleDeadlineMs;
          const longest = sincePost < batchingWindowMs + MINUTE ? 30 * SECOND : 5 * MINUTE;
          expect(at).toBeGreaterThan(now.getTime());
          expect(at - now.getTime()).toBeLessThanOrEqual(longest);
          expect(at).toBeLessThanOrEqual(Math.max(deadline, now.getTime() + 1));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('never looks sooner after more looks or at a later time', () => {
    const situation = fc.record({
      sincePost: fc.nat(40 * MINUTE),
      batchingWindowMs: fc.nat(20 * MINUTE),
      looks: fc.nat(50),
    });
    const at = ({
      sincePost,
      batchingWindowMs,
      looks,
    }: {
      sincePost: number;
      batchingWindowMs: number;
      looks: number;
    }) =>
      nextLookAt({
        postedAt: POSTED_AT,
        now: new Date(POSTED_AT.getTime() + sincePost),
        batchingWindowMs,
        looks,
        timing: TIMING,
      }).getTime();
    fc.assert(
      fc.property(situation, fc.nat(10 * MINUTE), fc.nat(10), (input, later, more) => {
        expect(at({ ...input, looks: input.looks + more })).toBeGreaterThanOrEqual(at(input));
        expect(at({ ...input, sincePost: input.sincePost + later })).toBeGreaterThanOrEqual(at(input));
      }),
      { numRuns: 1000 },
    );
  });
});
