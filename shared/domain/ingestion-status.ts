import type { ErrorCode } from '../errors/loader-error.ts';
import { CLOCK_DIFFERENCE_MS } from './clock-difference.ts';

/** What ADX wrote into the status entity of a message. */
export interface IngestionStatus {
  /** `Pending`, `Queued`, `Succeeded`, `Failed`, `Skipped`, `PartiallySucceeded`; others are possible. */
  readonly status: string;
  /** ADX's error code, such as `BadRequest_TableNotExist`; `null` when there is none. */
  readonly errorCode: string | null;
  /** `Permanent`, `Transient`, `Exhausted`, `Unknown` or `null`. */
  readonly failureStatus: string | null;
  readonly details: string | null;
  /** When ADX wrote it; ISO 8601, UTC. */
  readonly updatedAt: string | null;
}

/** What a status means for the object. */
export type SettledAs =
  | { readonly settled: 'no' }
  | { readonly settled: 'ingested' }
  | {
      readonly settled: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      /** Some of the object's rows may be there all the same. */
      readonly mayHaveRows: boolean;
    };

/** ADX's error codes by what they mean for an object. The codes are those of ADX's ingestion error reference. */
const CODES: ReadonlyMap<string, ErrorCode> = new Map(
  Object.entries<ErrorCode>({
    Stream_WrongNumberOfFields: 'formatMismatch',
    Stream_ClosingQuoteMissing: 'formatMismatch',
    BadRequest_InvalidBlob: 'formatMismatch',
    BadRequest_EmptyArchive: 'formatMismatch',
    BadRequest_InvalidArchive: 'formatMismatch',
    BadRequest_NoRecordsOrWrongFormat: 'formatMismatch',
    BadRequest_EmptyBlob: 'formatMismatch',
    Stream_NoDataToIngest: 'formatMismatch',
    BadRequest_FormatNotSupported: 'formatMismatch',
    BadRequest_InvalidMapping: 'mappingNotFound',
    BadRequest_InvalidMappingReference: 'mappingNotFound',
    BadRequest_MappingReferenceWasNotFound: 'mappingNotFound',
    BadRequest_EmptyMappingReference: 'mappingNotFound',
    BadRequest_MissingMappingFailure: 'mappingNotFound',
    BadRequest_MissingMappingtFailure: 'mappingNotFound', // ADX's own spelling
    BadRequest_InconsistentMapping: 'mappingNotFound',
    BadRequest_DuplicateMapping: 'mappingNotFound',
    BadRequest_TableNotExist: 'tableNotFound',
    BadRequest_DatabaseNotExist: 'databaseNotFound',
    BadRequest_TableAccessDenied: 'clusterAccessDenied',
    BadRequest_DatabaseAccessDenied: 'clusterAccessDenied',
    BadRequest_InvalidAuthentication: 'clusterAccessDenied',
    BadRequest_InvalidKustoIdentityToken: 'clusterAccessDenied',
    Stream_InputStreamTooLarge: 'objectTooLarge',
    BadRequest_FileTooLarge: 'objectTooLarge',
    Download_SourceNotFound: 'objectGone',
    Download_NotTransient: 'objectAccessDenied',
    General_RetryAttemptsExceeded: 'ingestionExhausted',
    // Those that ADX's reference calls transient: nothing is wrong with the object, whatever the failure status says.
    General_InternalServerError: 'ingestionExhausted',
    General_TransientSchemaMismatch: 'ingestionExhausted',
    Download_UnknownError: 'ingestionExhausted',
    Download_TransientNameResolutionFailure: 'ingestionExhausted',
    Timeout: 'ingestionExhausted',
    OutOfMemory: 'ingestionExhausted',
    Unknown: 'ingestionExhausted',
    General_ThrottledIngestion: 'ingestionThrottled',
  }),
);

/**
 * The one table from ADX's answers to outcomes.
 *
 * @param urlExpiresAt - end of the presigned URL's life, `null` for none: `Download_Forbidden` from then on means an expired URL,
 *   before that ADX may not read the object. As the clocks of S3 and ADX may differ, a little before counts as from then on:
 *   the object is then posted once more, while a refusal would be for good.
 */
export function settleStatus(status: IngestionStatus | null, urlExpiresAt: Date | null): SettledAs {
  if (status === null) return { settled: 'no' };
  switch (status.status) {
    case 'Succeeded':
      return { settled: 'ingested' };
    // As ADX documents them: "part of the data was successfully ingested, while some failed"; "no data was supplied". What
    // `ingestIfNotExists` skips would be there already, but no message of this app carries it.
    case 'PartiallySucceeded':
      return { settled: 'failed', code: 'partlyIngested', message: saidBy(status), mayHaveRows: true };
    case 'Skipped':
      return { settled: 'failed', code: 'ingestionSkipped', message: saidBy(status), mayHaveRows: false };
    case 'Failed':
      return settleFailure(status, urlExpiresAt);
    default:
      return { settled: 'no' };
  }
}

/** Whether ADX says that it had no capacity for the object, for good or while it goes on trying. */
export function saysThrottled({ status, errorCode }: IngestionStatus): boolean {
  return status === 'Failed' && CODES.get(errorCode ?? '') === 'ingestionThrottled';
}

function settleFailure(status: IngestionStatus, urlExpiresAt: Date | null): SettledAs {
  const said = status.errorCode ?? '';
  // A second copy of the message in one batch; the first one is being ingested and decides.
  if (said === 'BlobAlreadyReceived_BlobAlreadyFoundInBatch') return { settled: 'ingested' };
  // ADX goes on trying by itself; its last word will be Permanent or Exhausted.
  if (status.failureStatus === 'Transient') return { settled: 'no' };
  const message = saidBy(status);
  if (said === 'Download_Forbidden') {
    const failedAt = status.updatedAt === null ? Number.NaN : Date.parse(status.updatedAt);
    const expired = urlExpiresAt !== null && failedAt >= urlExpiresAt.getTime() - CLOCK_DIFFERENCE_MS;
    return {
      settled: 'failed',
      code: expired ? 'urlExpired' : 'objectAccessDenied',
      message,
      mayHaveRows: false,
    };
  }
  const exhausted = status.failureStatus === 'Exhausted';
  return {
    settled: 'failed',
    code: CODES.get(said) ?? (exhausted ? 'ingestionExhausted' : 'ingestionRejected'),
    message,
    mayHaveRows: false,
  };
}

function saidBy({ status, errorCode, details }: IngestionStatus): string {
  const said = [errorCode, details].filter((text) => text !== null && text !== '');
  return (said.length === 0 ? status : said.join(': ')).slice(0, 500);
}
