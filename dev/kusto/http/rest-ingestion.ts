import { randomUUID } from 'node:crypto';
import type { BlobQueuer, BlobToQueue } from '../ingest/queue-blobs.ts';
import { countBlobs, type TrackedOperation, type TrackedOperations } from '../ingest/tracked-operations.ts';
import { KustoError } from '../kusto-error.ts';
import type { IngestionResources } from '../storage/ingestion-resources.ts';

const MAX_BLOBS = 20;
const MAX_DATA_BYTES = 6 * 1024 ** 3;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface RestIngestionServices {
  readonly queuer: BlobQueuer;
  readonly operations: TrackedOperations;
  readonly resources: IngestionResources;
  /** Lifetime of the signatures in the configuration; negative for signatures that have expired. */
  readonly resourceLifetimeMs: number;
}

/** `GET /v1/rest/ingestion/configuration`. */
export function describeConfiguration({ resources, resourceLifetimeMs }: RestIngestionServices): object {
  const containers = resources.listRows(resourceLifetimeMs).filter((row) => row.kind === 'TempStorage');
  return {
    containerSettings: {
      containers: containers.map(({ url }) => ({ path: url })),
      lakeFolders: [],
      refreshInterval: '01:00:00',
      preferredUploadMethod: 'Storage',
    },
    ingestionSettings: {
      maxBlobsPerBatch: MAX_BLOBS,
      maxDataSize: MAX_DATA_BYTES,
      preferredIngestionMethod: 'REST',
    },
  };
}

export interface Target {
  readonly database: string;
  readonly table: string;
}

/** `POST /v1/rest/ingestion/queued/{database}/{table}`. @throws KustoError 400 naming the field. */
export async function queueByRequest(
  target: Target,
  body: Readonly<Record<string, unknown>>,
  { queuer }: RestIngestionServices,
): Promise<{ ingestionOperationId: string }> {
  const given = body['properties'] ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) throw invalid("'properties' must be an object.");
  const { enableTracking, skipBatching, deleteAfterDownload, ...properties } = given as Record<
    string,
    unknown
  >;
  if (typeof properties['format'] !== 'string' || properties['format'] === '')
    throw invalid("'properties.format' must name a format.");
  return {
    ingestionOperationId: await queuer.queue({
      ...target,
      blobs: readBlobs(body['blobs']),
      properties,
      isTracked: enableTracking === true,
      skipBatching: skipBatching === true,
      deleteAfterDownload: deleteAfterDownload === true,
    }),
  };
}

function readBlobs(value: unknown): BlobToQueue[] {
  if (!Array.isArray(value) || value.length === 0)
    throw invalid("'blobs' must be an array with at least one blob.");
  if (value.length > MAX_BLOBS)
    throw invalid(`'blobs' has ${value.length} entries; at most ${MAX_BLOBS} are allowed.`);
  return value.map((entry: unknown, index) => {
    const { url, sourceId, rawSize } = (entry ?? {}) as {
      url?: unknown;
      sourceId?: unknown;
      rawSize?: unknown;
    };
    if (typeof url !== 'string' || url === '') throw invalid(`'blobs[${index}].url' must be a URL.`);
    if (sourceId !== undefined && (typeof sourceId !== 'string' || !GUID.test(sourceId)))
      throw invalid(`'blobs[${index}].sourceId' must be a GUID.`);
    return {
      url,
      sourceId: sourceId ?? randomUUID(),
      rawSizeBytes: typeof rawSize === 'number' && rawSize > 0 ? rawSize : undefined,
    };
  });
}

function invalid(message: string): KustoError {
  return new KustoError('BadRequest_InvalidRequest', message);
}

/** `GET /v1/rest/ingestion/queued/{database}/{table}/{id}[?details=true]`. @throws KustoError 404. */
export function describeOperation(
  target: Target,
  id: string,
  withDetails: boolean,
  { operations }: RestIngestionServices,
): object {
  const operation = operations.find(id);
  if (operation === undefined || !isFor(operation, target)) {
    throw new KustoError('NotFound', `Ingestion operation '${id}' was not found.`, { httpStatus: 404 });
  }
  return {
    startTime: operation.startTime,
    lastUpdated: operation.lastUpdated,
    status: {
      Succeeded: countBlobs(operation, 'Succeeded', 'Skipped'),
      Failed: countBlobs(operation, 'Failed'),
      InProgress: countBlobs(operation, 'Queued', 'InProgress'),
      Canceled: countBlobs(operation, 'Canceled'),
    },
    ...(withDetails ? { details: operation.blobs } : {}),
  };
}

function isFor(operation: TrackedOperation, { database, table }: Target): boolean {
  return operation.database.toLowerCase() === database.toLowerCase() && operation.table === table;
}
