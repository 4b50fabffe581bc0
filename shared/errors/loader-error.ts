/** Who can put an error right: the person who runs the load, or whoever operates the services behind it. */
export type ErrorOwner = 'user' | 'system';

interface ErrorKind {
  readonly owner: ErrorOwner;
  /** `true` when the same attempt would fail again; such an error is never retried. */
  readonly permanent: boolean;
  /** Status of an HTTP answer that carries this error. */
  readonly httpStatus: number;
  readonly title: string;
  /** What to do next. */
  readonly remedy: string;
}

const user = (httpStatus: number, title: string, remedy: string): ErrorKind => ({
  owner: 'user',
  permanent: true,
  httpStatus,
  title,
  remedy,
});
const system = (permanent: boolean, httpStatus: number, title: string, remedy: string): ErrorKind => ({
  owner: 'system',
  permanent,
  httpStatus,
  title,
  remedy,
});

const HOW_OPEN_ONES_END =
  'One that was posted twice without a report stays open until its key changes, or a run with {"retryFailed": true} or a rerun with {"acceptDoubles": true} posts it once more, which may double its rows; one whose URL never ends is posted again by the latter only. Where the key holds nothing any more, a rerun with {"objects": "notIngested"} settles it, and {"acceptDoubles": true} beside it where its URL never ends.';

