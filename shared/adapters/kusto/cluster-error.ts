import { ADDRESS_NOT_ALLOWED } from '../../config/guarded-lookup.ts';
import { type ErrorCode, LoaderError, redact } from '../../errors/loader-error.ts';
import { NETWORK_CODE, readSignInFailure } from '../../errors/sign-in-failure.ts';

/** What a failed request says, whichever of the SDK's error classes carried it. */
export interface ClusterFailure {
  /** `null` when there was no answer. */
  readonly status: number | null;
  readonly message: string;
  /** What the service did not find: `table`, `database`, `mapping`, or `entity` where it does not say. */
  readonly missing: string | null;
  /** `true` when the request may succeed if it is sent again. */
  readonly transient: boolean;
  /** The request came too soon after others. */
  readonly throttled: boolean;
  /** The identity could not be established or lacks a permission. */
  readonly denied: boolean;
  /** The cluster's name leads to an address out of reach. */
  readonly outOfReach: boolean;
}

interface KustoErrorBody {
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly '@message'?: string;
    readonly '@type'?: string;
    readonly '@permanent'?: boolean;
  };
}

interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly statusCode?: number;
  readonly status?: number;
  readonly errorCode?: string;
  readonly cause?: SdkError;
  readonly response?: { readonly status?: number; readonly data?: KustoErrorBody | string };
  /** Of `ThrottlingError` and `KustoAuthenticationError`. */
  readonly inner?: SdkError;
}

/** The SDK's words for any failure of a process's first request, for the cluster's metadata; a 404 is none to it. */
const CLOUD_INFO_FAILED = /^Failed to get cloud info/;

/** What the SDK's resource manager says after it has waited and asked again four times; the status is lost in it. */
const THROTTLED = /the request was throttled/;

export function readClusterFailure(thrown: unknown): ClusterFailure {
  const outer = thrown as SdkError;
  if (outer.name === 'KustoAuthenticationError') return readSignInOf(outer);
  const error = outer.inner ?? outer;
  const status = error.response?.status ?? null;
  const data = error.response?.data;
  const body = typeof data === 'object' && data !== null ? data.error : undefined;
  const text = body?.['@message'] ?? body?.message ?? error.message ?? String(thrown);
  const missing = readMissing(text, `${body?.code} ${body?.['@type']}`);
  const isThrottled = status === 429 || THROTTLED.test(text);
  const isNetwork = status === null && (NETWORK_CODE.test(error.code ?? '') || error.name === 'TimeoutError');
  return {
    status,
    message: redact(`${status === null ? (error.code ?? '') : `HTTP ${status}`} ${text}`.trim()).slice(
      0,
      500,
    ),
    missing,
    throttled: isThrottled,
    transient:
      status === 429 ||
      isNetwork ||
      CLOUD_INFO_FAILED.test(text) ||
      (status !== null && status >= 500 && body?.['@permanent'] !== true),
    denied: status === 401 || status === 403 || /currently not trusted/.test(text),
    outOfReach: error.code === ADDRESS_NOT_ALLOWED,
  };
}

function readMissing(text: string, code: string): string | null {
  const kind = /Entity(?: ID)? '[^]*' of kind '(\w+)' was not found/i.exec(text)?.[1]?.toLowerCase();
  if (kind !== undefined) return kind;
  const isMissing = /(not|n't) (be found|found|exist)/i.test(text);
  if (isMissing && /^database\b/i.test(text)) return 'database';
  if (isMissing && /\bmapping\b/i.test(text)) return 'mapping';
  return /EntityNotFound/i.test(code) ? 'entity' : null;
}

function readSignInOf(error: SdkError): ClusterFailure {
  const { message, transient } = readSignInFailure({ message: error.message, cause: error.inner });
  return {
    status: null,
    message: `Signing in failed: ${message}`.slice(0, 500),
    missing: null,
    transient,
    throttled: false,
    denied: !transient,
    outOfReach: false,
  };
}

/** @param action - what was tried, to stand after "could not". */
export function clusterErrorOf(thrown: unknown, cluster: string, action: string): LoaderError {
  if (thrown instanceof LoaderError) return thrown;
  const failure = readClusterFailure(thrown);
  return new LoaderError(codeOf(failure), `Could not ${action} of ${cluster}: ${failure.message}`);
}

function codeOf({ outOfReach, denied, missing, throttled }: ClusterFailure): ErrorCode {
  if (outOfReach) return 'endpointNotAllowed';
  if (denied) return 'clusterAccessDenied';
  if (missing === 'database') return 'databaseNotFound';
  if (missing === 'table') return 'tableNotFound';
  return throttled ? 'clusterThrottled' : 'clusterUnavailable';
}
