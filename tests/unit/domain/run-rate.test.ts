import fc from 'fast-check';
import { expect, test } from 'vitest';

import { type ProgressSample, rateOf, secondsLeft, withSample } from '../../../shared/domain/run-rate.ts';

const T0 = Date.parse('2026-01-31T12:00:00.000Z');
const at = (ms: number) => new Date(T0 + ms).toISOString();

/** A run that goes on for so many steps, each some time and some objects further. */
const history = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 0, max: 1000 })), {
    minLength: 1,
    maxLength: 200,
  })
  .map((steps) => {
    let [time, objects] = [0, 0];
    return steps.map(([ms, more]): ProgressSample => {
      time += ms;
      objects += more;
      return { at: at(time), objects, bytes: objects * 10 };
    });
  });

test('law: samples are few, ordered, at least 15 s apart, and the rate lies within what the run did', () => {
  fc.assert(
    fc.property(history, (seen) => {
      const samples = seen.reduce<readonly ProgressSample[]>(
        (kept, sample) => withSample(kept, sample, 1),
        [],
      );
      expect(samples.length).toBeLessThanOrEqual(20);
      for (const [index, sample] of samples.entries()) {
        if (index === 0) continue;
        expect(Date.parse(sample.at) - Date.parse(samples[index - 1]!.at)).toBeGreaterThanOrEqual(15_000);
      }
      const now = seen.at(-1)!;
      const rate = rateOf(samples, now);
      if (rate === null) return;
      expect(rate.objectsPerSecond).toBeGreaterThanOrEqual(0);
      const oldest = samples[0]!;
      expect(rate.objectsPerSecond * ((Date.parse(now.at) - Date.parse(oldest.at)) / 1000)).toBeCloseTo(
        now.objects - oldest.objects,
        5,
      );
    }),
  );
});

test('time left is told only while something moves', () => {
  const rate = { objectsPerSecond: 10, bytesPerSecond: 1 };
  expect(secondsLeft(rate, 95)).toBe(10);
  expect(secondsLeft(rate, 0)).toBe(0);
  expect(secondsLeft({ ...rate, objectsPerSecond: 0 }, 5)).toBeNull();
  expect(secondsLeft(null, 5)).toBeNull();
  expect(rateOf([], { at: at(0), objects: 1, bytes: 1 })).toBeNull();
});
