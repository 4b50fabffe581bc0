import type { ResultTable } from '../kql/run-query.ts';
import { KustoError } from '../kusto-error.ts';
import type { Store } from '../storage/store.ts';
import { type DownloadedSource, downloadSource, makeInlineSource } from './download.ts';
import { IngestionError, toKustoError } from './ingestion-error.ts';
import { readProperties } from './ingestion-message.ts';
import { loadSources } from './load-sources.ts';

/** Limit of the service for one request, decompressed. */
export const MAX_STREAM_BYTES = 4 * 1024 * 1024;

/** Formats that can be streamed, and whether they need a mapping that is stored. */
const formats: Readonly<Record<string, { readonly needsMapping: boolean }>> = {
  csv: { needsMapping: false },
  tsv: { needsMapping: false },
  scsv: { needsMapping: false },
  sohsv: { needsMapping: false },
  psv: { needsMapping: false },
  json: { needsMapping: true },
  multijson: { needsMapping: true },
  avro: { needsMapping: true },
};

export interface StreamRequest {
  readonly database: string;
  readonly table: string;
  readonly format: string;
  readonly mappingName: string | undefined;
  /** The data, or the URL to fetch it from. */
  readonly source: Buffer | string;
}

export interface StreamingServices {
  readonly store: Store;
  /** For what does not fit into memory. */
  readonly folder: string;
  /** True for blobs whose names lie about their compression. */
  ownsBlob(url: string): boolean;
  readonly signal: AbortSignal;
}

/**
 * Loads the records of one request at once: all of them, or none. No tags, no creation time, no validation policy.
 * @throws KustoError: policy, format, mapping, size (413), or what is wrong with the data.
 */
export async function ingestStream(
  request: StreamRequest,
  services: StreamingServices,
): Promise<{ answer: ResultTable; rowCount: number }> {
  const properties = readStreamProperties(request, services.store);
  try {
    const source = await openSource(request.source, services);
    try {
      const { outcomes } = await loadSources(services.store, {
        database: request.database,
        table: request.table,
        properties,
        sources: [
          {
            data: source,
            sourcePath:
              typeof request.source === 'string' ? (request.source.split(/[?;]/, 1)[0] ?? '') : 'stream',
          },
        ],
      });
      const [outcome] = outcomes;
      if (typeof outcome !== 'number') throw outcome;
      return { answer: makeAnswer(outcome), rowCount: outcome };
    } finally {
      await source.dispose();
    }
  } catch (error) {
    throw error instanceof IngestionError ? toKustoError(error) : error;
  }
}

function readStreamProperties(request: StreamRequest, store: Store): ReturnType<typeof readProperties> {
  const { catalog } = store;
  const database = catalog.requireDatabase(request.database);
  const table = catalog.requireTable(database.name, request.table);
  const policy = table.policies.streamingingestion ?? database.policies.streamingingestion;
  if (policy?.IsEnabled !== true) {
    throw new KustoError(
      'BadRequest_StreamingIngestionPolicyNotEnabled',
      `Streaming ingestion policy is not enabled for the table '${table.name}' in database '${database.name}'.`,
    );
  }
  const format = request.format.toLowerCase();
  const known = formats[format];
  if (known === undefined) {
    throw new KustoError(
      'BadRequest_FormatNotSupported',
      `'${request.format}' is no format for streaming; use one of ${Object.keys(formats).join(', ')}.`,
    );
  }
  if (known.needsMapping && request.mappingName === undefined) {
    throw new KustoError(
      // The service's own spelling.
      'BadRequest_MissingMappingtFailure',
      `Streaming of format '${format}' needs the name of a stored mapping.`,
    );
  }
  return readProperties(
    new Map<string, unknown>([
      ['format', format],
      ['ingestionmappingreference', request.mappingName],
    ]),
  );
}

async function openSource(source: Buffer | string, services: StreamingServices): Promise<DownloadedSource> {
  if (typeof source !== 'string') {
    if (source.length === 0) throw new IngestionError('Stream_NoDataToIngest', 'The stream holds no data.');
    return makeInlineSource(source);
  }
  return downloadSource({
    url: source,
    sniff: services.ownsBlob(source),
    treatGzAsUncompressed: false,
    zipPattern: undefined,
    maxBytes: MAX_STREAM_BYTES,
    folder: services.folder,
    signal: services.signal,
  });
}

function makeAnswer(rowCount: number): ResultTable {
  return {
    columns: [
      { name: 'ConsumedRecordsCount', type: 'long' },
      { name: 'UpdatePolicyStatus', type: 'string' },
      { name: 'UpdatePolicyFailureCode', type: 'string' },
      { name: 'UpdatePolicyFailureReason', type: 'string' },
    ],
    rows: [[rowCount, 'Inactive', 'Unknown', '']],
  };
}
