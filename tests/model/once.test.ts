import { describe, expect, test } from 'vitest';
import { expectNoViolation, withoutPauses } from './expect-no-violation.ts';
import { explore } from './explore.ts';
import {
  ALL_POSTS,
  type KeyChange,
  planBesideEvent,
  type RewriteOptions,
  recheckBesideReport,
  rewrittenInFlight,
  takenOverDuring,
  twinOf,
  twoIngestUnits,
  twoTakePosted,
} from './scenarios.ts';
import type { Activity } from './scripts.ts';
import { beginExecution } from './stage.ts';

/**
 * The use cases as they are, over ports in memory, in every order of their calls within the bounds of each scenario.
 * Deeper bounds: tests/full/model.test.ts and model-takeover.test.ts.
 */
withoutPauses();

const TIMEOUT_MS = 120_000;

describe('two executions of one activity at the same time', () => {
  test(
    'ingestUnit: one message at most, however posts end and whichever dies',
    () => expectNoViolation(twoIngestUnits(ALL_POSTS, 1), 3000),
    TIMEOUT_MS,
  );

  test(
    'takePosted, while its shard is being settled and another one is due',
    () => expectNoViolation(twoTakePosted(1), 400),
    TIMEOUT_MS,
  );

  test(
    'ingestUnit looking again behind the fence, beside a late report of the first message',
    () => expectNoViolation(recheckBesideReport(['ambiguousArrived'], 0), 10_000),
    TIMEOUT_MS,
  );

  test(
    'a key that is overwritten at any time while its message is in flight',
    () => expectNoViolation(rewrittenInFlight({ posts: ALL_POSTS }), 100),
    TIMEOUT_MS,
  );

  test.each<[string, Omit<RewriteOptions, 'keepsVersions'>, number]>([
    ['overwritten', { posts: ALL_POSTS }, 100],
    ['overwritten, until the next run has ended', { posts: ['accepted'], withNextRun: true }, 300],
    ['overwritten and deleted', { posts: ['accepted'], changes: ['put', 'remove'] }, 100],
    [
      'deleted, until the next run has ended',
      { posts: ['accepted'], changes: ['remove'], withNextRun: true },
      100,
    ],
  ])(
    'a key of a bucket that keeps versions, at any time while its message is in flight, is %s',
    (_, options, least) => expectNoViolation(rewrittenInFlight({ ...options, keepsVersions: true }), least),
    TIMEOUT_MS,
  );

  test.each<[string, KeyChange]>([
    ['overwritten once more', 'put'],
    ['deleted', 'remove'],
  ])(
    'a key that is overwritten at any time, and %s at any time after that, until the next run has ended',
    (_, last) =>
      expectNoViolation(
        rewrittenInFlight({ posts: ['accepted'], changes: ['put', last], withNextRun: true }),
        2000,
      ),
    TIMEOUT_MS,
  );

  test(
    'planPage, which may die and is done again, beside an event for a newer version of the object',
    () => expectNoViolation(planBesideEvent(1, 1), 30),
    TIMEOUT_MS,
  );
});

describe('an activity that lives on while its run goes on without it', () => {
  const bounds = { posts: ['accepted'], words: ['reports success'], withNextRun: false } as const;

  test.each<[Activity, number]>([
    ['takeShard', 500],
    ['takePosted', 1000],
    ['finishRun', 50_000],
  ])(
    'a twin of %s that lives on while its run goes on without it',
    (activity, least) => expectNoViolation(twinOf(activity, { ...bounds, deaths: 1 }), least),
    TIMEOUT_MS,
  );

  test(
    'planPage',
    () => {
      const rest = { deaths: 0, breaksOffAt: 'ingestUnit', learnsFacts: false } as const;
      return expectNoViolation(twinOf('planPage', { ...bounds, ...rest }), 10_000);
    },
    TIMEOUT_MS,
  );

  test(
    'takeShard of an epoch that is over',
    () => expectNoViolation(takenOverDuring('takeShard', ['accepted'], 0), 1000),
    TIMEOUT_MS,
  );
});

test('schedules that meet in a state and are carried on once are as many as when each is carried out by itself', async () => {
  const scenario = twoIngestUnits(['accepted'], 0);
  const merged = await explore(() => beginExecution(scenario, new Set()));
  const ends = new Set<string>();
  const single = await explore(() => beginExecution(scenario, ends), { merge: false });
  expect(single.executions).toBe(merged.schedules);
  expect(single.executions).toBeGreaterThan(merged.executions);
  expect(merged.ends).toBeGreaterThanOrEqual(ends.size);
  expect([single.violation, merged.violation]).toEqual([null, null]);
}, 120_000);
