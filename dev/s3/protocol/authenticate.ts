import type { LocalCredentials } from '../credentials.ts';
import { invalidArgument, notImplemented, S3Error } from './errors.ts';
import type { QueryParameter, RequestTarget } from './request-target.ts';
import {
  type AwsService,
  buildCanonicalRequest,
  buildStringToSign,
  type CredentialScope,
  deriveSigningKey,
  equalSignatures,
  sign,
  signatureAlgorithm,
} from './sigv4.ts';

/** How far a client's clock may be off: 15 minutes. */
const maxSkewMs = 15 * 60_000;
/** A presigned URL lives a week at most. */
const maxExpiresSeconds = 604_800;
const unsignedPayload = 'UNSIGNED-PAYLOAD';

/** What the request says about its body. */
export type PayloadDeclaration =
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'literal'; readonly sha256: string }
  | { readonly kind: 'chunked'; readonly signed: boolean; readonly trailer: boolean };

/** What is needed to check the signatures of chunks, which continue the request's own. */
export interface ChunkSigning {
  readonly signingKey: Buffer;
  readonly scope: CredentialScope;
  readonly amzDate: string;
  readonly seedSignature: string;
}

export type Authentication =
  | { readonly kind: 'anonymous'; readonly payload: PayloadDeclaration }
  | {
      readonly kind: 'signed';
      readonly by: 'header' | 'presigned';
      readonly accessKeyId: string;
      readonly payload: PayloadDeclaration;
      readonly chunkSigning: ChunkSigning;
    };

interface SignedRequest {
  readonly by: 'header' | 'presigned';
  readonly credential: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly amzDate: string;
  readonly sessionToken: string | undefined;
  readonly expiresSeconds: number | null;
}

/** Everything that a signature is checked against. */
export interface AuthenticationInput {
  readonly method: string;
  readonly target: RequestTarget;
  /** Lower-case names, repeated headers joined with commas. */
  readonly headers: ReadonlyMap<string, string>;
  readonly credentials: readonly LocalCredentials[];
  readonly region: string;
  readonly now: Date;
  /** Default `s3`. */
  readonly service?: AwsService;
  /** Of the body, where the request need not say it: all services but S3 hash what they get. */
  readonly bodySha256?: string;
}

/**
 * Checks who sent a request, by Authorization header or presigned query (Signature Version 4).
 *
 * @returns `anonymous` if nothing claims an identity; whether that is enough is the caller's decision
 * @throws S3Error with the code and status that S3 uses for each way to get it wrong
 */
export function authenticate(input: AuthenticationInput): Authentication {
  const signed = readClaim(input);
  if (signed === null) {
    return {
      kind: 'anonymous',
      payload: readPayload(input.headers.get('x-amz-content-sha256') ?? unsignedPayload),
    };
  }
  const payloadHash = input.bodySha256 ?? payloadHashOf(input, signed);
  const payload = readPayload(payloadHash);
  const { accessKeyId, scope } = readCredential(signed, input.region, input.service ?? 's3');
  refuseUnsignedHeaders(input.headers, signed.signedHeaders);
  const found = input.credentials.find((candidate) => candidate.accessKeyId === accessKeyId);
  if (found === undefined) {
    throw new S3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: accessKeyId } });
  }
  checkTime(signed, input.now);
  const canonicalRequest = buildCanonicalRequest({
    method: input.method,
    path: input.target.path,
    query: input.target.query,
    headers: input.headers,
    signedHeaders: signed.signedHeaders,
    payloadHash,
  });
  const stringToSign = buildStringToSign(canonicalRequest, signed.amzDate, scope);
  const signingKey = deriveSigningKey(found.secretAccessKey, scope);
  if (!equalSignatures(sign(signingKey, stringToSign), signed.signature)) {
    throw new S3Error('SignatureDoesNotMatch', {
      details: {
        AWSAccessKeyId: accessKeyId,
        StringToSign: stringToSign,
        SignatureProvided: signed.signature,
        StringToSignBytes: spellBytes(stringToSign),
        CanonicalRequest: canonicalRequest,
        CanonicalRequestBytes: spellBytes(canonicalRequest),
      },
    });
  }
  checkSessionToken(found, signed.sessionToken, input.now);
  return {
    kind: 'signed',
    by: signed.by,
    accessKeyId,
    payload,
    chunkSigning: { signingKey, scope, amzDate: signed.amzDate, seedSignature: signed.signature },
  };
}

