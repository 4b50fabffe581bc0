import type { LoadRunInput, OperationInput } from '../contracts/durable.ts';

/** The part of the Durable client that the product needs. */
export interface Orchestrations {
  /** Starts the orchestration of a run. `false` when an instance of this id is there already. */
  startRun(instanceId: string, input: LoadRunInput): Promise<boolean>;

  /** Starts the orchestration of an operation. `false` when an instance of this id is there already. */
  startOperation(instanceId: string, input: OperationInput): Promise<boolean>;
  /** Whether there is an instance of this id, and whether it is still at work. */
  status(instanceId: string): Promise<'absent' | 'active' | 'ended'>;

  /** Ends one instance; that it is absent or has ended is no error. Its children go on. */
  terminate(instanceId: string, reason: string): Promise<void>;

  /** Removes the history of instances that were created before the instant and have ended; Durable does not go by their end. @returns how many. */
  purge(createdBefore: Date): Promise<number>;
}
