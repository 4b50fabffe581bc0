import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  addDigests,
  addPlanTotals,
  digestOutcomes,
  EMPTY_DIGEST,
  EMPTY_PLAN,
  type FinalStateInput,
  finalState,
  OBJECT_STATES,
  type ObjectOutcome,
  type OutcomeDigest,
  type PlanTotals,
} from '../../../shared/domain/run-summary.ts';
import type { ErrorCode } from '../../../shared/errors/loader-error.ts';

const instants = fc
  .integer({ min: 0, max: 100_000 })
  .map((seconds) => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString());
const outcomes = fc.record<ObjectOutcome>({
  key: fc.string({ minLength: 1, maxLength: 6 }),
  version: fc.constant('e:1'),
  sizeBytes: fc.nat(1_000_000),
  state: fc.constantFrom(...OBJECT_STATES),
  code: fc.constantFrom<ErrorCode | null>(null, 'formatMismatch', 'noReport', 'notPosted'),
  message: fc.option(fc.string({ maxLength: 5 })),
  sourceId: fc.constant(null),
  attempts: fc.nat(3),
  postedAt: fc.option(instants),
  settledAt: fc.option(instants),
  repostedUnproven: fc.boolean(),
});
const lists = fc.array(outcomes, { maxLength: 30 });
const FENCE = '2026-01-02T00:00:00.000Z';
const digestOf = (list: readonly ObjectOutcome[]) => digestOutcomes(list, () => FENCE);

describe('a digest', () => {
  test('counts exactly', () => {
    fc.assert(
      fc.property(lists, (list) => {
        const digest = digestOf(list);
        for (const state of OBJECT_STATES)
          expect(digest.objects[state]).toBe(list.filter((outcome) => outcome.state === state).length);
        expect(digest.bytesIngested).toBe(
          list.filter(({ state }) => state === 'ingested').reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        );
        const failures = list.filter(({ code }) => code !== null);
        expect(Object.values(digest.failures).reduce((sum, { count }) => sum + count, 0)).toBe(
          failures.length,
        );
        for (const [code, { count, examples }] of Object.entries(digest.failures)) {
          const same = failures.filter((failure) => failure.code === code);
          expect(count).toBe(same.length);
          expect(examples.map(({ key }) => key)).toEqual(same.slice(0, 3).map(({ key }) => key));
        }
      }),
    );
  });

  test('names the slowest objects and the posts without proof', () => {
    fc.assert(
      fc.property(lists, (list) => {
        const digest = digestOf(list);
        const durations = list
          .filter(({ postedAt, settledAt }) => postedAt !== null && settledAt !== null)
          .map(({ postedAt, settledAt }) => Date.parse(settledAt!) - Date.parse(postedAt!))
          .sort((a, b) => b - a);
        expect(digest.slowest.map(({ durationMs }) => durationMs)).toEqual(durations.slice(0, 5));
        expect(digest.repostedUnproven).toEqual(
          list
            .filter(({ repostedUnproven }) => repostedUnproven)
            .map(({ key }) => key)
            .slice(0, 20),
        );
      }),
    );
  });

  test('of all is the sum of the digests of any division', () => {
    fc.assert(
      fc.property(lists, fc.nat(30), (list, at) => {
        expect(addDigests(digestOf(list.slice(0, at)), digestOf(list.slice(at)))).toEqual(digestOf(list));
      }),
    );
  });

  test('adds up associatively, and the empty one changes nothing', () => {
    fc.assert(
      fc.property(lists, lists, lists, (x, y, z) => {
        const [a, b, c] = [digestOf(x), digestOf(y), digestOf(z)];
        expect(addDigests(addDigests(a, b), c)).toEqual(addDigests(a, addDigests(b, c)));
        expect(addDigests(a, EMPTY_DIGEST)).toEqual(a);
        expect(addDigests(EMPTY_DIGEST, a)).toEqual(a);
        expect(addDigests(a, b).objects).toEqual(addDigests(b, a).objects);
      }),
    );
  });

  test('knows the earliest fence of the objects whose fate is open', () => {
    const fences: Record<string, string> = {
      a: '2026-01-03T00:00:00.000Z',
      b: '2026-01-02T00:00:00.000Z',
      c: '2026-01-01T00:00:00.000Z',
    };
    const outcome = (key: string, state: ObjectOutcome['state']): ObjectOutcome => ({
      key,
      version: 'e:1',
      sizeBytes: 1,
      state,
      code: null,
      message: null,
      sourceId: null,
      attempts: 1,
      postedAt: null,
      settledAt: null,
      repostedUnproven: false,
    });
    const earliest = (...list: ObjectOutcome[]) =>
      digestOutcomes(list, (key) => fences[key] ?? null).earliestFenceAt;
    expect(earliest(outcome('a', 'unknown'), outcome('b', 'unknown'), outcome('c', 'ingested'))).toBe(
      fences['b'],
    );
    expect(earliest(outcome('a', 'deferred'))).toBe(fences['a']);
    expect(earliest(outcome('a', 'ingested'), outcome('b', 'failed'), outcome('c', 'notStarted'))).toBe(null);
  });
});

