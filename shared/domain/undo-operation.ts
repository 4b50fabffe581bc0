import type { TagWindow } from './drop-by-tag.ts';
import type { RunProblem } from './run-summary.ts';

/** Everything that is needed to begin an undo; it stands in the lock, so that a start that was cut off can be completed. */
export interface UndoRequest {
  readonly operation: 'undo';
  /** Id of the operation: the holder of the lock. */
  readonly runId: string;
  readonly load: string;
  /** The run whose unit is undone. */
  readonly ofRun: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/**
 * Where an undo stands. Written under its ETag by whoever takes it further; times are ISO 8601, UTC.
 *
 * - `check`: nothing is changed; every partition of the ledger is looked at for what forbids the undo.
 * - `drop`: extents are listed, written down and dropped until none carries the tag.
 * - `mark`: the ledger's entries of the unit become `undone`, partition by partition.
 */
export interface UndoOperation {
  readonly v: 1;
  readonly operationId: string;
  readonly kind: 'undo';
  readonly load: string;
  readonly runId: string;
  /** The unit: all rows under this tag. */
  readonly tag: string;
  readonly tagWindow: TagWindow;
  /** Runs whose rows carry the tag; `null` before they were looked up. */
  readonly runs: readonly string[] | null;
  readonly state: 'running' | 'succeeded' | 'failed';
  readonly step: 'check' | 'drop' | 'mark';
  readonly createdAt: string;
  readonly endedAt: string | null;
  readonly problem: RunProblem | null;
  /** Objects whose rows are dropped, and these rows. */
  readonly objects: number;
  readonly rows: number;
  /** Objects that were posted after this are none of the undo's: it took the lock then. */
  readonly since: string;
  /** Dropping has begun: from then on the undo is not refused for what it has done itself, but taken up again. */
  readonly hasDropped: boolean;
  /** Extents that were found under the tag and are to be dropped; `null` when they are to be listed. */
  readonly extentIds: readonly string[] | null;
  /** Ledger partition at which `check` or `mark` goes on. */
  readonly partition: number;
  /** Number of the instance that carries it out. */
  readonly attempt: number;
  readonly heartbeatAt: string;
}

/** What `GET /api/operations/{id}` shows. */
export type ShownOperation = Pick<
  UndoOperation,
  | 'operationId'
  | 'kind'
  | 'load'
  | 'runId'
  | 'tag'
  | 'tagWindow'
  | 'runs'
  | 'state'
  | 'step'
  | 'createdAt'
  | 'endedAt'
  | 'problem'
  | 'objects'
  | 'rows'
>;
