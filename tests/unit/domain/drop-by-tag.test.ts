import { expect, test } from 'vitest';

import { type DropByTagInput, dropByTag } from '../../../shared/domain/drop-by-tag.ts';

const INPUT: DropByTagInput = {
  appId: 'app',
  load: 'flights',
  generation: 2,
  runId: 'flights-20260301T235959Z-ab12',
  window: 'run',
  runCreatedAt: new Date('2026-03-01T23:59:59.999Z'),
};

test.each([
  ['run', 'drop-by:app/flights.2/flights-20260301T235959Z-ab12'],
  ['hour', 'drop-by:app/flights.2/2026-03-01T23Z'],
  ['day', 'drop-by:app/flights.2/2026-03-01'],
] as const)('the tag of a window of one %s', (window, expected) => {
  expect(dropByTag({ ...INPUT, window })).toBe(expected);
});

test('runs of one window share a tag, and neither apps, loads, generations nor windows do', () => {
  const tagOf = (changes: Partial<DropByTagInput>) => dropByTag({ ...INPUT, window: 'hour', ...changes });
  expect(tagOf({ runId: 'other', runCreatedAt: new Date('2026-03-01T23:00:00.000Z') })).toBe(tagOf({}));
  const others: Partial<DropByTagInput>[] = [
    { appId: 'other' },
    { load: 'other' },
    { generation: 3 },
    { runCreatedAt: new Date('2026-03-01T22:59:59.999Z') },
    { window: 'day' },
    { window: 'run' },
  ];
  expect(new Set([tagOf({}), ...others.map(tagOf)]).size).toBe(others.length + 1);
});
