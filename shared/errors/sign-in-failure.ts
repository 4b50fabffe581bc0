import { redact } from './loader-error.ts';

/** As far as the identity library's errors are looked at. */
interface SignInError {
  readonly message?: string;
  readonly code?: string;
  readonly statusCode?: number;
  readonly status?: number;
  readonly errorCode?: string;
  readonly cause?: SignInError;
}

export interface SignInFailure {
  /** One line, without secrets. */
  readonly message: string;
  /** `true` when the identity service was unreachable or busy; its refusals are permanent. */
  readonly transient: boolean;
}

/** Node's and Axios's codes for connections that failed. */
export const NETWORK_CODE = /^(E[A-Z_]{4,}|ERR_NETWORK)$/;

/** What the identity library calls an identity service that it could not reach. */
const UNREACHABLE: ReadonlySet<string> = new Set(['network_error', 'endpoints_resolution_error']);

/**
 * What came of asking for a token. What happened is some errors further in: the library wraps each in one that has
 * neither status nor code.
 */
export function readSignInFailure(error: unknown): SignInFailure {
  let transient = false;
  let cause = error as SignInError | undefined;
  for (let depth = 0; depth < 6 && cause !== undefined && cause !== null; depth += 1) {
    const status = cause.statusCode ?? cause.status;
    transient ||=
      status === 429 ||
      (status !== undefined && status >= 500) ||
      NETWORK_CODE.test(cause.code ?? '') ||
      UNREACHABLE.has(cause.errorCode ?? '');
    cause = cause.cause;
  }
  const [message = ''] = redact((error as SignInError).message ?? '').split('\n');
  return { message: message.slice(0, 500), transient };
}
