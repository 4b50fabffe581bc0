import type { IngestionRequest } from '../../ports/ingestion.ts';
import { mappingKindOf } from './mapping-kind.ts';

/** Azure's queues take a text of 64 KiB. */
export const MAX_MESSAGE_CHARACTERS = 64 * 1024;

const REPORT_FAILURES_AND_SUCCESSES = 2;
const REPORT_TO_TABLE = 1;

export interface IngestionMessageInput {
  readonly request: IngestionRequest;
  /** URL of the status table with its SAS, as the cluster gave it. */
  readonly statusTableUrl: string;
  /** The cluster's identity token. */
  readonly authorizationContext: string;
  readonly applicationName: string;
  readonly createdAt: Date;
}

/**
 * The message that ADX's queued ingestion takes, with the fields of Microsoft's own SDK in their order. Everything in it
 * is made anew for each message: in the SDK, properties of one message could leak into the next.
 */
export function makeIngestionMessage(input: IngestionMessageInput): Readonly<Record<string, unknown>> {
  const { request } = input;
  return {
    // ADX writes the fate of the object into this entity; see `status-table.ts`.
    IngestionStatusInTable: {
      tableConnectionString: input.statusTableUrl,
      partitionKey: request.sourceId,
      rowKey: request.sourceId,
    },
    ApplicationForTracing: input.applicationName,
    ClientVersionForTracing: input.applicationName,
    BlobPath: request.url,
    RawDataSize: request.rawSizeBytes,
    DatabaseName: request.database,
    TableName: request.table,
    RetainBlobOnSuccess: true,
    FlushImmediately: false,
    IgnoreSizeLimit: false,
    ReportLevel: REPORT_FAILURES_AND_SUCCESSES,
    ReportMethod: REPORT_TO_TABLE,
    SourceMessageCreationTime: input.createdAt.toISOString(),
    Id: request.sourceId,
    AdditionalProperties: {
      authorizationContext: input.authorizationContext,
      ...(request.tags.length === 0 ? {} : { tags: JSON.stringify(request.tags) }),
      ...(request.mapping === null
        ? {}
        : {
            ingestionMappingReference: request.mapping,
            ingestionMappingType: mappingKindOf(request.format).message,
          }),
      format: request.format,
      ...(request.ignoreFirstRecord ? { ignoreFirstRecord: true } : {}),
    },
  };
}

/** The message as the queue's text: base64 of UTF-8 JSON. */
export function encodeMessage(message: Readonly<Record<string, unknown>>): string {
  return Buffer.from(JSON.stringify(message), 'utf8').toString('base64');
}
