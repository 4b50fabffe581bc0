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
      const rate = rateOf(samples, now, 1);
      if (rate === null) return;
      expect(rate.objectsPerSecond).toBeGreaterThanOrEqual(0);
      const isOld = ({ at: time }: ProgressSample) => Date.parse(now.at) - Date.parse(time) > 300_000;
      const oldest = samples.findLast(isOld) ?? samples[0]!;
      expect(rate.objectsPerSecond * ((Date.parse(now.at) - Date.parse(oldest.at)) / 1000)).toBeCloseTo(
        now.objects - oldest.objects,
        5,
      );
    }),
  );
});

/** Objects a second, told by what each of several parts has kept. */
const rateAt = (timeScale: number, now: ProgressSample, ...parts: readonly (readonly ProgressSample[])[]) =>
  rateOf(
    parts.flatMap((seen) =>
      seen.reduce<readonly ProgressSample[]>((kept, sample) => withSample(kept, sample, timeScale), []),
    ),
    now,
    timeScale,
  )?.objectsPerSecond;

/** A sample each 15 s of so many minutes, at this rate, from where the run was. */
function going(from: ProgressSample, minutes: number, perSecond: number, timeScale = 1): ProgressSample[] {
  return Array.from({ length: minutes * 4 }, (_, index) => {
    const seconds = 15 * (index + 1);
    const objects = from.objects + seconds * perSecond;
    return {
      at: new Date(Date.parse(from.at) + (seconds * 1000) / timeScale).toISOString(),
      objects,
      bytes: 0,
    };
  });
}

test.each([1, 60])('what a part did before a takeover does not count later (time scale %d)', (timeScale) => {
  const first = going({ at: at(0), objects: 0, bytes: 0 }, 5, 1000, timeScale);
  const second = going(first.at(-1)!, 100, 10, timeScale);
  expect(rateAt(timeScale, second.at(-1)!, first, second)).toBeCloseTo(10 * timeScale, 5);
});

test('a run that has stood still for long shows by its last sample that it has', () => {
  const seen = going({ at: at(0), objects: 0, bytes: 0 }, 5, 100);
  const { objects, bytes } = seen.at(-1)!;
  expect(rateAt(1, { at: at(60 * 60_000), objects, bytes }, seen)).toBe(0);
});

test('time left is told only while something moves', () => {
  const rate = { objectsPerSecond: 10, bytesPerSecond: 1 };
  expect(secondsLeft(rate, 95)).toBe(10);
  expect(secondsLeft(rate, 0)).toBe(0);
  expect(secondsLeft({ ...rate, objectsPerSecond: 0 }, 5)).toBeNull();
  expect(secondsLeft(null, 5)).toBeNull();
  expect(rateOf([], { at: at(0), objects: 1, bytes: 1 }, 1)).toBeNull();
});
