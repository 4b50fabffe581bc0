import * as v from 'valibot';

import { parseWith } from '../config/parse-definition.ts';
import { NO_OPTIONS, type RerunOptions } from '../domain/run-record.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import { getLoad } from './load-catalog.ts';
import type { Loader } from './loader.ts';
import { expectSameLedger } from './next-keys.ts';
import { type StartedRun, startRun } from './start-run.ts';

/** Body of `POST /api/runs/{id}/rerun`; all of it optional. */
const RerunSchema = v.strictObject({
  objects: v.optional(v.picklist(['failed', 'notIngested'], 'must be failed or notIngested'), 'failed'),
  acceptDoubles: v.optional(v.boolean(), false),
});

/** @throws {LoaderError} `invalidRequest` with all problems. */
export function parseRerun(json: unknown): Omit<RerunOptions, 'runId'> {
  const { value, problems } = parseWith(RerunSchema, json ?? {});
  if (value !== null) return value;
  throw new LoaderError('invalidRequest', 'The run can not be rerun as asked', { problems });
}

/**
 * Starts a run of the same load over the objects of an ended run that failed, or that were not ingested. It works by the
 * present definition, for what was wrong with the run may have been the definition, and by the ledger as any run: what was
 * ingested meanwhile is not loaded again, a key that holds another version by now is loaded in that version.
 *
 * @throws {LoaderError} `runNotFound`; `loadNotFound`; `loadBusy`; `loadChanged`; `idempotencyMismatch`.
 */
export async function startRerun(
  loader: Loader,
  orchestrations: Orchestrations,
  { rerun, idempotencyKey }: { readonly rerun: RerunOptions; readonly idempotencyKey: string | null },
): Promise<StartedRun> {
  const { runId } = rerun;
  const view = await loader.runs.readControl(runId);
  if (view === null) throw new LoaderError('runNotFound', `There is no run "${runId}"`);
  const { load, finalState } = view.run.value;
  if (finalState === null)
    throw new LoaderError('loadBusy', `The run "${runId}" has not ended`, { facts: { runId } });
  await expectSameLedger(loader, runId, await getLoad(loader, load));
  const options = { ...NO_OPTIONS, rerun };
  return startRun(loader, orchestrations, { load, trigger: 'rerun', options, idempotencyKey });
}
