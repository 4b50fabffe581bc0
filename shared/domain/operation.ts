import type { TagWindow } from './drop-by-tag.ts';
import type { RunProblem } from './run-summary.ts';

interface RequestBase {
  /** Id of the operation: the holder of the lock. */
  readonly runId: string;
  readonly load: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** Everything that is needed to begin an undo; it stands in the lock, so that a start that was cut off can be completed. */
export interface UndoRequest extends RequestBase {
  readonly operation: 'undo';
  /** The run whose unit is undone. */
  readonly ofRun: string;
}

/** Everything that is needed to begin a reset. */
export interface ResetRequest extends RequestBase {
  readonly operation: 'reset';
  readonly prefix: string;
  /** Of the ledger. */
  readonly generation: number;
}

/** What holds the lock of a load that is not being run. */
export type OperationRequest = UndoRequest | ResetRequest;

interface OperationBase {
  readonly v: 1;
  readonly operationId: string;
  readonly load: string;
  /** `cancelled`: by a person, before it had changed anything. */
  readonly state: 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly createdAt: string;
  readonly endedAt: string | null;
  readonly problem: RunProblem | null;
  /** Objects that it is about. */
  readonly objects: number;
  /** Objects that were posted after this are none of the operation's: it took the lock then. */
  readonly since: string;
  /** Ledger partition at which `check`, `confirm` or `mark` goes on. */
  readonly partition: number;
  /** Number of the instance that carries it out. */
  readonly attempt: number;
  readonly heartbeatAt: string;
  /**
   * Since when every try of the present step has failed for a reason that may pass; `null`, and absent in documents of older
   * versions: the latest one did not.
   */
  readonly failingSince?: string | null;
}

/**
 * Where an undo stands. Written under its ETag by whoever takes it further; times are ISO 8601, UTC.
 *
 * - `check`: nothing is changed; every partition of the ledger is looked at for what forbids the undo.
 * - `drop`: extents are listed, written down and dropped until none carries the tag. Before the first of them are written
 *   down, still nothing is changed.
 * - `confirm`: every partition is looked at once more for objects that came under the tag since `check`.
 * - `mark`: the ledger's entries of the unit become `undone`, partition by partition.
 */
export interface UndoOperation extends OperationBase {
  readonly kind: 'undo';
  readonly step: 'check' | 'drop' | 'confirm' | 'mark';
  /** The run whose unit is undone. */
  readonly runId: string;
  /** The unit: all rows under this tag. */
  readonly tag: string;
  readonly tagWindow: TagWindow;
  /** Runs whose rows carry the tag; `null` before they were looked up. */
  readonly runs: readonly string[] | null;
  /** Rows that are dropped. */
  readonly rows: number;
  /** Rows may have been dropped, or the ledger's entries marked: from then on the undo is not refused for what it has done itself, but taken up again. */
  readonly hasDropped: boolean;
  /**
   * `since` of the latest undo of the unit that had succeeded before: what runs had loaded by then was gone. `null`, and absent
   * in documents of older versions: there was none.
   */
  readonly undoneUntil?: string | null;
  /** Extents that were found under the tag and are to be dropped; `null` when they are to be listed. */
  readonly extentIds: readonly string[] | null;
}

/**
 * Where a reset stands: the ledger forgets that it has loaded the objects under a prefix, so that the next run loads them
 * again. Their rows stay where they are.
 *
 * - `check`: nothing is changed; every partition of the ledger is looked at for what forbids the reset.
 * - `mark`: the entries become `undone`, partition by partition.
 */
export interface ResetOperation extends OperationBase {
  readonly kind: 'reset';
  readonly step: 'check' | 'mark';
  /** Empty: all objects of the load. */
  readonly prefix: string;
  readonly generation: number;
}

export type Operation = UndoOperation | ResetOperation;

/** Whether an operation may have dropped rows or marked entries of the ledger. Until then it can be ended without a trace. */
export function mayHaveChanged(operation: Operation): boolean {
  return operation.kind === 'undo' ? operation.hasDropped : operation.step !== 'check';
}

/** What `GET /api/operations/{id}` shows. */
export type ShownOperation =
  | Omit<UndoOperation, Hidden | 'hasDropped' | 'undoneUntil' | 'extentIds'>
  | Omit<ResetOperation, Hidden | 'generation'>;
type Hidden = 'v' | 'since' | 'partition' | 'attempt' | 'heartbeatAt' | 'failingSince';
