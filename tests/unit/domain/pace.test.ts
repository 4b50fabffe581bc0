import fc from 'fast-check';
import { expect, test } from 'vitest';

import { atShare, lowered, type Pace, shareAt } from '../../../shared/domain/pace.ts';

const T0 = Date.parse('2026-01-31T12:00:00.000Z');
const after = (ms: number) => new Date(T0 + ms);

/** Throttled answers at so many milliseconds after the beginning, in order. */
const throttles = fc
  .array(fc.integer({ min: 0, max: 120_000 }), { minLength: 1, maxLength: 40 })
  .map((gaps) => {
    let at = 0;
    return gaps.map((gap) => (at += gap));
  });

function paceAfter(times: readonly number[], timeScale = 1): Pace | null {
  return times.reduce<Pace | null>(
    (pace, at) => lowered(pace, after(at / timeScale), timeScale) ?? pace,
    null,
  );
}

test('law: the share stays within its bounds, never rises by an answer that says slower, and comes back to 1', () => {
  fc.assert(
    fc.property(throttles, fc.integer({ min: 0, max: 10_000_000 }), (times, laterMs) => {
      const last = times.at(-1)!;
      const before = paceAfter(times.slice(0, -1));
      const pace = paceAfter(times)!;
      expect(pace.share).toBeGreaterThanOrEqual(1 / 32);
      expect(shareAt(pace, after(last), 1)).toBeLessThanOrEqual(shareAt(before, after(last), 1));
      const share = shareAt(pace, after(last + laterMs), 1);
      expect(share).toBeGreaterThanOrEqual(pace.share);
      expect(share).toBeLessThanOrEqual(1);
      expect(shareAt(pace, after(last + 32 * 30_000), 1)).toBe(1);
      expect(pace.lowestShare).toBeLessThanOrEqual(pace.share);
      expect(pace.slowdowns).toBeLessThanOrEqual(times.length);
    }),
  );
});

test('law: a burst of answers counts as one', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9999 }), { minLength: 1, maxLength: 50 }), (times) => {
      expect(paceAfter([0, ...times.sort((a, b) => a - b)])).toMatchObject({ share: 0.5, slowdowns: 1 });
    }),
  );
});

test('law: time that is scaled for tests makes the same decisions', () => {
  fc.assert(
    fc.property(throttles, (times) => {
      const scaled = times.map((at) => at * 100);
      expect(paceAfter(scaled, 100)?.share).toBe(paceAfter(scaled)?.share);
    }),
  );
});

test('law: a bound at a share is a bound of at least one, and no larger than the whole', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (bound, share) => {
        expect(atShare(bound, share)).toBeGreaterThanOrEqual(1);
        expect(atShare(bound, share)).toBeLessThanOrEqual(bound);
      },
    ),
  );
});
