import { test } from 'vitest';
import { expectNoViolation, withoutPauses } from '../model/expect-no-violation.ts';
import { takenOverDuring, twinOf } from '../model/scenarios.ts';
import type { Activity } from '../model/scripts.ts';

/** What model.test.ts and model-takeover.test.ts explore without deaths, with one; in a file of its own, as they are. */
withoutPauses();

const TIMEOUT_MS = 30 * 60_000;

test.each<Activity>(['ingestUnit', 'settleShard'])(
  '%s of an old epoch beside the takeover and the new epoch, one activity of which may die',
  (activity) => expectNoViolation(takenOverDuring(activity, ['accepted'], 1)),
  TIMEOUT_MS,
);

test(
  'a settleShard that lives on while its run goes on without it, one of which may die',
  () =>
    expectNoViolation(
      twinOf('settleShard', {
        posts: ['accepted'],
        deaths: 1,
        words: ['reports success'],
        withNextRun: false,
      }),
    ),
  TIMEOUT_MS,
);
