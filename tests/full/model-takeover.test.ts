import { test } from 'vitest';
import { expectNoViolation, withoutPauses } from '../model/expect-no-violation.ts';
import { takenOverDuring } from '../model/scenarios.ts';
import type { Activity } from '../model/scripts.ts';

/** In a file of its own, so that it is explored beside the others of model.test.ts. */
withoutPauses();

const TIMEOUT_MS = 30 * 60_000;

test.each<Activity>(['planPage', 'takeShard', 'ingestUnit', 'takePosted', 'settleShard', 'finishRun'])(
  '%s of an old epoch beside the takeover and the whole new epoch',
  (activity) => expectNoViolation(takenOverDuring(activity, ['accepted', 'ambiguousArrived'], 0)),
  TIMEOUT_MS,
);
