import type { ControlRow, PartRow, RunRow, RunView, ShardRow } from '../domain/run-record.ts';

export type RunRowValue = RunRow | ControlRow | PartRow | ShardRow;

/** One write of a commit. `etag: null` inserts and needs that there is no such row. */
export interface RunWrite {
  readonly value: RunRowValue;
  readonly etag: string | null;
}

export interface RunPage {
  readonly runs: readonly RunRow[];
  /** Opaque; `null` after the last page. */
  readonly next: string | null;
}

/** A run as the index has it. */
export interface IndexedRun {
  readonly runId: string;
  readonly load: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/**
 * The rows of runs. All rows of a run stand together, so that any of them can be written in one transaction:
 * progress and the state that it belongs to never disagree.
 */
export interface RunStore {
  /** Inserts the run and its control row and lists it in the index. `false` when the run exists already. */
  createRun(run: RunRow): Promise<boolean>;

  /** The live part of a run, or `null` when there is no such run. One request while fewer than 1,000 rows are live. */
  readRun(runId: string): Promise<RunView | null>;

  /** Only the run and its control row: the cheap check of epoch and control inside long work. */
  readControl(runId: string): Promise<Pick<RunView, 'run' | 'control'> | null>;

  /**
   * Writes all of it or nothing. `false` when any precondition does not hold: read again and decide again.
   * A shard row that becomes `settled` leaves the live part. At most 90 writes.
   */
  commit(runId: string, writes: readonly RunWrite[]): Promise<boolean>;

  /** Settled shards in ascending order, after the given one. */
  settledShards(
    runId: string,
    options?: { readonly after?: string; readonly limit?: number },
  ): Promise<readonly ShardRow[]>;

  /**
   * Runs that were created before an instant, newest first, as the index knows them: the rows of some may be gone already.
   *
   * @param after - `next` of the page before, `null` for the first.
   */
  listCreatedBefore(
    before: Date,
    options: { readonly limit: number; readonly after: string | null },
  ): Promise<{ readonly runs: readonly IndexedRun[]; readonly next: string | null }>;

  /** Removes all rows of a run, and its name from the index last: a call that was cut off is made again. */
  deleteRun(run: IndexedRun): Promise<void>;

  /**
   * Runs, newest first.
   *
   * @param options.createdUntil - the first page begins with what was created at that instant or before.
   */
  listRuns(options: {
    readonly load?: string;
    readonly limit: number;
    readonly after?: string | null;
    readonly createdUntil?: Date;
  }): Promise<RunPage>;
}