describe('plan totals', () => {
  test('add up, reason by reason', () => {
    const a: PlanTotals = {
      listed: 3,
      listedBytes: 30,
      selected: 1,
      selectedBytes: 10,
      skipped: { unchanged: 2 },
    };
    const b: PlanTotals = {
      listed: 4,
      listedBytes: 5,
      selected: 1,
      selectedBytes: 2,
      skipped: { unchanged: 1, suffix: 2 },
    };
    expect(addPlanTotals(a, b)).toEqual({
      listed: 7,
      listedBytes: 35,
      selected: 2,
      selectedBytes: 12,
      skipped: { unchanged: 3, suffix: 2 },
    });
    expect(addPlanTotals(a, EMPTY_PLAN)).toEqual(a);
    expect(addPlanTotals(EMPTY_PLAN, a)).toEqual(a);
  });
});

describe('finalState', () => {
  const digestWith = (
    objects: Partial<OutcomeDigest['objects']>,
    repostedUnproven: string[] = [],
  ): OutcomeDigest => ({
    ...EMPTY_DIGEST,
    objects: { ...EMPTY_DIGEST.objects, ...objects },
    repostedUnproven,
  });
  const NOTHING: FinalStateInput = {
    stop: null,
    planFailed: false,
    givenUp: false,
    digest: EMPTY_DIGEST,
    rowsAgree: null,
    unreadable: 0,
  };

  test.each<[string, Partial<FinalStateInput>, ReturnType<typeof finalState>]>([
    ['nothing to do', {}, 'completed'],
    ['all ingested', { digest: digestWith({ ingested: 3 }) }, 'completed'],
    ['rows agree', { digest: digestWith({ ingested: 3 }), rowsAgree: true }, 'completed'],
    ['one failed', { digest: digestWith({ ingested: 3, failed: 1 }) }, 'completedWithFailures'],
    ['one unknown', { digest: digestWith({ ingested: 3, unknown: 1 }) }, 'completedWithFailures'],
    ['one deferred', { digest: digestWith({ ingested: 3, deferred: 1 }) }, 'completedWithFailures'],
    ['one not started', { digest: digestWith({ ingested: 3, notStarted: 1 }) }, 'completedWithFailures'],
    ['none started', { digest: digestWith({ notStarted: 3 }) }, 'completedWithFailures'],
    [
      'rows disagree',
      { digest: digestWith({ ingested: 3, failed: 1 }), rowsAgree: false },
      'completedWithDiscrepancy',
    ],
    ['posted without proof', { digest: digestWith({ ingested: 3 }, ['a']) }, 'completedWithDiscrepancy'],
    ['a key that may not be looked at', { unreadable: 1 }, 'completedWithFailures'],
    ...(['versionUnproven', 'goneUnreported', 'partlyIngested'] as const).map(
      (code) =>
        [
          code,
          {
            digest: { ...digestWith({ ingested: 3 }), failures: { [code]: { count: 1, examples: [] } } },
          },
          'completedWithDiscrepancy',
        ] as [string, Partial<FinalStateInput>, ReturnType<typeof finalState>],
    ),
    ['planning failed at once', { planFailed: true }, 'failed'],
    [
      'planning failed later',
      { planFailed: true, digest: digestWith({ ingested: 1 }) },
      'completedWithFailures',
    ],
    [
      'planning failed, nothing was started',
      { planFailed: true, digest: digestWith({ notStarted: 9 }) },
      'failed',
    ],
    [
      'cancelled',
      { stop: 'cancel', digest: digestWith({ ingested: 1, failed: 1, notStarted: 3 }) },
      'cancelled',
    ],
    ['stopped', { stop: 'onError', digest: digestWith({ failed: 1, notStarted: 3 }) }, 'stopped'],
    [
      'stopped by its deadline',
      { stop: 'deadline', digest: digestWith({ ingested: 1, notStarted: 3 }) },
      'stopped',
    ],
    ['given up', { givenUp: true, digest: digestWith({ ingested: 5 }) }, 'failed'],
    ['given up although cancelled', { givenUp: true, stop: 'cancel' }, 'failed'],
  ])('%s', (_, input, expected) => {
    expect(finalState({ ...NOTHING, ...input })).toBe(expected);
  });

  test.each<[Partial<FinalStateInput>, ReturnType<typeof finalState>]>([
    [{ stop: 'cancel' }, 'cancelled'],
    [{ stop: 'onError' }, 'stopped'],
    [{ stop: 'deadline' }, 'stopped'],
    [{ givenUp: true }, 'failed'],
  ])(
    'a run that did not come to its end keeps that as its state, whatever its rows: %j',
    (input, expected) => {
      const digest = digestWith({ ingested: 1, changed: 1 }, ['a']);
      expect(finalState({ ...NOTHING, ...input, digest, rowsAgree: false })).toBe(expected);
    },
  );
});
