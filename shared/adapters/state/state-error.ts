import { LoaderError, redact } from '../../errors/loader-error.ts';

/** What an error of a storage SDK says of itself. */
export interface StorageFault {
  /** `null` when no answer came. */
  readonly status: number | null;
  /** Error code of the service, such as `EntityAlreadyExists`, or of the network, such as `ECONNREFUSED`. */
  readonly code: string | null;
}

interface SdkError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly details?: { readonly odataError?: { readonly code?: string }; readonly errorCode?: string };
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

export function storageFault(error: unknown): StorageFault {
  if (typeof error !== 'object' || error === null) return { status: null, code: null };
  const { statusCode, code, details, response } = error as SdkError;
  return {
    status: statusCode ?? null,
    code:
      details?.odataError?.code ??
      details?.errorCode ??
      response?.headers?.get('x-ms-error-code') ??
      code ??
      null,
  };
}

/**
 * The error of the loader for an error of a storage SDK. The SDK's own error holds the request with its
 * authorization, so only its text, without secrets, goes along as the cause.
 *
 * @param what what was tried, on which table or document: `read the table s3adxledger`.
 */
export function stateError(what: string, error: unknown): LoaderError {
  if (error instanceof LoaderError) return error;
  const { status, code } = storageFault(error);
  const answer = [status === null ? null : `HTTP ${status}`, code].filter((part) => part !== null).join(' ');
  return new LoaderError(
    'stateUnavailable',
    `The loader could not ${what}${answer === '' ? '' : ` (${answer})`}.`,
    {
      cause: withoutRequest(error),
    },
  );
}

function withoutRequest(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(redact(String(error)));
  const copy = new Error(redact(error.message));
  copy.name = error.name;
  if (error.stack !== undefined) copy.stack = redact(error.stack);
  return copy;
}
