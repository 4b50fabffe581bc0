import type { AdvanceOperationOutput, OperationInput } from '../contracts/durable.ts';
import type { Operation } from '../domain/operation.ts';
import { ERROR_KINDS, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Loader } from './loader.ts';
import { findOperation, saveOperation } from './operation-documents.ts';
import { pauseMs } from './part-commit.ts';
import { takeResetStep } from './reset-steps.ts';
import { takeUndoStep } from './undo-steps.ts';

/** An activity goes on for so long before it gives way to the next. */
const ACTIVITY_MS = 60_000;
/** Pause between two activities, and after one that failed for a reason that passes. */
const NEXT_PAUSE_MS = 100;
const RETRY_PAUSE_MS = 15_000;

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
    const waitMs = next.isPutOff ? RETRY_PAUSE_MS : NEXT_PAUSE_MS;
    if (next.isPutOff || loader.now().getTime() >= until)
      return { answer: { kind: 'wait', waitMs: pauseMs(loader, waitMs) }, freed: null };
  }
}

interface Step {
  readonly operation: Operation;
  readonly isPutOff: boolean;
}

async function tryStep(loader: Loader, operation: Operation): Promise<Step> {
  try {
    return operation.kind === 'undo'
      ? await takeUndoStep(loader, operation)
      : { operation: await takeResetStep(loader, operation), isPutOff: false };
  } catch (thrown) {
    const error = toLoaderError(thrown);
    const { operationId, step } = operation;
    // Its message may name a key.
    events.operationStepFailed(loader.logger, { operationId, step, code: error.code });
    if (!error.permanent) return { operation, isPutOff: true };
    const problem = { code: error.code, message: error.message, remedy: ERROR_KINDS[error.code].remedy };
    return {
      operation: { ...operation, state: 'failed', endedAt: loader.now().toISOString(), problem },
      isPutOff: false,
    };
  }
}
