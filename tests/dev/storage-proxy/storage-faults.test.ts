import { expect, it } from 'vitest';
import type { StorageFaultRule, StorageService } from '../../../dev/storage-proxy/index.ts';
import { StorageFaults } from '../../../dev/storage-proxy/storage-faults.ts';

const action = { kind: 'reset' } as const;
const post = { service: 'queue', method: 'POST', path: '/account/work/messages' } as const;

/** Which of so many equal requests are hit. */
function hits(rule: StorageFaultRule, count: number): boolean[] {
  const faults = new StorageFaults();
  faults.add(rule);
  return Array.from({ length: count }, () => faults.take(post) !== null);
}

it('hits one request unless told otherwise, and lets some through first', () => {
  expect(hits({ action }, 3)).toEqual([true, false, false]);
  expect(hits({ action, skip: 1, count: 2 }, 5)).toEqual([false, true, true, false, false]);
});

it('hits a share of the requests, the same ones for the same seed', () => {
  const rule = { action, percent: 20, seed: 7 };
  const first = hits(rule, 2_000);
  expect(hits(rule, 2_000)).toEqual(first);
  expect(hits({ ...rule, seed: 8 }, 2_000)).not.toEqual(first);
  const share = first.filter(Boolean).length / 2_000;
  expect(share).toBeGreaterThan(0.17);
  expect(share).toBeLessThan(0.23);
  expect(hits({ ...rule, count: 3 }, 2_000).filter(Boolean)).toHaveLength(3);
  expect(hits({ ...rule, percent: 100 }, 50)).not.toContain(false);
});

it.each<[StorageFaultRule, boolean]>([
  [{ action, service: 'queue' }, true],
  [{ action, service: 'blob' }, false],
  [{ action, method: 'post' }, true],
  [{ action, method: 'GET' }, false],
  [{ action, path: '/work/' }, true],
  [{ action, path: '/other/' }, false],
  [{ action, service: 'queue', method: 'POST', path: '/other/' }, false],
])('needs every field that is given to match: %j', (rule, expected) => {
  expect(hits(rule, 1)).toEqual([expected]);
});

it('applies the first rule that hits, and counts for no other', () => {
  const faults = new StorageFaults();
  const delay = { kind: 'delay', delayMs: 1 } as const;
  const first = faults.add({ action: delay });
  const second = faults.add({ action });
  expect([faults.take(post), faults.take(post), faults.take(post)]).toEqual([
    { ...delay, when: 'before' },
    { ...action, when: 'before' },
    null,
  ]);
  expect(faults.list().map(({ id, hits: hit, left }) => [id, hit, left])).toEqual([
    [first, 1, 0],
    [second, 1, 0],
  ]);
  expect([faults.remove(first), faults.remove(first)]).toEqual([true, false]);
  faults.clear();
  expect(faults.list()).toEqual([]);
});

it.each<[object, string]>([
  [{}, 'action'],
  [{ action: { kind: 'explode' } }, 'delay, error, reset or truncate'],
  [{ action, service: 'file' as StorageService }, 'service: must be blob, queue or table'],
  [{ action, count: 0 }, 'count: must be at least 1'],
  [{ action, percent: 101 }, 'percent: must be at most 100'],
  [{ action, times: 1 }, 'times'],
  [{ action: { kind: 'error', code: 'Strange' } }, 'action.status is needed'],
  [{ action: { kind: 'error', code: null } }, 'action.status is needed'],
  [{ action: { kind: 'truncate' } }, 'action.afterBytes'],
])('refuses %j by the field', (rule, reason) => {
  expect(() => new StorageFaults().add(rule as StorageFaultRule)).toThrow(reason);
});
