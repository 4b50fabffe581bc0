import fc from 'fast-check';
import { expect, test } from 'vitest';

import { rowsOf } from '../../../shared/domain/rewritten-key.ts';

const T0 = Date.parse('2026-01-31T12:00:00.000Z');
/** By how much the two clocks may differ. */
const CLOCKS_MS = 10_000;
/** S3 tells whole seconds; the two clocks may differ. */
const s3Time = (ms: number, skewMs: number) =>
  new Date(Math.floor((ms + skewMs) / 1000) * 1000).toISOString();

/**
 * A history: the key is rewritten at some time, ADX reads it at some time between post and report, and S3's clock is off
 * by some seconds.
 */
const history = fc.record({
  postedAt: fc.integer({ min: 0, max: 600_000 }),
  readsAfter: fc.integer({ min: 0, max: 300_000 }),
  reportsAfter: fc.integer({ min: 0, max: 60_000 }),
  rewrittenAt: fc.integer({ min: 0, max: 1_200_000 }),
  skewMs: fc.integer({ min: -9000, max: 9000 }),
});

test('law: what is told for certain is true, whatever the order of events and the difference of the clocks', () => {
  fc.assert(
    fc.property(history, ({ postedAt, readsAfter, reportsAfter, rewrittenAt, skewMs }) => {
      const readAt = postedAt + readsAfter;
      const entry = {
        version: 'e:a',
        intentAt: new Date(T0 + postedAt).toISOString(),
        settledAt: new Date(T0 + readAt + reportsAfter).toISOString(),
      };
      const present = {
        key: 'k',
        version: 'e:b',
        sizeBytes: 1,
        lastModified: s3Time(T0 + rewrittenAt, skewMs),
        storageClass: 'STANDARD',
      };
      const truth = rewrittenAt <= readAt ? 'present' : 'loaded';
      expect([truth, 'either']).toContain(rowsOf(entry, present));
    }),
    { numRuns: 2000 },
  );
});

/** Changes of the key between plan and look, in any number: a new version, the first one's content again, or a deletion. */
const changes = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 1_200_000 }),
    to: fc.constantFrom('new', 'new', 'first', 'nothing'),
  }),
  { maxLength: 4 },
);
const FIRST = 'e:a';

test('law: what was read is hidden only by a change after the report, a deletion, or the first content again', () => {
  let hidden = 0;
  fc.assert(
    fc.property(history, changes, ({ postedAt, readsAfter, reportsAfter, skewMs }, unordered) => {
      const readAt = postedAt + readsAfter;
      const reportedAt = readAt + reportsAfter;
      const states = [...unordered]
        .sort((a, b) => a.at - b.at)
        .map(({ at, to }, index) => ({
          at,
          version: to === 'new' ? `e:b${index}` : to === 'first' ? FIRST : null,
        }));
      const read = states.filter(({ at }) => at <= readAt).at(-1)?.version;
      // What was not there, ADX has not ingested.
      fc.pre(read !== null);
      const truth = read ?? FIRST;
      const last = states.at(-1) ?? { at: -60_000, version: FIRST };
      const present =
        last.version === null
          ? null
          : {
              key: 'k',
              version: last.version,
              sizeBytes: 1,
              lastModified: s3Time(T0 + last.at, skewMs),
              storageClass: 'STANDARD',
            };
      const entry = {
        version: FIRST,
        intentAt: new Date(T0 + postedAt).toISOString(),
        settledAt: new Date(T0 + reportedAt).toISOString(),
      };
      const told = rowsOf(entry, present);
      if (told === 'present') expect(truth).toBe(last.version);
      if (told !== 'loaded' || truth === FIRST) return;
      hidden += 1;
      expect(states.length).toBeGreaterThan(1);
      // Another version stood there when ADX read it, and the last change came after that.
      expect(last.at).toBeGreaterThan(readAt);
      const isFirstAgain = last.version === FIRST && last.at <= postedAt + 2 * CLOCKS_MS;
      expect(present === null || last.at > reportedAt || isFirstAgain).toBe(true);
    }),
    { numRuns: 20_000 },
  );
  // The law is about something.
  expect(hidden).toBeGreaterThan(100);
});

test('says what can be known', () => {
  const entry = {
    version: 'e:a',
    intentAt: '2026-01-31T12:00:00.000Z',
    settledAt: '2026-01-31T12:05:00.000Z',
  };
  const at = (lastModified: string, version = 'e:b') =>
    rowsOf(entry, { key: 'k', version, sizeBytes: 1, lastModified, storageClass: 'STANDARD' });
  expect(at('2026-01-31T11:59:00.000Z')).toBe('present');
  expect(at('2026-01-31T12:03:00.000Z')).toBe('either');
  expect(at('2026-01-31T12:06:00.000Z')).toBe('loaded');
  // The same content again: another may have stood there in between, when ADX read it.
  expect(at('2026-01-31T12:03:00.000Z', 'e:a')).toBe('either');
  expect(at('2026-01-31T11:59:00.000Z', 'e:a')).toBe('loaded');
  expect(at('2026-01-31T12:00:05.000Z', 'e:a')).toBe('loaded');
  expect(at('2026-01-31T12:06:00.000Z', 'e:a')).toBe('loaded');
  expect(rowsOf(entry, null)).toBe('loaded');
});
