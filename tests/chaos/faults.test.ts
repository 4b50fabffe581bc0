import { expect, test } from 'vitest';

import { drawFault } from './faults.ts';

const NUMBERS = Array.from({ length: 50 }, (_, n) => n + 1);
const drawn = (seed: number, n: number, used: number) => {
  const { fault, random } = drawFault(seed, n);
  // What a fault draws when it strikes depends on what it meets.
  for (let index = 0; index < used; index += 1) random.next();
  return fault.name;
};

test('the faults of a seed are the same however many numbers each of them has used', () => {
  const once = NUMBERS.map((n) => drawn(7, n, 0));
  const again = NUMBERS.map((n) => drawn(7, n, n % 5));
  expect(again).toEqual(once);
  expect(new Set(once).size).toBeGreaterThan(10);
  expect(NUMBERS.map((n) => drawn(8, n, 0))).not.toEqual(once);
});
