import { describe, expect, test } from 'vitest';

import {
  fenceOf,
  isUnsettled,
  LEDGER_TRANSITIONS,
  type LedgerState,
} from '../../../shared/domain/ledger-entry.ts';

const STATES = Object.keys(LEDGER_TRANSITIONS) as LedgerState[];

describe('the states of the ledger', () => {
  test('lead only to states of the table', () => {
    for (const state of STATES) {
      expect(LEDGER_TRANSITIONS[state].length).toBeGreaterThan(0);
      for (const next of LEDGER_TRANSITIONS[state]) expect(STATES).toContain(next);
    }
  });

  test('can all be reached from intent, and all can be tried again', () => {
    const reached = new Set<LedgerState>(['intent']);
    for (let size = 0; size !== reached.size; ) {
      size = reached.size;
      for (const state of [...reached]) for (const next of LEDGER_TRANSITIONS[state]) reached.add(next);
    }
    expect([...reached].sort()).toEqual([...STATES].sort());
    for (const state of STATES) expect(LEDGER_TRANSITIONS[state]).toContain('intent');
  });

  test('a report settles every unsettled state, and only settled objects can be undone or reset', () => {
    for (const state of STATES.filter(isUnsettled))
      expect(LEDGER_TRANSITIONS[state]).toEqual(expect.arrayContaining(['ingested', 'failed']));
    expect(STATES.filter((state) => LEDGER_TRANSITIONS[state].includes('undone')).sort()).toEqual([
      'failed',
      'ingested',
    ]);
    expect(STATES.filter(isUnsettled).sort()).toEqual(['intent', 'queued', 'unknown']);
  });
});

test('the fence ends when a download that began in time has ended', () => {
  expect(fenceOf({ urlExpiresAt: '2026-03-01T06:00:00.000Z' }, 3_600_000)).toEqual(
    new Date('2026-03-01T07:00:00.000Z'),
  );
});
