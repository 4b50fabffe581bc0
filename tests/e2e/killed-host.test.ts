import { afterAll, beforeAll, test } from 'vitest';

import { killInARun, startStackWithShortFence } from './kill-in-a-run.ts';
import type { StackUnderTest } from './stack-under-test.ts';

let under: StackUnderTest;

beforeAll(async () => {
  under = await startStackWithShortFence();
}, 60_000);

afterAll(() => under.stop());

test('a host that is killed in the middle of a run loses no row and doubles none', async () => {
  // In the middle of the posts: messages are in the queue, and lanes are at work on others.
  await killInARun(under, 'killed', 400);
}, 180_000);
