import { randomUUID } from 'node:crypto';
import type { IngestionMessage } from './ingestion-message.ts';
import type { IngestionReport } from './status-reports.ts';

/** `Queued` until its batch is loaded. */
export type BlobStatus = 'Queued' | 'InProgress' | 'Succeeded' | 'Failed' | 'Skipped' | 'Canceled';

export interface TrackedBlob {
  readonly sourceId: string;
  /** Without its secrets. */
  readonly url: string;
  status: BlobStatus;
  readonly startTime: string;
  lastUpdated: string;
  errorCode: string;
  failureStatus: string;
  details: string;
}

export interface TrackedOperation {
  readonly id: string;
  readonly database: string;
  readonly table: string;
  readonly startTime: string;
  lastUpdated: string;
  readonly blobs: readonly TrackedBlob[];
}

/** Operations of the newest requests; older ones are forgotten. */
const MAX_OPERATIONS = 10_000;

/** What became of each blob of the ingestions that were queued by request, not by message. Forgotten at the end of the process. */
export class TrackedOperations {
  readonly #operations = new Map<string, TrackedOperation>();

  add(input: {
    readonly database: string;
    readonly table: string;
    readonly blobs: readonly { readonly sourceId: string; readonly url: string }[];
  }): TrackedOperation {
    const now = new Date().toISOString();
    const operation: TrackedOperation = {
      id: randomUUID(),
      database: input.database,
      table: input.table,
      startTime: now,
      lastUpdated: now,
      blobs: input.blobs.map((blob) => ({
        ...blob,
        status: 'Queued',
        startTime: now,
        lastUpdated: now,
        errorCode: '',
        failureStatus: '',
        details: '',
      })),
    };
    this.#operations.set(operation.id, operation);
    const [oldest] = this.#operations.keys();
    if (this.#operations.size > MAX_OPERATIONS && oldest !== undefined) this.#operations.delete(oldest);
    return operation;
  }

  find(id: string): TrackedOperation | undefined {
    return this.#operations.get(id);
  }

  forget(operation: TrackedOperation): void {
    this.#operations.delete(operation.id);
  }

  /** Called when a batch is about to load the message's blob. @returns false when that was canceled. */
  begin(message: IngestionMessage): boolean {
    const { operation, blob } = this.#locate(message);
    if (operation === undefined || blob === undefined) return true;
    if (blob.status === 'Canceled') return false;
    update(operation, blob, { status: 'InProgress' });
    return true;
  }

  report({ message, status, errorCode, failureStatus, details }: IngestionReport): void {
    const { operation, blob } = this.#locate(message);
    if (operation === undefined || blob === undefined) return;
    update(operation, blob, {
      status: status === 'PartiallySucceeded' ? 'Succeeded' : status,
      errorCode: errorCode ?? '',
      failureStatus: failureStatus ?? '',
      details,
    });
  }

  /** Cancels the blobs whose loading has not begun. */
  cancel(operation: TrackedOperation): void {
    for (const blob of operation.blobs) {
      if (blob.status === 'Queued') update(operation, blob, { status: 'Canceled' });
    }
  }

  #locate({ tracking }: IngestionMessage): { operation?: TrackedOperation; blob?: TrackedBlob } {
    const operation = tracking && this.#operations.get(tracking.operationId);
    const blob = operation?.blobs[tracking?.index ?? 0];
    return operation === undefined || blob === undefined ? {} : { operation, blob };
  }
}

function update(operation: TrackedOperation, blob: TrackedBlob, change: Partial<TrackedBlob>): void {
  Object.assign(blob, change);
  blob.lastUpdated = new Date().toISOString();
  operation.lastUpdated = blob.lastUpdated;
}

/** How many blobs are in each of these states. */
export function countBlobs({ blobs }: TrackedOperation, ...statuses: readonly BlobStatus[]): number {
  return blobs.filter((blob) => statuses.includes(blob.status)).length;
}
