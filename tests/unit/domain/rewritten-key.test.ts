import fc from 'fast-check';
import { expect, test } from 'vitest';

import { rowsOf } from '../../../shared/domain/rewritten-key.ts';

const T0 = Date.parse('2026-01-31T12:00:00.000Z');
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