function readClaim(input: AuthenticationInput): SignedRequest | null {
  const authorization = input.headers.get('authorization');
  const names = new Set(input.target.query.map(([name]) => name));
  const presigned = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature'].some((name) =>
    names.has(name),
  );
  const oldPresigned = names.has('Signature') && names.has('AWSAccessKeyId');
  if (authorization !== undefined && (presigned || oldPresigned)) {
    throw invalidArgument(
      'Authorization',
      'both header and query',
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
    );
  }
  if (oldPresigned || authorization?.startsWith('AWS ') === true) {
    throw new S3Error('InvalidRequest', {
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    });
  }
  if (authorization !== undefined) return readAuthorizationHeader(authorization, input.headers);
  return presigned ? readPresignedQuery(input.target.query) : null;
}

function readAuthorizationHeader(authorization: string, headers: ReadonlyMap<string, string>): SignedRequest {
  const [algorithm = '', ...rest] = authorization.trim().split(/\s+/);
  if (algorithm === 'AWS4-ECDSA-P256-SHA256') throw notImplemented('Signature Version 4A');
  if (algorithm !== signatureAlgorithm) {
    throw new S3Error('InvalidArgument', {
      message: 'Unsupported Authorization Type',
      details: { ArgumentName: 'Authorization' },
    });
  }
  const fields = new Map(
    rest
      .join('')
      .split(',')
      .map((field): [string, string] => {
        const equals = field.indexOf('=');
        return [field.slice(0, equals), field.slice(equals + 1)];
      }),
  );
  const credential = fields.get('Credential');
  const signedHeaders = fields.get('SignedHeaders');
  const signature = fields.get('Signature');
  if (!credential || !signedHeaders || !signature) {
    throw new S3Error('AuthorizationHeaderMalformed', {
      message:
        'The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature.',
    });
  }
  const amzDate = headers.get('x-amz-date') ?? formatAmzDate(headers.get('date'));
  if (amzDate === undefined || parseAmzDate(amzDate) === null) {
    throw new S3Error('AccessDenied', {
      message: 'AWS authentication requires a valid Date or x-amz-date header',
    });
  }
  return {
    by: 'header',
    credential,
    signedHeaders: signedHeaders.split(';'),
    signature,
    amzDate,
    sessionToken: headers.get('x-amz-security-token'),
    expiresSeconds: null,
  };
}

