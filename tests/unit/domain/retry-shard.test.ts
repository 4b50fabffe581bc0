import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isRetriable, retryDelayMs, retryNumber, retryShardOf } from '../../../shared/domain/retry-shard.ts';
import { shardInstanceId } from '../../../shared/domain/run-id.ts';
import { ERROR_KINDS, type ErrorCode } from '../../../shared/errors/loader-error.ts';

const shards = fc
  .tuple(fc.integer({ min: 0, max: 9999 }), fc.integer({ min: 0, max: 999 }))
  .map(([page, index]) => `${String(page).padStart(4, '0')}-${String(index).padStart(3, '0')}`);

test('law: the n-th retry of a shard is numbered n and stands right behind it in the order of shards', () => {
  fc.assert(
    fc.property(shards, shards, fc.integer({ min: 1, max: 9 }), (shard, other, retries) => {
      let name = shard;
      for (let number = 1; number <= retries; number += 1) {
        name = retryShardOf(name);
        expect(retryNumber(name)).toBe(number);
        expect(name > shard).toBe(true);
        if (other > shard) expect(name < other).toBe(true);
      }
    }),
  );
  expect([retryNumber('0003-001'), retryShardOf('0003-001'), retryShardOf('0003-001r1')]).toEqual([
    0,
    '0003-001r1',
    '0003-001r2',
  ]);
});

test('law: shards, their retries and the attempts at them have instances of their own', () => {
  const works = fc.tuple(shards, fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 }));
  fc.assert(
    fc.property(works, works, (a, b) => {
      const [x, y] = [a, b].map(([shard, retry, attempt]) =>
        shardInstanceId({ runId: 'r', epoch: 1, shard: retry === 0 ? shard : `${shard}r${retry}`, attempt }),
      );
      expect(x === y).toBe(JSON.stringify(a) === JSON.stringify(b));
    }),
  );
});

test('law: pauses lie around a mean that grows four times with each retry, up to 15 minutes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 900_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (retry, firstDelayMs, random) => {
        const mean = Math.min(firstDelayMs * 4 ** (retry - 1), 900_000);
        const delay = retryDelayMs(`0000-000r${retry}`, firstDelayMs, random);
        expect(delay).toBeGreaterThanOrEqual(Math.floor(mean / 2));
        expect(delay).toBeLessThanOrEqual(Math.ceil(mean * 1.5));
      },
    ),
  );
});

test('law: only what failed for a reason that passes is posted once more', () => {
  for (const errorCode of Object.keys(ERROR_KINDS) as ErrorCode[]) {
    expect(isRetriable({ state: 'failed', errorCode })).toBe(!ERROR_KINDS[errorCode].permanent);
    for (const state of ['intent', 'queued', 'ingested', 'unknown', 'undone'] as const)
      expect(isRetriable({ state, errorCode })).toBe(false);
  }
});
