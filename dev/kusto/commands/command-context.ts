import type { Faults } from '../faults.ts';
import type { Caller } from '../http/access.ts';
import type { BlobQueuer } from '../ingest/queue-blobs.ts';
import type { TrackedOperations } from '../ingest/tracked-operations.ts';
import type { KqlParser } from '../kql/parser.ts';
import type { BatchingPolicy } from '../storage/catalog.ts';
import type { IngestionResources } from '../storage/ingestion-resources.ts';
import type { Store } from '../storage/store.ts';
import type { Operations } from './operations.ts';

export interface CommandContext {
  readonly store: Store;
  readonly parser: KqlParser;
  readonly resources: IngestionResources;
  readonly faults: Faults;
  /** Database that the request names. */
  readonly database: string;
  readonly batchingDefaults: BatchingPolicy;
  /** Lifetime of the signatures in `.get ingestion resources`. */
  readonly resourceLifetimeMs: number;
  /** Commands that load data. */
  readonly operations: Operations;
  /** What was queued by request or command, and who queues it. */
  readonly tracked: TrackedOperations;
  readonly queuer: BlobQueuer;
  /** Folder for temporary files. */
  readonly folder: string;
  /** Aborted when the endpoint stops. */
  readonly signal: AbortSignal;
  /** Who asks. */
  readonly caller: Caller;
  /** What the client calls its request. */
  readonly clientRequestId: string;
}
