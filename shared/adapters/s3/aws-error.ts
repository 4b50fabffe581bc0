import { ADDRESS_NOT_ALLOWED } from '../../config/guarded-lookup.ts';
import { type ErrorCode, LoaderError } from '../../errors/loader-error.ts';

/**
 * S3's error codes by what they mean here; anything else is `sourceUnavailable`. A map: the code is the endpoint's text,
 * and may be the name of what every object inherits.
 */
const CODES: ReadonlyMap<string, ErrorCode> = new Map(
  Object.entries({
    NoSuchBucket: 'bucketNotFound',
    InvalidBucketName: 'bucketNotFound',
    PermanentRedirect: 'sourceWrongRegion',
    AuthorizationHeaderMalformed: 'sourceWrongRegion',
    IllegalLocationConstraintException: 'sourceWrongRegion',
    AccessDenied: 'sourceAccessDenied',
    AccountProblem: 'sourceAccessDenied',
    AllAccessDisabled: 'sourceAccessDenied',
    ExpiredToken: 'sourceAccessDenied',
    InvalidAccessKeyId: 'sourceAccessDenied',
    InvalidToken: 'sourceAccessDenied',
    RequestTimeTooSkewed: 'sourceAccessDenied',
    SignatureDoesNotMatch: 'sourceAccessDenied',
    TokenRefreshRequired: 'sourceAccessDenied',
    SlowDown: 'sourceThrottled',
    ThrottlingException: 'sourceThrottled',
    TooManyRequestsException: 'sourceThrottled',
    RequestLimitExceeded: 'sourceThrottled',
  } as const),
);

/** What to add for codes whose cause is not what the general remedy says. */
const HINTS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ExpiredToken: 'The temporary credentials have ended; renew them.',
    RequestTimeTooSkewed: 'The clock of this machine differs from S3 by more than 15 minutes.',
    SignatureDoesNotMatch: 'The secret access key does not belong to the access key.',
    InvalidAccessKeyId: 'Check the access key id, and the session token if there is one.',
  }),
);

interface AwsFailure {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** HTTP status of an answer that the AWS SDK turned into an error; `null` when there was no answer. */
export function statusOfAwsError(error: unknown): number | null {
  return (error as AwsFailure).$metadata?.httpStatusCode ?? null;
}

/**
 * What the AWS SDK threw, as a `LoaderError` that names the bucket.
 *
 * @param source.action - what was tried, to stand after "could not": `list keys`.
 * @param source.secrets - texts that are taken out of what the endpoint said. Default: none.
 * @param source.deniedHint - what to add where S3 says `AccessDenied`. Default: nothing.
 */
export function awsErrorOf(
  error: unknown,
  source: {
    readonly bucket: string;
    readonly region: string;
    readonly action: string;
    readonly secrets?: readonly string[];
    readonly deniedHint?: string;
  },
): LoaderError {
  if (error instanceof LoaderError) return error;
  const failure = error as AwsFailure;
  const status = statusOfAwsError(error);
  const actualRegion = failure.$response?.headers?.['x-amz-bucket-region'];
  const code = codeOf(failure, status, actualRegion !== undefined && actualRegion !== source.region);
  // The answer to a HEAD has no body, so that its code is only the status; connection errors carry Node's code.
  const name = [failure.code, failure.name, 'error'].find((text) => text !== undefined && text !== '');
  const said = [
    `${name}${status === null ? '' : `, HTTP ${status}`}`,
    failure.message === undefined || failure.message === failure.name ? '' : failure.message,
  ].filter((text) => text !== '');
  const where = `bucket "${source.bucket}" in region "${source.region}"`;
  const hint =
    code === 'sourceWrongRegion' && actualRegion !== undefined
      ? `The bucket is in "${actualRegion}".`
      : (HINTS.get(failure.name ?? '') ?? (failure.name === 'AccessDenied' ? source.deniedHint : null) ?? '');
  return new LoaderError(
    code,
    `Could not ${source.action} of ${where}: ${hide(said.join(': '), source.secrets ?? []).slice(0, 500)}${hint === '' ? '' : ` ${hint}`}`,
    actualRegion === undefined ? {} : { facts: { bucketRegion: actualRegion } },
  );
}

/** Takes secrets out of a text, as they are and as they stand in URLs. */
function hide(text: string, secrets: readonly string[]): string {
  return secrets
    .flatMap((secret) => [secret, encodeURIComponent(secret)])
    .reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
}

function codeOf(failure: AwsFailure, status: number | null, isElsewhere: boolean): ErrorCode {
  if (failure.code === ADDRESS_NOT_ALLOWED) return 'endpointNotAllowed';
  const known = CODES.get(failure.name ?? '');
  if (known !== undefined) return known;
  if (status === 301 || (status === 400 && isElsewhere)) return 'sourceWrongRegion';
  if (status === 401 || status === 403 || failure.name === 'CredentialsProviderError')
    return 'sourceAccessDenied';
  // S3 says SlowDown with 503; the answer to a HEAD has no more than the status.
  return status === 429 || status === 503 ? 'sourceThrottled' : 'sourceUnavailable';
}
