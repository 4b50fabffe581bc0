import type { QueueClient } from '@azure/storage-queue';
import { KustoError } from '../kusto-error.ts';
import { cutSecrets } from './ingestion-error.ts';
import { MAX_MESSAGE_BYTES } from './ingestion-message.ts';
import type { TrackedOperations } from './tracked-operations.ts';

export interface BlobToQueue {
  readonly url: string;
  readonly sourceId: string;
  /** Undefined when it is not known: such a blob is a batch of its own. */
  readonly rawSizeBytes: number | undefined;
}

export interface QueueBlobsInput {
  readonly database: string;
  readonly table: string;
  readonly blobs: readonly BlobToQueue[];
  /** As they stand in a message's `AdditionalProperties`. */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly isTracked: boolean;
  readonly skipBatching: boolean;
  readonly deleteAfterDownload: boolean;
}

/** Puts messages into the ready queues in a client's place; from there on it is queued ingestion like any other. */
export class BlobQueuer {
  readonly #queues: readonly QueueClient[];
  readonly #operations: TrackedOperations;
  #turn = 0;

  constructor(queues: readonly QueueClient[], operations: TrackedOperations) {
    this.#queues = queues;
    this.#operations = operations;
  }

  /**
   * @returns the id of the operation, or `''` when it is not tracked.
   * @throws KustoError for a message that is too long, or when the storage does not take one: nothing is tracked then.
   */
  async queue(input: QueueBlobsInput): Promise<string> {
    const operation = input.isTracked
      ? this.#operations.add({
          database: input.database,
          table: input.table,
          blobs: input.blobs.map(({ sourceId, url }) => ({ sourceId, url: cutSecrets(url) })),
        })
      : undefined;
    try {
      const texts = input.blobs.map((blob, index) =>
        makeText(input, blob, operation && { operationId: operation.id, index }),
      );
      if (texts.some((text) => text.length > MAX_MESSAGE_BYTES))
        throw new KustoError('BadRequest_RequestTooLarge', 'URL and properties of a blob are above 48 KiB.');
      for (const text of texts) {
        this.#turn += 1;
        await this.#queues[this.#turn % this.#queues.length]?.sendMessage(text);
      }
    } catch (error) {
      if (operation !== undefined) this.#operations.forget(operation);
      if (error instanceof KustoError) throw error;
      throw new KustoError('General_InternalServerError', 'The ready queue did not take the message.', {
        httpStatus: 503,
        permanent: false,
      });
    }
    return operation?.id ?? '';
  }
}

function makeText(
  input: QueueBlobsInput,
  { url, sourceId, rawSizeBytes }: BlobToQueue,
  tracking: { readonly operationId: string; readonly index: number } | undefined,
): string {
  const message = {
    Id: sourceId,
    BlobPath: url,
    RawDataSize: rawSizeBytes ?? null,
    DatabaseName: input.database,
    TableName: input.table,
    RetainBlobOnSuccess: !input.deleteAfterDownload,
    FlushImmediately: input.skipBatching,
    // Whoever queues by request asks for the status; the queues of all applications hear nothing of it.
    ReportLevel: 1,
    ReportMethod: 0,
    SourceMessageCreationTime: new Date().toISOString(),
    Tracking: tracking,
    AdditionalProperties: input.properties,
  };
  return Buffer.from(JSON.stringify(message)).toString('base64');
}
