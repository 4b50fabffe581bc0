import { afterAll, beforeAll, test } from 'vitest';

import { killInARun, startStackWithShortFence } from '../e2e/kill-in-a-run.ts';
import type { StackUnderTest } from '../e2e/stack-under-test.ts';

let under: StackUnderTest;

beforeAll(async () => {
  under = await startStackWithShortFence();
}, 60_000);

afterAll(() => under.stop());

test.each([0, 100, 200, 300, 500, 700])(
  'a host that is killed %i ms after planning loses no row and doubles none',
  async (afterMs) => {
    await killInARun(under, `killed-${afterMs}`, afterMs);
  },
  180_000,
);
