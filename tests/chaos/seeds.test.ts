import { expect, test } from 'vitest';

import { runSeed } from './seed.ts';

/** Three short seeds; `npm run chaos` has as many long ones as are asked for. */
test.concurrent.each([1, 2, 3])(
  'seed %i: no row is missing, none is there twice unsaid, and everything is accounted for',
  async (seed) => {
    const { broken, kills, rows } = await runSeed(seed, { leastKills: 3, objects: 60 });
    expect(broken).toEqual([]);
    expect(kills).toBeGreaterThanOrEqual(3);
    expect(rows).toBeGreaterThanOrEqual(60);
  },
);
