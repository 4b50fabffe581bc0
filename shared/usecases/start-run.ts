import { createHash } from 'node:crypto';

import * as v from 'valibot';
import { parseWith } from '../config/parse-definition.ts';
import { PAYLOAD_VERSION } from '../contracts/durable.ts';
import { manualRunId, runInstanceId } from '../domain/run-id.ts';
import {
  NO_OPTIONS,
  type RunOptions,
  type RunRequest,
  type RunRow,
  type RunTrigger,
} from '../domain/run-record.ts';
import { LoaderError, type Problem } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Lock } from '../ports/load-state.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import { loadBusy } from './begin-operation.ts';
import { getLoad } from './load-catalog.ts';
import type { Loader } from './loader.ts';
import { type RunSnapshot, takeSnapshot, writeSnapshot } from './run-documents.ts';

const instant = v.nullable(
  v.pipe(v.string(), v.isoTimestamp('must be an ISO 8601 instant such as 2026-01-31T00:00:00Z')),
);

/** Body of `POST /api/loads/{name}/runs`; all of it optional. */
const RunOptionsSchema = v.strictObject({
  prefix: v.optional(v.nullable(v.string()), null),
  modifiedAfter: v.optional(instant, null),
  modifiedBefore: v.optional(instant, null),
  retryFailed: v.optional(v.boolean(), false),
});

/**
 * Reads what a start narrows.
 *
 * @param definitionPrefix - the prefix of the definition, within which the run's own must lie.
 * @throws {LoaderError} `invalidRequest` with all problems.
 */
export function parseRunOptions(json: unknown, definitionPrefix: string): RunOptions {
  const { value, problems } = parseWith(RunOptionsSchema, json ?? {});
  const found: Problem[] = [...problems];
  if (value !== null && value.prefix !== null && !value.prefix.startsWith(definitionPrefix)) {
    found.push({ field: 'prefix', message: `must begin with the prefix of the load, "${definitionPrefix}"` });
  }
  if (value !== null && found.length === 0) return value;
  throw new LoaderError('invalidRequest', 'The run can not be started as asked', { problems: found });
}

export interface StartInput {
  readonly load: string;
  readonly trigger: RunTrigger;
  readonly options?: RunOptions;
  /** Given for scheduled runs, whose id follows from the schedule. */
  readonly runId?: string;
  readonly idempotencyKey?: string | null;
}

export interface StartedRun {
  readonly runId: string;
  /** `false`: an earlier request with the same idempotency key had started it, or one for the same rerun, which has planned nothing yet. */
  readonly isNew: boolean;
}

/**
 * Starts a run: takes the load's lock, then writes what the run works by, then starts its orchestration. The lock
 * holds the whole request, so a start that was cut off anywhere behind it is completed by the next tick.
 *
 * @throws {LoaderError} `loadNotFound`; `loadBusy` with the id of the run that holds the lock; `idempotencyMismatch`.
 */
export async function startRun(
  loader: Loader,
  orchestrations: Orchestrations,
  input: StartInput,
): Promise<StartedRun> {
  const { load, trigger, options = NO_OPTIONS, idempotencyKey = null } = input;
  const { updatedAt } = await getLoad(loader, load);
  const createdAt = loader.now();
  let runId = input.runId ?? manualRunId(load, createdAt, loader.randomSuffix());

  if (idempotencyKey !== null) {
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([load, options]))
      .digest('hex');
    const claim = await loader.loads.claimIdempotencyKey({ load, idempotencyKey, runId, fingerprint });
    if (claim.fingerprint !== fingerprint) {
      throw new LoaderError(
        'idempotencyMismatch',
        'This Idempotency-Key belongs to a request with another body',
        { facts: { runId: claim.runId } },
      );
    }
    // The first request may have been cut off between key and lock: this one then starts the run that it announced.
    if (!claim.isNew && (await loader.runs.readControl(claim.runId)) !== null)
      return { runId: claim.runId, isNew: false };
    runId = claim.runId;
  }

  const request: RunRequest = { runId, load, trigger, options, createdAt: createdAt.toISOString() };
  const lock = await loader.loads.acquireLock({ load, request, acquiredAt: createdAt.toISOString() });
  if (!lock.acquired) {
    const holder = lock.heldBy.request;
    const busy = holder.runId;
    // Its twin holds the lock, and starts the run or has the next tick start it.
    if (busy === runId) return { runId, isNew: false };
    if (idempotencyKey !== null) await loader.loads.dropIdempotencyKey(load, idempotencyKey);
    else if (await isSameRerun(loader, holder, options, updatedAt)) return { runId: busy, isNew: false };
    throw loadBusy(load, holder);
  }
  await beginRun(loader, orchestrations, request);
  return { runId, isNew: true };
}

/**
 * Whether the holder of the lock does what is asked: a rerun of the same run with the same options and definition that has not
 * looked at any key yet, for what it has seen may be another by now. One that is suspended, ending or told to stop does not.
 */
async function isSameRerun(
  loader: Loader,
  holder: Lock['request'],
  { rerun }: RunOptions,
  definedAt: string,
): Promise<boolean> {
  if (rerun === undefined || 'operation' in holder) return false;
  const other = holder.options.rerun;
  if (other === undefined || definedAt > holder.createdAt) return false;
  const { runId, objects, acceptDoubles } = rerun;
  if (other.runId !== runId || other.objects !== objects || other.acceptDoubles !== acceptDoubles)
    return false;
  const view = await loader.runs.readRun(holder.runId);
  if (view === null) return true;
  const { closingAt, finalState } = view.run.value;
  const { stop, suspendedAt } = view.control.value;
  const hasPlanned = view.parts.some(({ value: { part, cursor, endedAt } }) => {
    return part === 'planner' && (cursor !== null || endedAt !== null);
  });
  return closingAt == null && finalState === null && stop === null && suspendedAt === null && !hasPlanned;
}

/** Everything behind the lock. Any step may have been done before; each is done once. */
export async function beginRun(
  loader: Loader,
  orchestrations: Orchestrations,
  request: RunRequest,
): Promise<void> {
  const { generation, definition } = await getLoad(loader, request.load);
  const snapshot = await writeSnapshot(loader, takeSnapshot(loader, request, generation, definition));
  const run: RunRow = {
    row: 'run',
    ...request,
    epoch: 1,
    epochAt: loader.now().toISOString(),
    partCount: partCountOf(snapshot.definition.concurrency.lanes),
    generation: snapshot.generation,
    closingAt: null,
    finalState: null,
    endedAt: null,
    pauseUntil: null,
    silentSince: null,
  };
  await loader.runs.createRun(run);
  if (await startInstance(orchestrations, snapshot, 1)) events.runStarted(loader.logger, request);
}

/** Starts the orchestration of one epoch; `false` when it is there already. */
export function startInstance(
  orchestrations: Orchestrations,
  { request: { runId }, definition }: RunSnapshot,
  epoch: number,
): Promise<boolean> {
  const { lanes } = definition.concurrency;
  return orchestrations.startRun(runInstanceId({ runId, epoch }), {
    v: PAYLOAD_VERSION,
    runId,
    epoch,
    lanes,
    settlers: settlersFor(lanes),
  });
}

function partCountOf(lanes: number): number {
  return 1 + lanes + settlersFor(lanes);
}

/** A settler looks at a shard in seconds, and a lane posts one in seconds to minutes: one settler serves four lanes. */
export function settlersFor(lanes: number): number {
  return Math.max(1, Math.ceil(lanes / 4));
}
