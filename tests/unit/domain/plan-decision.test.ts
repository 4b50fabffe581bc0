import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  fenceOf,
  isUnsettled,
  LEDGER_TRANSITIONS,
  type LedgerEntry,
  type LedgerState,
} from '../../../shared/domain/ledger-entry.ts';
import {
  type ChangePolicy,
  decidePlan,
  decidePost,
  type LoadReason,
  type PostSituation,
} from '../../../shared/domain/plan-decision.ts';
import { ledgerEntry } from './samples.ts';

const STATES = Object.keys(LEDGER_TRANSITIONS) as LedgerState[];
const REASONS: readonly LoadReason[] = ['new', 'changed', 'retry', 'recheck'];
const POLICIES: readonly ChangePolicy[] = (['skip', 'reload'] as const).flatMap((changed) =>
  [true, false].map((retryFailed) => ({ changed, retryFailed })),
);
const OBJECT = {
  key: 'in/a.csv',
  version: 'e:1',
  sizeBytes: 10,
  lastModified: '2026-03-01T00:00:00.000Z',
  storageClass: 'STANDARD',
};

describe('decidePlan', () => {
  const said = (state: LedgerState, version: string, policy: ChangePolicy) => {
    const decision = decidePlan(OBJECT, ledgerEntry({ state, version }), policy);
    return `${decision.plan} ${decision.reason}`;
  };

  test('loads what the ledger does not know', () => {
    for (const policy of POLICIES)
      expect(decidePlan(OBJECT, null, policy)).toEqual({ plan: 'load', reason: 'new' });
  });

  test.each<[LedgerState, 'same' | 'other', Record<'skip' | 'reload', Record<'keep' | 'retry', string>>]>([
    [
      'ingested',
      'same',
      {
        skip: { keep: 'skip unchanged', retry: 'skip unchanged' },
        reload: { keep: 'skip unchanged', retry: 'skip unchanged' },
      },
    ],
    [
      'ingested',
      'other',
      {
        skip: { keep: 'skip changed', retry: 'skip changed' },
        reload: { keep: 'load changed', retry: 'load changed' },
      },
    ],
    [
      'failed',
      'same',
      {
        skip: { keep: 'skip failedBefore', retry: 'load retry' },
        reload: { keep: 'skip failedBefore', retry: 'load retry' },
      },
    ],
    [
      'failed',
      'other',
      {
        skip: { keep: 'load changed', retry: 'load changed' },
        reload: { keep: 'load changed', retry: 'load changed' },
      },
    ],
    [
      'undone',
      'same',
      {
        skip: { keep: 'load retry', retry: 'load retry' },
        reload: { keep: 'load retry', retry: 'load retry' },
      },
    ],
    [
      'undone',
      'other',
      {
        skip: { keep: 'load retry', retry: 'load retry' },
        reload: { keep: 'load retry', retry: 'load retry' },
      },
    ],
  ])('%s, %s version', (state, which, expected) => {
    for (const policy of POLICIES) {
      expect(said(state, which === 'same' ? OBJECT.version : 'e:0', policy)).toBe(
        expected[policy.changed][policy.retryFailed ? 'retry' : 'keep'],
      );
    }
  });

  test.each(['objectChanged', 'versionUnproven', 'objectGone'] as const)(
    'loads a key that is not what was asked for (%s) as it is now when somebody asks for it, or changed keys are reloaded',
    (errorCode) => {
      for (const policy of POLICIES) {
        const isLoaded = policy.retryFailed || policy.changed === 'reload';
        const decide = (version: string) =>
          decidePlan(OBJECT, ledgerEntry({ state: 'ingested', version, errorCode }), policy);
        expect(decide('e:0')).toEqual(
          isLoaded ? { plan: 'load', reason: 'changed' } : { plan: 'skip', reason: 'changed' },
        );
        expect(decide(OBJECT.version)).toEqual({ plan: 'skip', reason: 'unchanged' });
      }
    },
  );

  test.each(['goneUnreported', 'objectChanged'] as const)(
    'with onUnproven report an object that was given up (%s) is tried again in its version only when somebody asks for it',
    (errorCode) => {
      for (const policy of POLICIES) {
        for (const onUnproven of ['report', 'repost'] as const) {
          const decide = (version: string) => {
            const entry = ledgerEntry({ state: 'failed', version, errorCode, fateUnknown: true });
            return decidePlan(OBJECT, entry, { ...policy, onUnproven });
          };
          const isLoaded = onUnproven === 'repost' || policy.retryFailed;
          expect(decide(OBJECT.version)).toEqual(
            isLoaded ? { plan: 'load', reason: 'retry' } : { plan: 'skip', reason: 'failedBefore' },
          );
          expect(decide('e:0')).toEqual({ plan: 'load', reason: 'changed' });
        }
      }
    },
  );

  test('with onUnproven report what no queue took is tried again, also when it was posted without proof', () => {
    const entry = ledgerEntry({ state: 'failed', errorCode: 'queueRefused', repostedUnproven: true });
    const policy = { changed: 'skip', retryFailed: false, onUnproven: 'report' } as const;
    expect(decidePlan(OBJECT, entry, policy)).toEqual({ plan: 'load', reason: 'retry' });
  });

  test('never plans an object whose message may be alive', () => {
    for (const state of STATES.filter(isUnsettled)) {
      for (const version of [OBJECT.version, 'e:0']) {
        for (const policy of POLICIES) expect(said(state, version, policy)).toBe('skip unsettled');
      }
    }
  });
});

