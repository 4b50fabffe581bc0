import { type ProgressSample, withSample } from '../domain/run-rate.ts';
import type { PartProgress, RunView } from '../domain/run-record.ts';
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

/**
 * How the objects of a run have ended so far: of settled shards all, of those under way what is ingested or has failed.
 *
 * @param but - a shard that is left out.
 */
export function endsOfRun(view: Pick<RunView, 'parts' | 'shards'>, but?: string): OutcomeDigest {
  const objects = { ...EMPTY_DIGEST.objects };
  for (const { value } of view.shards) {
    if (value.shard === but) continue;
    objects.ingested += value.ends?.ingested ?? 0;
    objects.failed += value.ends?.failed ?? 0;
  }
  return addDigests(digestOfRun(view), { ...EMPTY_DIGEST, objects });
}

/** How far a run is: objects that have come to their end, those of shards under way among them, and their bytes. */
export function doneOfRun(view: Pick<RunView, 'parts' | 'shards'>): Omit<ProgressSample, 'at'> {
  const live = view.shards.map(({ value }) => value);
  const closed = Object.values(digestOfRun(view).objects).reduce((sum, count) => sum + count, 0);
  const openBytes = live.reduce((sum, { bytes, settledBytes }) => sum + bytes - settledBytes, 0);
  return {
    objects: closed + live.reduce((sum, { settledObjects }) => sum + settledObjects, 0),
    bytes: Math.max(0, planOfRun(view).selectedBytes - openBytes),
  };
}

/** The settler's progress with a sample of how far the run is. */
export function sampled(progress: PartProgress, view: RunView, now: Date, timeScale: number): PartProgress {
  const sample = { at: now.toISOString(), ...doneOfRun(view) };
  return { ...progress, samples: withSample(progress.samples ?? [], sample, timeScale) };
}