function readPresignedQuery(query: readonly QueryParameter[]): SignedRequest {
  const value = (name: string): string | undefined => {
    const values = query.filter(([candidate]) => candidate === name);
    return values.length === 1 ? values[0]?.[1] : undefined;
  };
  const [algorithm, credential, signature, amzDate, signedHeaders, expires] = [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Signature',
    'X-Amz-Date',
    'X-Amz-SignedHeaders',
    'X-Amz-Expires',
  ].map(value);
  if (!algorithm || !credential || !signature || !amzDate || !signedHeaders || !expires) {
    throw queryError(
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    );
  }
  if (algorithm === 'AWS4-ECDSA-P256-SHA256') throw notImplemented('Signature Version 4A');
  if (algorithm !== signatureAlgorithm) throw queryError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  if (parseAmzDate(amzDate) === null) {
    throw queryError(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`);
  }
  if (!/^-?\d+$/.test(expires)) throw queryError('X-Amz-Expires should be a number');
  const expiresSeconds = Number(expires);
  if (expiresSeconds < 0) throw queryError('X-Amz-Expires must be non-negative');
  if (expiresSeconds === 0) throw queryError('X-Amz-Expires must be at least 1 second');
  if (expiresSeconds > maxExpiresSeconds) {
    throw queryError(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    );
  }
  return {
    by: 'presigned',
    credential,
    signedHeaders: signedHeaders.split(';'),
    signature,
    amzDate,
    sessionToken: value('X-Amz-Security-Token'),
    expiresSeconds,
  };
}

function payloadHashOf(input: AuthenticationInput, signed: SignedRequest): string {
  const header = input.headers.get('x-amz-content-sha256');
  if (signed.by === 'presigned') {
    const inQuery = input.target.query.find(([name]) => name.toLowerCase() === 'x-amz-content-sha256');
    return inQuery?.[1] ?? header ?? unsignedPayload;
  }
  if (header === undefined) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: x-amz-content-sha256',
    });
  }
  return header;
}

function readPayload(declared: string): PayloadDeclaration {
  switch (declared) {
    case unsignedPayload:
      return { kind: 'unsigned' };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { kind: 'chunked', signed: true, trailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { kind: 'chunked', signed: true, trailer: true };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { kind: 'chunked', signed: false, trailer: true };
    default:
      if (declared.startsWith('STREAMING-AWS4-ECDSA-')) throw notImplemented('Signature Version 4A');
      if (/^[0-9a-f]{64}$/.test(declared)) return { kind: 'literal', sha256: declared };
      throw invalidArgument(
        'x-amz-content-sha256',
        declared,
        'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
      );
  }
}

function readCredential(
  signed: SignedRequest,
  region: string,
  expectedService: AwsService,
): { readonly accessKeyId: string; readonly scope: CredentialScope } {
  const malformed = (problem: string, details: Record<string, string> = {}): S3Error =>
    signed.by === 'header'
      ? new S3Error('AuthorizationHeaderMalformed', {
          message: `The authorization header is malformed; ${problem}`,
          details,
        })
      : new S3Error('AuthorizationQueryParametersError', {
          message: `Error parsing the X-Amz-Credential parameter; ${problem}`,
          details,
        });
  const parts = signed.credential.split('/');
  // An access key id may hold slashes itself; the scope is always the last four parts.
  const [date = '', scopeRegion = '', service = '', terminator = ''] = parts.slice(-4);
  const accessKeyId = parts.slice(0, -4).join('/');
  if (parts.length < 5 || accessKeyId === '') {
    throw malformed(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  if (terminator !== 'aws4_request') {
    throw malformed(`incorrect terminal "${terminator}". This endpoint uses "aws4_request".`);
  }
  if (service !== expectedService) {
    throw malformed(`incorrect service "${service}". This endpoint belongs to "${expectedService}".`);
  }
  if (scopeRegion !== region) {
    throw malformed(`the region '${scopeRegion}' is wrong; expecting '${region}'`, { Region: region });
  }
  if (date !== signed.amzDate.slice(0, 8)) {
    throw malformed(
      `incorrect date format "${date}". This date in the credential must be in the format "yyyyMMdd" and equal the date of the request.`,
    );
  }
  return { accessKeyId, scope: { date, region, service: expectedService } };
}

function refuseUnsignedHeaders(headers: ReadonlyMap<string, string>, signedHeaders: readonly string[]): void {
  const signed = new Set(signedHeaders);
  const missing = [...headers.keys()].filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signed.has(name),
  );
  if (missing.length > 0) {
    throw new S3Error('AccessDenied', {
      message: 'There were headers present in the request which were not signed',
      details: { HeadersNotSigned: missing.join(', ') },
    });
  }
}

function checkTime(signed: SignedRequest, now: Date): void {
  const requestTime = parseAmzDate(signed.amzDate) ?? new Date(Number.NaN);
  if (signed.expiresSeconds === null) {
    if (!(Math.abs(now.getTime() - requestTime.getTime()) <= maxSkewMs)) {
      throw new S3Error('RequestTimeTooSkewed', {
        details: {
          RequestTime: signed.amzDate,
          ServerTime: now.toISOString(),
          MaxAllowedSkewMilliseconds: maxSkewMs,
        },
      });
    }
    return;
  }
  if (requestTime.getTime() > now.getTime() + maxSkewMs) {
    throw new S3Error('AccessDenied', {
      message: 'Request is not yet valid',
      details: { 'X-Amz-Expires': signed.expiresSeconds, ServerTime: now.toISOString() },
    });
  }
  const expires = new Date(requestTime.getTime() + signed.expiresSeconds * 1000);
  if (now.getTime() > expires.getTime()) {
    throw new S3Error('AccessDenied', {
      message: 'Request has expired',
      details: {
        'X-Amz-Expires': signed.expiresSeconds,
        Expires: expires.toISOString(),
        ServerTime: now.toISOString(),
      },
    });
  }
}

function checkSessionToken(credentials: LocalCredentials, token: string | undefined, now: Date): void {
  // A temporary key alone is unknown to S3, and a token that belongs to no such key is invalid.
  if (credentials.sessionToken !== undefined && token === undefined) {
    throw new S3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: credentials.accessKeyId } });
  }
  if (credentials.sessionToken !== token) throw new S3Error('InvalidToken');
  if (credentials.expiresAt !== undefined && now.getTime() >= credentials.expiresAt.getTime()) {
    throw new S3Error('ExpiredToken');
  }
}

function queryError(message: string): S3Error {
  return new S3Error('AuthorizationQueryParametersError', { message });
}

function parseAmzDate(amzDate: string): Date | null {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(amzDate);
  if (match === null) return null;
  const [, year, month, day, hour, minute, second] = match;
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}

function formatAmzDate(httpDate: string | undefined): string | undefined {
  if (httpDate === undefined) return undefined;
  const time = Date.parse(httpDate);
  if (Number.isNaN(time)) return undefined;
  return `${new Date(time).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

function spellBytes(value: string): string {
  return (Buffer.from(value, 'latin1').toString('hex').match(/../g) ?? []).join(' ');
}
