export type FailureStatus = 'Permanent' | 'Transient' | 'Exhausted' | 'Unknown';

/** Why one source was not loaded, in the words that the service reports. */
export class IngestionError extends Error {
  readonly errorCode: string;
  readonly failureStatus: FailureStatus;

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
