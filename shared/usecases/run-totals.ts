import type { RunView } from '../domain/run-record.ts';
import {
  addDigests,
  addPlanTotals,
  EMPTY_DIGEST,
  EMPTY_PLAN,
  type OutcomeDigest,
  type PlanTotals,
} from '../domain/run-summary.ts';

/** Totals of all plan pages, whichever epoch planned them. */
export function planOfRun(view: Pick<RunView, 'parts'>): PlanTotals {
  return view.parts.reduce((totals, { value }) => addPlanTotals(totals, value.progress.plan), EMPTY_PLAN);
}

/** Progress of all parts, those of earlier epochs too. */
export function digestOfRun(view: Pick<RunView, 'parts'>): OutcomeDigest {
  return view.parts.reduce((digest, { value }) => addDigests(digest, value.progress.digest), EMPTY_DIGEST);
}