describe('decidePost', () => {
  const NOW = new Date('2026-03-01T12:00:00.000Z');
  const GRACE_MS = 3_600_000;
  const PASSED = new Date(NOW.getTime() - GRACE_MS).toISOString();
  const STANDING = new Date(NOW.getTime() - GRACE_MS + 1).toISOString();
  const situationOf = (changes: Partial<PostSituation> = {}): PostSituation => ({
    runId: 'run-2',
    reason: 'changed',
    version: 'e:1',
    now: NOW,
    downloadGraceMs: GRACE_MS,
    policy: { changed: 'skip', retryFailed: false },
    ...changes,
  });
  const said = (entry: LedgerEntry | null, changes: Partial<PostSituation>) => {
    const decision = decidePost(entry, situationOf(changes));
    return decision.post === 'again'
      ? `again, ${decision.provenNotIngested ? 'proven' : 'unproven'}`
      : decision.post;
  };

  test('posts what the ledger does not know', () => {
    for (const reason of REASONS) expect(said(null, { reason })).toBe('first');
  });

  test('follows the table', () => {
    const expected = (
      state: LedgerState,
      same: boolean,
      reason: LoadReason,
      changed: 'skip' | 'reload',
      fencePassed: boolean,
    ): string => {
      if (reason === 'recheck') return isUnsettled(state) && same && fencePassed ? 'again, unproven' : 'no';
      if (state === 'undone') return 'again, proven';
      if (state === 'ingested') return !same && changed === 'reload' ? 'again, proven' : 'no';
      if (state === 'failed') return !same || reason === 'retry' ? 'again, proven' : 'no';
      return 'no';
    };
    for (const state of STATES) {
      for (const same of [true, false]) {
        for (const reason of REASONS) {
          for (const policy of POLICIES) {
            for (const urlExpiresAt of [PASSED, STANDING]) {
              const entry = ledgerEntry({
                state,
                version: same ? 'e:1' : 'e:0',
                runId: 'run-1',
                urlExpiresAt,
              });
              const row = `${state}, same version: ${same}, ${reason}, ${policy.changed}, fence passed: ${urlExpiresAt === PASSED}`;
              expect(`${row} -> ${said(entry, { reason, policy })}`).toBe(
                `${row} -> ${expected(state, same, reason, policy.changed, urlExpiresAt === PASSED)}`,
              );
            }
          }
        }
      }
    }
  });

  test('posts a key whose rows may be those of either version as unproven, when somebody asks for it or changed keys are reloaded', () => {
    for (const errorCode of ['objectChanged', 'versionUnproven', 'objectGone'] as const) {
      for (const policy of POLICIES) {
        const say = (version: string, entryRun: string) =>
          said(ledgerEntry({ state: 'ingested', version, runId: entryRun, errorCode }), { policy });
        const isLoaded = policy.retryFailed || policy.changed === 'reload';
        expect(say('e:0', 'run-1')).toBe(isLoaded ? 'again, unproven' : 'no');
        expect(say('e:1', 'run-1')).toBe('no');
        expect(say('e:0', 'run-2')).toBe('no');
      }
    }
  });

  test('posts an object once without proof, and again only on request', () => {
    const entry = ledgerEntry({
      state: 'unknown',
      version: 'e:1',
      runId: 'run-1',
      urlExpiresAt: PASSED,
      repostedUnproven: true,
    });
    expect(said(entry, { reason: 'recheck' })).toBe('no');
    const policy = { changed: 'skip', retryFailed: true } as const;
    expect(said(entry, { reason: 'recheck', policy })).toBe('again, unproven');
  });

  test('an object that was given up without a report is loaded again as unproven, unless its version id pins what was read', () => {
    const given = (version: string, fateUnknown: boolean) =>
      ledgerEntry({
        state: 'failed',
        version,
        runId: 'run-1',
        errorCode: 'objectChanged',
        urlExpiresAt: PASSED,
        fateUnknown,
      });
    expect(said(given('e:1', true), { reason: 'changed', version: 'e:2' })).toBe('again, unproven');
    expect(said(given('e:1', true), { reason: 'retry', version: 'e:1' })).toBe('again, unproven');
    expect(said(given('v:1', true), { reason: 'changed', version: 'v:2' })).toBe('again, proven');
    expect(said(given('v:1', true), { reason: 'retry', version: 'v:1' })).toBe('again, unproven');
    expect(said(given('e:1', false), { reason: 'changed', version: 'e:2' })).toBe('again, proven');
  });

  test('posts an open object again whose URL works for ever only for a rerun that accepts doubles, and once a run', () => {
    for (const state of STATES.filter(isUnsettled)) {
      const entry = ledgerEntry({ state, version: 'e:1', runId: 'run-1', urlExpiresAt: null });
      const say = (acceptDoubles: boolean, changes: Partial<PostSituation> = {}) =>
        said(entry, {
          reason: 'recheck',
          policy: { changed: 'skip', retryFailed: true, acceptDoubles },
          ...changes,
        });
      expect(say(true)).toBe('again, unproven');
      expect(say(false)).toBe('no');
      expect(say(true, { runId: 'run-1' })).toBe('no');
      expect(say(true, { version: 'e:2' })).toBe('no');
      expect(say(true, { reason: 'retry' })).toBe('no');
    }
  });

  test('a rerun that does not accept doubles sends no third message', () => {
    const entry = ledgerEntry({
      state: 'unknown',
      version: 'e:1',
      runId: 'run-1',
      urlExpiresAt: PASSED,
      repostedUnproven: true,
    });
    const policyOf = (acceptDoubles: boolean) =>
      ({ changed: 'skip', retryFailed: true, acceptDoubles }) as const;
    expect(said(entry, { reason: 'recheck', policy: policyOf(false) })).toBe('no');
    expect(said(entry, { reason: 'recheck', policy: policyOf(true) })).toBe('again, unproven');
    // Within the fence, doubles are never needed.
    const within = { ...entry, urlExpiresAt: STANDING };
    expect(said(within, { reason: 'recheck', policy: policyOf(true) })).toBe('no');
  });

  test('never posts an open object again whose URL works for ever', () => {
    for (const state of STATES.filter(isUnsettled)) {
      const entry = ledgerEntry({ state, version: 'e:1', runId: 'run-1', urlExpiresAt: null });
      for (const policy of POLICIES) expect(said(entry, { reason: 'recheck', policy })).toBe('no');
    }
  });

  const situations = fc.record({
    state: fc.constantFrom(...STATES),
    entryVersion: fc.constantFrom('e:0', 'e:1'),
    entryRun: fc.constantFrom('run-1', 'run-2'),
    reason: fc.constantFrom(...REASONS),
    policy: fc.constantFrom(...POLICIES),
    expiresInMs: fc.integer({ min: -20_000_000, max: 20_000_000 }),
    downloadGraceMs: fc.integer({ min: 0, max: 10_000_000 }),
  });
  const decide = (input: typeof situations extends fc.Arbitrary<infer Value> ? Value : never) => {
    const urlExpiresAt = new Date(NOW.getTime() + input.expiresInMs).toISOString();
    const entry = ledgerEntry({
      state: input.state,
      version: input.entryVersion,
      runId: input.entryRun,
      urlExpiresAt,
    });
    return {
      entry,
      decision: decidePost(
        entry,
        situationOf({ reason: input.reason, policy: input.policy, downloadGraceMs: input.downloadGraceMs }),
      ),
    };
  };

  test('law: an object whose message may be alive is never posted within its fence', () => {
    fc.assert(
      fc.property(situations, (input) => {
        const { entry, decision } = decide(input);
        if (isUnsettled(entry.state) && NOW < fenceOf(entry, input.downloadGraceMs)!)
          expect(decision).toEqual({ post: 'no' });
      }),
      { numRuns: 2000 },
    );
  });

  test('law: a run never posts the same version twice', () => {
    fc.assert(
      fc.property(situations, (input) => {
        const { entry, decision } = decide({ ...input, entryRun: 'run-2', entryVersion: 'e:1' });
        // Undoing is for runs that have ended.
        if (entry.state !== 'undone') expect(decision).toEqual({ post: 'no' });
      }),
      { numRuns: 2000 },
    );
  });

  test('law: only an unsettled object is posted without proof', () => {
    fc.assert(
      fc.property(situations, (input) => {
        const { entry, decision } = decide(input);
        if (decision.post === 'again') expect(decision.provenNotIngested).toBe(!isUnsettled(entry.state));
      }),
      { numRuns: 2000 },
    );
  });

  test('law: every post is a transition that the ledger allows', () => {
    fc.assert(
      fc.property(situations, (input) => {
        const { entry, decision } = decide(input);
        if (decision.post !== 'no') expect(LEDGER_TRANSITIONS[entry.state]).toContain('intent');
      }),
    );
  });
});