/** The closed list of error codes. docs/REFERENCE.md prints it; a test holds the two together. */
export const ERROR_KINDS = {
  // What a caller of the HTTP API can get wrong.
  invalidDefinition: user(
    400,
    'The load definition is not valid',
    'Correct the fields listed under `problems` and send it again.',
  ),
  invalidRequest: user(
    400,
    'The request is not valid',
    'Correct the fields listed under `problems` and send it again.',
  ),
  notSignedIn: user(
    401,
    'The caller has not signed in',
    'Send `Authorization: Bearer` with an access token of Entra for this app; see "Sign-in instead of keys" in docs/DEPLOY.md.',
  ),
  roleNeeded: user(
    403,
    'The caller lacks an app role',
    'Have the app role that `detail` names assigned to you in the Entra application of this app, and get a new token.',
  ),
  tooManyRequests: {
    ...user(
      429,
      'There were too many requests',
      'Ask less often; `Retry-After` says when to come again. The setting LOADER_HTTP_REQUESTS_PER_MINUTE is the limit of a process.',
    ),
    permanent: false,
  },
  loadNotFound: user(
    404,
    'There is no load of this name',
    'List the loads with GET /api/loads, or create it with PUT /api/loads/{name}.',
  ),
  runNotFound: user(404, 'There is no run of this id', 'List the runs with GET /api/runs.'),
  loadBusy: user(
    409,
    'The load is being run, undone or reset already',
    'Wait for the run named in `runId`, or cancel it with POST /api/runs/{runId}/cancel; or for the operation named in `operationId`, which POST /api/operations/{operationId}/cancel ends before it changes anything.',
  ),
  runEnded: user(
    409,
    'The run has ended',
    'Read its summary with GET /api/runs/{id}; start a new run to load more.',
  ),
  runCancelling: user(
    409,
    'The run is being cancelled',
    'Wait for its end; what it did not start is for a new run.',
  ),
  runSuspended: user(
    409,
    'The run is suspended',
    'Let it go on with POST /api/runs/{id}/resume, or end it with POST /api/runs/{id}/cancel.',
  ),
  loadChanged: user(
    409,
    'The bucket or the destination of the load has changed since that run',
    'Start a new run with POST /api/loads/{name}/runs: it loads what the new destination does not have.',
  ),
  operationNotFound: user(
    404,
    'There is no operation of this id',
    'Use the address that the request which began it was answered with.',
  ),
  operationEnded: user(
    409,
    'The operation has ended',
    'Read how with GET /api/operations/{id}; what it has changed stays.',
  ),
  operationUnderWay: user(
    409,
    'The operation may have changed rows or the ledger already, and is brought to its end',
    'Wait for its end with GET /api/operations/{id}. Then the next run loads the objects again.',
  ),
  operationGivenUp: user(
    409,
    'The operation could not go on for a long time, and was given up; its load is free',
    'Put right what the message says, then ask for the undo or the reset again.',
  ),
  undoUnsettled: user(
    409,
    'The fate of objects of the unit is open',
    `Wait until the load has settled them, then undo again. ${HOW_OPEN_ONES_END}`,
  ),
  resetUnsettled: user(
    409,
    'There are objects under the prefix whose fate is open',
    `Wait until the load has settled them, then reset again. ${HOW_OPEN_ONES_END}`,
  ),
  undoInexact: user(
    409,
    'The rows of the unit can not be told exactly',
    'Read the message, which also says whether rows may be gone already; drop the rows by hand where that is wanted.',
  ),
  undoNotPermitted: user(
    403,
    'Dropping rows needs Table Admin, which the app does not have',
    'Run the command in the message as an admin of the database, then undo again: .add table T admins (...).',
  ),
  idempotencyMismatch: user(
    422,
    'The Idempotency-Key was used for another request',
    'Use a new key for a new request.',
  ),
  requestTooLarge: user(
    413,
    'The body of the request is too large',
    'Send at most 256 KiB, or 4 MiB where a load is defined or its connections are tested. In place of a long list of keys select them by prefix, wildcard and suffix, or by an inventory.',
  ),
  unreadableEvent: user(
    400,
    'The message is not an S3 event notification',
    'Send S3, SNS or EventBridge notifications, and nothing else.',
  ),
  // Settings.
  invalidSettings: user(
    500,
    'The app settings are not valid',
    'Correct the settings listed under `problems` and restart the app.',
  ),
  credentialsNotFound: user(
    400,
    'The credentials that the load refers to are not configured',
    'Set S3_CREDENTIALS__<NAME>__ROLE_ARN and __AUDIENCE, or __ACCESS_KEY_ID and __SECRET_ACCESS_KEY, in the app settings.',
  ),
  credentialsEndTooSoon: user(
    400,
    'The credentials for the bucket end before ADX would have read the objects',
    'Put new temporary keys into the settings, use a lasting access key or a role, or raise SESSION_DURATION. Sessions of CHAINED_ROLE_ARN last an hour: lower the batching time of the table to 10 minutes or less.',
  ),
  endpointNotAllowed: user(
    403,
    'The load names an endpoint that the app may not reach',
    'Correct source.endpoint or destination.cluster, or have the endpoint added to LOADER_ALLOWED_ENDPOINTS.',
  ),
  // Amazon S3.
  bucketNotFound: user(
    400,
    'The bucket does not exist',
    'Check source.bucket, source.region and source.endpoint.',
  ),
  sourceAccessDenied: user(
    403,
    'Amazon S3 refused the credentials',
    'Check the access key and secret, and that its policy allows s3:ListBucket and s3:GetObject here; with source.pinVersions s3:ListBucketVersions and s3:GetObjectVersion, too.',
  ),
  roleNotAssumed: user(
    403,
    'AWS did not give the app its role',
    'Compare the trust policy of the role with the identity of the app: issuer, audience, object id (docs/DEPLOY.md).',
  ),
  sourceWrongRegion: user(
    400,
    'The bucket is in another region',
    'Set source.region to the region of the bucket.',
  ),
  sourceUnavailable: system(
    false,
    503,
    'Amazon S3 does not answer as it should',
    'It is tried again; if it lasts, check source.endpoint and the network.',
  ),
  sourceThrottled: system(
    false,
    503,
    'Amazon S3 asks for fewer requests',
    'Nothing to do: the run goes slower by itself and is faster again later. Spread keys over more prefixes if it goes on.',
  ),
  inventoryNotUsable: user(
    400,
    'The S3 Inventory list can not be used',
    'Check source.inventory; the list must be CSV or Parquet and have the fields Size, LastModifiedDate and ETag.',
  ),
  // Azure Data Explorer.
  clusterThrottled: system(
    false,
    503,
    'Azure Data Explorer asks for fewer requests',
    'Nothing to do: the run goes slower by itself and is faster again later. Look at the capacity of the cluster if it goes on.',
  ),
  clusterUnavailable: system(
    false,
    503,
    'Azure Data Explorer does not answer as it should',
    'It is tried again; if it lasts, check destination.cluster and that the cluster is running.',
  ),
  clusterAccessDenied: user(
    403,
    'Azure Data Explorer refused the identity',
    'Grant the app Database Ingestor and Viewer on the database.',
  ),
  databaseNotFound: user(400, 'The database does not exist', 'Check destination.database.'),
  tableNotFound: user(
    400,
    'The table does not exist',
    'Create the table, or check destination.table; names are case-sensitive.',
  ),
  mappingNotFound: user(
    400,
    'The ingestion mapping does not exist',
    'Create the mapping on the table, or check destination.mapping and format.type.',
  ),
  columnNotFound: user(
    400,
    'The column for the paths of the objects does not exist',
    'Check reconcile.sourcePathColumn: it must be a column of type string, which the ingestion mapping fills by SourceLocation.',
  ),
  // Fates of single objects.
  formatMismatch: user(
    400,
    'The object is not what the format says',
    'Check format.type, format.ignoreFirstRecord and the mapping against the object.',
  ),
  objectTooLarge: user(
    400,
    'The object is larger than Azure Data Explorer takes',
    'Split it into objects of at most 6 GB of raw data; 100 MB to 1 GB is best.',
  ),
  goneUnreported: user(
    404,
    'ADX never reported on the message of the object, which is gone by now: its rows may be there or not',
    'Look at the rows by the key. Where the object is uploaded again it is loaded again, and that run says so.',
  ),
  partlyIngested: user(
    409,
    'ADX has ingested a part of the object',
    'Look at what ADX says and at the rows by the key. Undo the run, or load the object again under another key.',
  ),
  ingestionSkipped: user(
    409,
    'ADX has skipped the object, as it found no data to ingest',
    'Check the object, format.type and the mapping.',
  ),
  objectGone: user(404, 'The object was deleted before it was loaded', 'Nothing, or upload it again.'),
  objectChanged: user(
    409,
    'The object was overwritten while it was loaded, or before the fate of its earlier version was known',
    'The rows may be those of either version; look at them by the key. Where each version counts upload to new keys; source.pinVersions, in a load of a bucket that keeps versions, makes certain which version was read.',
  ),
  versionUnproven: system(
    false,
    503,
    'The object was loaded, and nobody could see whether it was overwritten meanwhile',
    'Nothing where keys are not overwritten. Elsewhere look at the rows by the key; a new version is loaded beside them, and that run says so.',
  ),
  objectReplaced: system(
    false,
    409,
    'The object was deleted and uploaded again before it was loaded',
    'Nothing: it is tried once more in the same run, and then by the next one.',
  ),
  objectAccessDenied: user(
    403,
    'Azure Data Explorer may not read the object',
    'Check that the policy of the access key allows s3:GetObject (with source.pinVersions s3:GetObjectVersion), and that the cluster can reach the bucket.',
  ),
  urlExpired: system(
    false,
    503,
    'The presigned URL expired before the object was read',
    'Nothing to do: the next run signs it again. Raise LOADER_URL_LIFETIME if it happens often.',
  ),
  ingestionRejected: user(
    400,
    'Azure Data Explorer rejected the object',
    'Read the message; it is the answer of Azure Data Explorer.',
  ),
  ingestionExhausted: system(
    false,
    503,
    'Azure Data Explorer gave up after several attempts',
    'Start a run with {"retryFailed": true}.',
  ),
  ingestionThrottled: system(
    false,
    503,
    'Azure Data Explorer had no capacity to ingest the object',
    'Nothing to do: the run goes slower and posts it once more, and then the next run does. Look at the ingestion capacity of the cluster if it goes on.',
  ),
  queueRefused: system(
    false,
    503,
    'Every ingestion queue refused the message',
    'Nothing to do: the next run of the load tries the object again. Look at the health of the cluster if it goes on.',
  ),
  notPosted: system(
    false,
    503,
    'The object was not posted',
    'The next run takes it; the message says what was in the way.',
  ),
  noReport: system(
    false,
    504,
    'Azure Data Explorer has not reported the fate of the object',
    'The load settles it by itself in its next run, or a settle-only run after the fence.',
  ),
  // The app itself.
  stateUnavailable: system(
    false,
    503,
    'The storage of the loader does not answer as it should',
    'It is tried again; if it lasts, check AzureWebJobsStorage.',
  ),
  runAbandoned: system(
    true,
    500,
    'The run was given up after it was taken over too often',
    'Look for restarts of the host, then start a new run: it goes on where this one ended.',
  ),
  internal: system(true, 500, 'An error in the loader', 'Report it with the message and the run id.'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** One thing that is wrong with what a person wrote. */
export interface Problem {
  /** Where it stands, as a path with dots: `source.bucket`. */
  readonly field: string;
  /** What is wrong and what is allowed. */
  readonly message: string;
}

interface LoaderErrorOptions {
  readonly problems?: readonly Problem[];
  /** Further public facts, such as `runId`; they are part of an HTTP answer. */
  readonly facts?: Readonly<Record<string, string | number>>;
  readonly cause?: unknown;
}

/** The only error class of the loader. Its message and facts may be shown to anyone who may call the API. */
export class LoaderError extends Error {
  readonly code: ErrorCode;
  readonly problems: readonly Problem[];
  readonly facts: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, message: string, options: LoaderErrorOptions = {}) {
    super(clean(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LoaderError';
    this.code = code;
    this.problems = (options.problems ?? []).map(({ field, message: text }) => ({
      field: clean(field),
      message: clean(text),
    }));
    this.facts = Object.fromEntries(
      Object.entries(options.facts ?? {}).map(([name, value]) => [
        name,
        typeof value === 'string' ? clean(value) : value,
      ]),
    );
  }

  get permanent(): boolean {
    return ERROR_KINDS[this.code].permanent;
  }
}

/** Turns anything thrown into a `LoaderError`; what is not one already becomes `fallback`. */
export function toLoaderError(error: unknown, fallback: ErrorCode = 'internal'): LoaderError {
  if (error instanceof LoaderError) return error;
  return new LoaderError(fallback, error instanceof Error ? error.message : String(error), { cause: error });
}

/** Longest text of an error; what comes from outside may be of any length. */
const MAX_TEXT_CHARACTERS = 2000;

/** A text that may come from outside, as it may be shown and logged: without secrets, on one line, of bounded length. */
function clean(text: string): string {
  // First a cut that leaves room, so that a long text costs little; then what redacting has left.
  return (
    redact(text.slice(0, 4 * MAX_TEXT_CHARACTERS))
      // Control characters, and those that some readers of logs take for the end of a line.
      // oxlint-disable-next-line eslint/no-control-regex -- they are what is looked for
      .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
      .slice(0, MAX_TEXT_CHARACTERS)
      .toWellFormed()
  );
}

/**
 * Cuts what may hold a secret or a signature out of a text: the query, the `;`-part and the user of URLs
 * (presigned URLs, SAS, `;AwsCredentials=`), signature parameters, account keys, bearer and JSON web tokens.
 */
export function redact(text: string): string {
  return (
    text
      .replace(/(https?:\/\/)[^\s"<>/?#@]+@/gi, '$1***@')
      // A single quote may stand in a path: it does not end the address.
      .replace(/(https?:\/\/[^\s"<>?;]+)[?;][^\s"<>]*/gi, '$1')
      .replace(
        /\b(AccountKey|SharedAccessSignature|SharedAccessKey|AwsCredentials|sig|X-Amz-\w+(?:-\w+)*)(=|%3D)[^;&\s"']+/gi,
        '$1$2***',
      )
      .replace(/\b(Bearer)\s+[\w.~+/=-]+/gi, '$1 ***')
      // A JSON web token, wherever it stands: its head is an object in base64url.
      .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '***')
  );
}
