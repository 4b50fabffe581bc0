import type { OperationRequest } from '../domain/operation.ts';
import type { RunRequest } from '../domain/run-record.ts';

/** The lock of a load: held by its one run, or by an operation. */
export interface Lock {
  readonly load: string;
  readonly request: RunRequest | OperationRequest;
  /** ISO 8601, UTC. */
  readonly acquiredAt: string;
}

/** Objects that a run left unknown; the load's next run settles them first. */
export interface Unsettled {
  readonly load: string;
  readonly generation: number;
  readonly runId: string;
  /** Path of the NDJSON document that lists the objects. */
  readonly manifest: string;
  readonly objects: number;
  /**
   * From when on a run is worth starting for them: when the first of them may be posted again, or a while after a run
   * that could not settle them. ISO 8601, UTC; `null` when none of them ever may: then other runs look at them.
   */
  readonly lookAt: string | null;
}

/** An object that an event announced, waiting for a run. */
export interface PendingObject {
  readonly key: string;
  readonly etag: string;
}

/**
 * Names the pending list of a load. It is about keys of a bucket: correcting the destination of a load, which begins a
 * new ledger, keeps what waits.
 */
export interface PendingList {
  readonly load: string;
  readonly bucket: string;
}

/** Where a schedule stands. Times are ISO 8601, UTC. */
export interface ScheduleState {
  /** When the schedule that this is about was set. */
  readonly setAt: string;
  /** Up to when due instants were looked for. */
  readonly checkedUntil: string;
  /** An instant that fell due while the load was locked; started when the lock is free. */
  readonly waiting: string | null;
  readonly etag: string | null;
}

/** Small durable facts about loads: lock, schedule, pending events, what is unsettled, idempotency keys. */
export interface LoadState {
  /** Takes the lock, or tells who holds it. */
  acquireLock(
    lock: Lock,
  ): Promise<{ readonly acquired: true } | { readonly acquired: false; readonly heldBy: Lock }>;
  readLock(load: string): Promise<Lock | null>;
  /** Frees the lock if this run, or the operation of this id, holds it. */
  releaseLock(load: string, runId: string): Promise<void>;
  listLocks(): Promise<readonly Lock[]>;

  /** The run id for an idempotency key of a load: the given one if the key is new, else the first one. */
  claimIdempotencyKey(input: {
    readonly load: string;
    readonly idempotencyKey: string;
    readonly runId: string;
    /** Hash of the request; another request under the same key is told by it. */
    readonly fingerprint: string;
  }): Promise<{ readonly runId: string; readonly fingerprint: string; readonly isNew: boolean }>;
  /** Gives an idempotency key back whose run was not started. */
  dropIdempotencyKey(load: string, idempotencyKey: string): Promise<void>;
  /** Forgets the idempotency keys of a load whose runs are so. @returns how many. */
  dropIdempotencyKeys(load: string, isForgotten: (runId: string) => boolean): Promise<number>;

  /**
   * Removes schedule, unsettled lists and idempotency keys of a load. What is written since they were read stays.
   *
   * @param isGone - asked when they were read: whether the load is one that there is not any more. Otherwise all stays.
   */
  forgetLoad(load: string, isGone: () => Promise<boolean>): Promise<void>;

  readSchedule(load: string): Promise<ScheduleState | null>;
  /** `false` when somebody else wrote it in between. */
  writeSchedule(load: string, state: ScheduleState): Promise<boolean>;

  addUnsettled(unsettled: Unsettled): Promise<void>;
  listUnsettled(load: string): Promise<readonly Unsettled[]>;
  removeUnsettled(unsettled: Pick<Unsettled, 'load' | 'runId'>): Promise<void>;

  /** Adds objects to the pending list of a load; adding one again renews its ETag. */
  addPending(list: PendingList, keys: readonly string[]): Promise<void>;
  /** Pending objects in ascending order of key, after the given key. */
  readPending(
    list: PendingList,
    options: { readonly afterKey: string | null; readonly limit: number },
  ): Promise<readonly PendingObject[]>;
  /** Removes those that were not renewed since they were read. */
  removePending(list: PendingList, pending: readonly PendingObject[]): Promise<void>;
}
