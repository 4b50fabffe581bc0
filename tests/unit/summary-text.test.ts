import { describe, expect, test } from 'vitest';

import { summaryText } from '../../cli/summary-text.ts';
import { addDigests, EMPTY_DIGEST, EMPTY_PLAN, type RunSummary } from '../../shared/domain/run-summary.ts';

const COMPLETED: RunSummary = {
  runId: 'flights-20260131T120000Z-0001',
  load: 'flights',
  state: 'completed',
  trigger: 'manual',
  startedAt: '2026-01-31T12:00:00.000Z',
  endedAt: '2026-01-31T12:04:05.000Z',
  durationMs: 245_000,
  problem: null,
  plan: {
    ...EMPTY_PLAN,
    listed: 1784,
    listedBytes: 2_500_000,
    selected: 1700,
    skipped: { unchanged: 80, failedBefore: 4 },
  },
  objects: { ...EMPTY_DIGEST.objects, ingested: 1700 },
  bytesIngested: 2_400_000,
  throughput: { objectsPerSecond: 6.9, bytesPerSecond: 9796 },
  failures: {},
  slowest: [{ key: 'in/007', durationMs: 61_000 }],
  repostedUnproven: [],
  rows: { tagged: 17_000, tagIsThisRunOnly: true, expected: 17_000, agrees: true, byObject: null },
  stopReason: null,
  throttling: null,
  tag: 'drop-by:test/flights.1/flights-20260131T120000Z-0001',
  unsettledUntil: null,
  epochs: 1,
};

const linesOf = (changes: Partial<RunSummary>) => summaryText({ ...COMPLETED, ...changes }).split('\n');
const keys = (count: number) => Array.from({ length: count }, (_, index) => `in/${index + 1}`);

describe('a summary in the terminal', () => {
  test('of a run that has loaded everything says so in a few lines', () => {
    expect(summaryText(COMPLETED)).toBe(
      `flights: completed in 4 min 05 s (flights-20260131T120000Z-0001)
  listed     1,784 objects, 2.5 MB; skipped: unchanged 80, failedBefore 4
  ingested   1,700 objects, 2.4 MB (6.9/s, 9.8 kB/s)
  slowest    in/007: 1 min 01 s from post to report
  rows       17,000 in Azure Data Explorer under this run's tag; expected: 17,000`,
    );
  });

  test('tells what was not loaded, why, and what to do', () => {
    const lines = linesOf({
      state: 'completedWithFailures',
      objects: { ingested: 1, failed: 2, gone: 3, changed: 4, unknown: 5, deferred: 6, notStarted: 7 },
      failures: { formatMismatch: { count: 2, examples: [{ key: 'in/1', message: 'no comma' }] } },
      problem: { code: 'sourceUnavailable', message: 'S3 is away', remedy: 'Wait for it.' },
      unsettledUntil: '2026-01-31T19:00:00.000Z',
    });
    expect(lines.slice(3, -1)).toEqual([
      '  failed     2 objects',
      '  gone       3 objects',
      '  changed    4 objects',
      '  unknown    5 objects',
      '  deferred   6 objects',
      '  notStarted 7 objects',
      '  formatMismatch: 2',
      '    in/1: no comma',
      '  sourceUnavailable: S3 is away',
      '    Wait for it.',
      expect.stringContaining('slowest'),
      expect.stringContaining('rows'),
    ]);
    expect(lines.at(-1)).toContain('2026-01-31T19:00:00.000Z');
  });

  test.each<[string, Partial<RunSummary['rows']>, string]>([
    ['none is known', { tagged: null, expected: null, agrees: null }, 'not known; expected: not known'],
    [
      'those of the objects are not known',
      { tagged: 12, expected: null, agrees: null },
      "12 in Azure Data Explorer under this run's tag; expected: not known",
    ],
    ['those of the table are not known', { tagged: null, agrees: null }, 'not known; expected: 17,000'],
    [
      'there are none, and none are expected',
      { tagged: 0, expected: 0, tagIsThisRunOnly: false },
      '0 in Azure Data Explorer under the tag of its window; expected: 0',
    ],
    [
      'they are not those of the objects',
      { tagged: 34_000, agrees: false },
      "34,000 in Azure Data Explorer under this run's tag; expected: 17,000 (they differ)",
    ],
  ])('makes no number of rows up: %s', (_, rows, text) => {
    expect(linesOf({ rows: { ...COMPLETED.rows, ...rows } }).at(-1)).toBe(`  rows       ${text}`);
  });

  test('names objects whose rows in the table are not those that they hold', () => {
    const differences = keys(6).map((key) => ({ key, expected: 10, found: 20 }));
    const byObject = {
      differing: 1200,
      differences: [{ key: 'in/0', expected: null, found: 0 }, ...differences],
    };
    expect(linesOf({ rows: { ...COMPLETED.rows, byObject } }).slice(-7)).toEqual([
      '  differing  1,200 objects, by their rows in the table',
      '    in/0: 0; expected: not known',
      ...keys(4).map((key) => `    ${key}: 20; expected: 10`),
      '    and 1,195 more',
    ]);
    const one = { differing: 1, differences: differences.slice(0, 1) };
    expect(linesOf({ rows: { ...COMPLETED.rows, byObject: one } }).slice(-2)).toEqual([
      '  differing  1 objects, by their rows in the table',
      '    in/1: 20; expected: 10',
    ]);
    const none = { differing: 0, differences: [] };
    expect(linesOf({ rows: { ...COMPLETED.rows, byObject: none } })).toEqual(linesOf({}));
  });

  test.each([
    [1, '1', []],
    [5, '5', []],
    [7, '7', ['    and 2 more']],
    // A summary names no more than 20.
    [21, 'at least 20', ['    and at least 15 more']],
  ])('names objects that were posted again without proof: %i', (count, said, rest) => {
    const { repostedUnproven } = addDigests(EMPTY_DIGEST, { ...EMPTY_DIGEST, repostedUnproven: keys(count) });
    expect(linesOf({ repostedUnproven }).slice(5)).toEqual([
      `  reposted   ${said} objects, without proof: their rows may be there twice`,
      ...keys(Math.min(count, 5)).map((key) => `    ${key}`),
      ...rest,
    ]);
  });
});
