import type { LoadDefinition } from '../contracts/load-definition.ts';
import type { OutcomeDigest } from './run-summary.ts';

/** A share says little about a few objects: it counts from this many settled ones on. */
const LEAST_SETTLED = 20;

/** Whether the failures so far make the run stop, so that no further objects are started. */
export function isOnErrorReached(
  onError: LoadDefinition['onError'],
  objects: OutcomeDigest['objects'],
): boolean {
  switch (onError.policy) {
    case 'continue':
      return false;
    case 'stop':
      return objects.failed > 0;
    case 'atMost':
      return objects.failed > onError.failedObjects;
    case 'atMostPercent': {
      const settled = objects.ingested + objects.failed + objects.unknown;
      return settled >= LEAST_SETTLED && (100 * objects.failed) / settled > onError.failedPercent;
    }
  }
}
