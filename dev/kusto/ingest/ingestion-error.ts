import { KustoError } from '../kusto-error.ts';

export type FailureStatus = 'Permanent' | 'Transient' | 'Exhausted' | 'Unknown';

/** Why one source was not loaded, in the words that the service reports. */
export class IngestionError extends Error {
  readonly errorCode: string;
  readonly failureStatus: FailureStatus;
  /** Which source it was, where that is known; without secrets. */
  sourcePath: string | undefined;

  constructor(errorCode: string, details: string, failureStatus: FailureStatus = 'Permanent') {
    super(details);
    this.name = 'IngestionError';
    this.errorCode = errorCode;
    this.failureStatus = failureStatus;
  }
}

/** Cuts a URL at the first `?` or `;`, where signatures and keys begin. */
export function cutSecrets(url: string): string {
  return url.split(/[?;]/, 1)[0] ?? '';
}

/** The same as the answer of a request: a source that is too large is 413, what may pass is 500 and not permanent. */
export function toKustoError({ errorCode, message, failureStatus }: IngestionError): KustoError {
  const isTransient = failureStatus === 'Transient';
  const isTooLarge = errorCode === 'BadRequest_FileTooLarge' || errorCode === 'Stream_InputStreamTooLarge';
  return new KustoError(errorCode, message, {
    httpStatus: isTooLarge ? 413 : isTransient ? 500 : 400,
    permanent: !isTransient,
    type: isTransient
      ? 'Kusto.Data.Exceptions.KustoServiceException'
      : 'Kusto.Data.Exceptions.KustoBadRequestException',
  });
}
