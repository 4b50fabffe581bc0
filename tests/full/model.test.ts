import { test } from 'vitest';
import { expectNoViolation, withoutPauses } from '../model/expect-no-violation.ts';
import {
  ALL_POSTS,
  planBesideEvent,
  recheckBesideReport,
  retriedThenRewritten,
  rewrittenInFlight,
  twinOf,
  twoIngestUnits,
} from '../model/scenarios.ts';
import type { Activity } from '../model/scripts.ts';

/** The scenarios of tests/model with deeper bounds: minutes each. Those of a takeover: model-takeover.test.ts. */
withoutPauses();

const TIMEOUT_MS = 30 * 60_000;

const POSTS = ['accepted', 'ambiguousArrived'] as const;

test(
  'two ingestUnits, both of which may die',
  () => expectNoViolation(twoIngestUnits(ALL_POSTS, 2)),
  TIMEOUT_MS,
);

test(
  'a recheck beside a late report, with every way a post can end',
  () => expectNoViolation(recheckBesideReport(['accepted', 'ambiguousLost', 'ambiguousArrived'], 1)),
  TIMEOUT_MS,
);

test.each<Activity>(['ingestUnit', 'settleShard', 'takePosted'])(
  '%s of a run that posts once more what was refused',
  (activity) =>
    expectNoViolation(
      twinOf(activity, {
        posts: ['accepted', 'refused'],
        deaths: activity === 'takePosted' ? 1 : 0,
        words: ['reports success'],
        withNextRun: false,
        learnsFacts: false,
      }),
    ),
  TIMEOUT_MS,
);

test.each<Activity>(['ingestUnit', 'settleShard'])(
  '%s lives on through the end of its run and the whole next run',
  (activity) =>
    expectNoViolation(
      twinOf(activity, {
        posts: POSTS,
        deaths: 0,
        words: ['reports success', 'does nothing'],
        withNextRun: true,
      }),
    ),
  TIMEOUT_MS,
);

test(
  'two planPages beside an event for a newer version of the object',
  () => expectNoViolation(planBesideEvent(2, 0)),
  TIMEOUT_MS,
);

test(
  'an activity of a run that retried lives on while the key is overwritten and the next run loads the new version',
  () => expectNoViolation(retriedThenRewritten(['accepted'], 0)),
  TIMEOUT_MS,
);

test(
  'a key that is overwritten at any time, until the next run has ended',
  () => expectNoViolation(rewrittenInFlight({ posts: ['accepted'], withNextRun: true }), 300),
  TIMEOUT_MS,
);

test(
  'a key that is deleted and written again at any times, until the next run has ended',
  () =>
    expectNoViolation(
      rewrittenInFlight({
        posts: POSTS,
        changes: ['remove', 'put'],
        withNextRun: true,
      }),
    ),
  TIMEOUT_MS,
);
