import type { AdvanceOperationOutput, OperationInput } from '../contracts/durable.ts';
import { mayHaveChanged, type Operation } from '../domain/operation.ts';
import { ERROR_KINDS, LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Loader } from './loader.ts';
import { findOperation, saveOperation } from './operation-documents.ts';
import { pauseMs, retryPauseMs } from './part-commit.ts';
import { takeResetStep } from './reset-steps.ts';
import { takeUndoStep } from './undo-steps.ts';

/** An activity goes on for so long before it gives way to the next. */
const ACTIVITY_MS = 60_000;
/** Pause between two activities, and after one that failed for a reason that passes. */
const NEXT_PAUSE_MS = 100;
const RETRY_PAUSE_MS = 15_000;

const HOUR_MS = 3_600_000;
/**
 * How long a step is tried that fails for a reason that may pass, before the operation is given up and its load is free.
 * Longer than what is put right by itself or within a working day; a cluster that was deleted never is.
 */
const GIVE_UP_AFTER_MS = 6 * HOUR_MS;
/** As long as rows are gone which the ledger calls loaded, a cluster that was stopped for some days is waited for. */
const GIVE_UP_CHANGED_AFTER_MS = 7 * 24 * HOUR_MS;

export interface OperationAdvance {
  readonly answer: AdvanceOperationOutput;
  /** The load whose lock was freed. */
  readonly freed: string | null;
}

/**
 * Takes an undo or a reset further: a step after the other, each written down under the ETag of the operation's document
 * before the next begins. It may run twice and at the same time: whoever loses the race for the document reads it again, and
 * what both have done is the same (extents are dropped by their ids, entries are marked under their ETags).
 */
export async function advanceOperation(
  loader: Loader,
  { operationId, attempt }: OperationInput,
): Promise<OperationAdvance> {
  const until = loader.now().getTime() + ACTIVITY_MS / loader.timeScale;
  const stop = { answer: { kind: 'stop' }, freed: null } as const;
  for (;;) {
    const stored = await findOperation(loader, operationId);
    if (stored === null || stored.value.attempt !== attempt) return stop;
    const { value } = stored;
    if (value.state !== 'running') {
      await loader.loads.releaseLock(value.load, operationId);
      return { ...stop, freed: value.load };
    }
    const next = await tryStep(loader, value);
    const heartbeatAt = loader.now().toISOString();
    const isSaved = await saveOperation(loader, { ...next.operation, heartbeatAt }, stored.etag);
    if (isSaved && next.operation.state !== 'running') {
      const { kind, state, objects } = next.operation;
      events.operationEnded(loader.logger, { operationId, kind, state, objects });
      continue;
    }
    const waitMs = next.isPutOff ? retryPauseMs(loader, RETRY_PAUSE_MS) : pauseMs(loader, NEXT_PAUSE_MS);
    if (next.isPutOff || loader.now().getTime() >= until)
      return { answer: { kind: 'wait', waitMs }, freed: null };
  }
}

interface Step {
  readonly operation: Operation;
  readonly isPutOff: boolean;
}

async function tryStep(loader: Loader, operation: Operation): Promise<Step> {
  try {
    const next =
      operation.kind === 'undo'
        ? await takeUndoStep(loader, operation)
        : { operation: await takeResetStep(loader, operation), isPutOff: false };
    return { ...next, operation: { ...next.operation, failingSince: null } };
  } catch (thrown) {
    const error = toLoaderError(thrown);
    const { operationId, step } = operation;
    // Its message may name a key.
    events.operationStepFailed(loader.logger, { operationId, step, code: error.code });
    const now = loader.now();
    const failingSince = operation.failingSince ?? now.toISOString();
    const triedMs = (now.getTime() - Date.parse(failingSince)) * loader.timeScale;
    const mostMs = mayHaveChanged(operation) ? GIVE_UP_CHANGED_AFTER_MS : GIVE_UP_AFTER_MS;
    if (!error.permanent && triedMs < mostMs)
      return { operation: { ...operation, failingSince }, isPutOff: true };
    const { code, message } = error.permanent ? error : givenUp(error, mostMs);
    const problem = {
      code,
      message: `${message.replace(/\.$/, '')}. ${whatIsChanged(operation)}`,
      remedy: ERROR_KINDS[code].remedy,
    };
    return {
      operation: { ...operation, state: 'failed', endedAt: now.toISOString(), problem },
      isPutOff: false,
    };
  }
}

function givenUp({ message }: LoaderError, triedMs: number): LoaderError {
  return new LoaderError('operationGivenUp', `Tried for ${triedMs / HOUR_MS} hours: ${message}`);
}

/** What an operation leaves that ends before its time. */
function whatIsChanged(operation: Operation): string {
  if (!mayHaveChanged(operation)) return 'Nothing was changed.';
  return operation.kind === 'undo'
    ? 'Rows may be gone already that the ledger calls loaded: the next undo of the run goes on with this operation.'
    : 'Some of the objects may be marked already: the next reset marks the others.';
}
