import { expect, test } from 'vitest';

import type { LoadDefinition } from '../../../shared/contracts/load-definition.ts';
import { isOnErrorReached } from '../../../shared/domain/on-error.ts';
import { EMPTY_DIGEST } from '../../../shared/domain/run-summary.ts';

type Counts = Partial<typeof EMPTY_DIGEST.objects>;

test.each<[LoadDefinition['onError'], Counts, boolean]>([
  [{ policy: 'continue' }, { failed: 1_000_000 }, false],
  [{ policy: 'stop' }, { ingested: 100 }, false],
  [{ policy: 'stop' }, { failed: 1 }, true],
  [{ policy: 'atMost', failedObjects: 2 }, { failed: 2 }, false],
  [{ policy: 'atMost', failedObjects: 2 }, { failed: 3 }, true],
  [{ policy: 'atMost', failedObjects: 0 }, { failed: 0 }, false],
  [{ policy: 'atMost', failedObjects: 0 }, { failed: 1 }, true],
  [{ policy: 'atMostPercent', failedPercent: 10 }, {}, false],
  [{ policy: 'atMostPercent', failedPercent: 10 }, { failed: 19 }, false],
  [{ policy: 'atMostPercent', failedPercent: 10 }, { failed: 20 }, true],
  [{ policy: 'atMostPercent', failedPercent: 10 }, { failed: 10, ingested: 90 }, false],
  [{ policy: 'atMostPercent', failedPercent: 10 }, { failed: 11, ingested: 89 }, true],
  [{ policy: 'atMostPercent', failedPercent: 10 }, { failed: 11, ingested: 80, unknown: 19 }, false],
  // What was not started or left to another run says nothing about failures.
  [
    { policy: 'atMostPercent', failedPercent: 10 },
    { failed: 11, ingested: 89, notStarted: 1000, deferred: 1000 },
    true,
  ],
  [{ policy: 'atMostPercent', failedPercent: 0 }, { failed: 1, ingested: 19 }, true],
  [{ policy: 'atMostPercent', failedPercent: 100 }, { failed: 1000 }, false],
])('%j with %j: %s', (onError, counts, expected) => {
  expect(isOnErrorReached(onError, { ...EMPTY_DIGEST.objects, ...counts })).toBe(expected);
});
