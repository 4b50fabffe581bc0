import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { listenOnLoopback } from '../loopback-server.ts';
import type { LocalCredentials } from './credentials.ts';
import { authenticate } from './protocol/authenticate.ts';
import { S3Error } from './protocol/errors.ts';
import { parent, renderXml, text, type XmlElement } from './protocol/xml.ts';

/** A role that can be assumed. */
export interface LocalRole {
  /** `arn:aws:iam::123456789012:role/name`. */
  readonly arn: string;
  /** Its trust policy: a web identity by audience and subject, or a role, whose sessions may assume this one. */
  readonly trust:
    | { readonly audience: string; readonly subject: string }
    | { readonly role: string; readonly externalId?: string };
  /** `MaxSessionDuration`. Default 3600, as in IAM. */
  readonly maxSessionSeconds?: number;
}

export interface StsOptions {
  /** The OIDC provider that the account trusts. It throws, with a `reason`, for a token that is not right. */
  readonly provider: {
    verify(token: string, audience: string): Promise<{ readonly objectId: string }>;
  };
  readonly roles: readonly LocalRole[];
  /** Divides how long sessions last, for tests; what is asked for is checked before. Default 1. */
  readonly timeScale?: number;
}

/** What a test may have the endpoint answer instead. */
export type StsFailure = 'AccessDenied' | 'IDPCommunicationError' | 'InternalFailure' | 'Throttling';

export interface RunningSts {
  readonly endpoint: string;
  /** Sessions that were begun, in their order. */
  readonly sessions: readonly StsSession[];
  /** From now on every request fails so; `null` ends it. */
  fail(failure: StsFailure | null): void;
  stop(): Promise<void>;
}

export interface StsSession extends LocalCredentials {
  readonly role: string;
  readonly name: string;
  readonly sessionToken: string;
  readonly expiresAt: Date;
}

interface Context {
  readonly options: StsOptions;
  readonly region: string;
  readonly clock: () => Date;
  /** What S3 accepts; sessions are added. */
  readonly credentials: LocalCredentials[];
}

/** The least that STS gives, and the most of a session that was begun from another one. Source: its API reference. */
const MIN_SESSION_SECONDS = 900;
const MAX_CHAINED_SECONDS = 3600;
const MAX_BODY_BYTES = 64 * 1024;

class StsError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const failures: Readonly<Record<StsFailure, StsError>> = {
  AccessDenied: new StsError(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity'),
  IDPCommunicationError: new StsError(
    400,
    'IDPCommunicationError',
    'Error communicating with the Identity Provider',
  ),
  InternalFailure: new StsError(500, 'InternalFailure', 'Something went wrong here.'),
  Throttling: new StsError(400, 'Throttling', 'Rate exceeded'),
};

/** Starts the STS endpoint on loopback: `AssumeRoleWithWebIdentity`, and `AssumeRole` from a session. */
export async function startSts(context: Context): Promise<RunningSts> {
  const sessions: StsSession[] = [];
  let failure: StsFailure | null = null;
  const server = createServer((message, response) => {
    const requestId = randomBytes(16).toString('hex');
    const answer = async (): Promise<{ status: number; body: XmlElement }> => {
      try {
        const body = await readBody(message);
        if (failure !== null) throw failures[failure];
        const begun = await begin(context, message, body);
        sessions.push(begun.session);
        return { status: 200, body: describeSession(begun, requestId) };
      } catch (error) {
        return describeError(error, requestId);
      }
    };
    void answer().then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'text/xml', 'x-amzn-requestid': requestId });
      response.end(renderXml(body, 'with-sts-namespace'));
    });
  });
  const { port, stop } = await listenOnLoopback(server);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    sessions,
    fail: (next) => {
      failure = next;
    },
    stop,
  };
}

interface Begun {
  readonly action: string;
  readonly session: StsSession;
  readonly subject: string | null;
}

async function begin(context: Context, message: IncomingMessage, body: string): Promise<Begun> {
  const input = new URLSearchParams(body);
  const action = input.get('Action') ?? '';
  const required = (name: string) => {
    const value = input.get(name);
    if (value === null || value === '')
      throw new StsError(400, 'ValidationError', `Value null at '${name}' failed to satisfy constraint.`);
    return value;
  };
  const name = required('RoleSessionName');
  if (!/^[\w+=,.@-]{2,64}$/.test(name))
    throw new StsError(
      400,
      'ValidationError',
      `Value '${name}' at 'roleSessionName' failed to satisfy constraint.`,
    );
  const arn = required('RoleArn');
  const role = context.options.roles.find((one) => one.arn === arn);
  const denied = new StsError(403, 'AccessDenied', `Not authorized to perform sts:${action}`);
  let subject: string | null = null;
  let isChained = false;
  if (action === 'AssumeRoleWithWebIdentity') {
    const token = required('WebIdentityToken');
    if (role === undefined || !('audience' in role.trust)) throw denied;
    subject = await verify(context, token, role.trust.audience);
    if (subject !== role.trust.subject) throw denied;
  } else if (action === 'AssumeRole') {
    const holder = roleOfCaller(context, message, body);
    isChained = holder !== null;
    if (role === undefined || !('role' in role.trust) || holder !== role.trust.role) throw denied;
    if (role.trust.externalId !== undefined && input.get('ExternalId') !== role.trust.externalId)
      throw denied;
  } else
    throw new StsError(400, 'InvalidAction', `Could not find operation ${action} for version 2011-06-15`);
  const seconds = checkDuration(Number(input.get('DurationSeconds') ?? 3600), role, isChained);
  const expiresAt = new Date(context.clock().getTime() + (seconds * 1000) / (context.options.timeScale ?? 1));
  const session = {
    role: arn,
    name,
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(150).toString('base64'),
    expiresAt,
  };
  context.credentials.push(session);
  return { action, subject, session };
}

async function verify(context: Context, token: string, audience: string): Promise<string> {
  try {
    return (await context.options.provider.verify(token, audience)).objectId;
  } catch (error) {
    const { reason, message } = error as { readonly reason?: string; readonly message: string };
    if (reason === 'expired')
      throw new StsError(400, 'ExpiredTokenException', 'Token expired: it must be before its expiration.');
    throw new StsError(
      400,
      'InvalidIdentityToken',
      reason === 'audience' ? 'Incorrect token audience' : message,
    );
  }
}

/** The role whose session signed the request; `null` for long-lived keys. */
function roleOfCaller(context: Context, message: IncomingMessage, body: string): string | null {
  const headers = new Map(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
  const signed = authenticate({
    service: 'sts',
    bodySha256: createHash('sha256').update(body).digest('hex'),
    method: message.method ?? '',
    target: { path: '/', query: [], bucket: null, key: '', style: 'path' },
    headers,
    credentials: context.credentials,
    region: context.region,
    now: context.clock(),
  });
  if (signed.kind === 'anonymous')
    throw new StsError(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token');
  return context.credentials.find((one) => one.accessKeyId === signed.accessKeyId)?.role ?? null;
}

function checkDuration(seconds: number, role: LocalRole, isChained: boolean): number {
  if (!Number.isInteger(seconds) || seconds < MIN_SESSION_SECONDS)
    throw new StsError(
      400,
      'ValidationError',
      `Value '${seconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to ${MIN_SESSION_SECONDS}`,
    );
  if (isChained && seconds > MAX_CHAINED_SECONDS)
    throw new StsError(
      400,
      'ValidationError',
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining',
    );
  if (seconds > (role.maxSessionSeconds ?? 3600))
    throw new StsError(
      400,
      'ValidationError',
      'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    );
  return seconds;
}

function describeSession({ action, session, subject }: Begun, requestId: string): XmlElement {
  const arn = session.role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/');
  return parent(`${action}Response`, [
    parent(`${action}Result`, [
      subject === null ? null : text('SubjectFromWebIdentityToken', subject),
      parent('AssumedRoleUser', [
        text('Arn', `${arn}/${session.name}`),
        text('AssumedRoleId', `AROA${'0'.repeat(17)}:${session.name}`),
      ]),
      parent('Credentials', [
        text('AccessKeyId', session.accessKeyId),
        text('SecretAccessKey', session.secretAccessKey),
        text('SessionToken', session.sessionToken),
        text('Expiration', session.expiresAt.toISOString()),
      ]),
    ]),
    parent('ResponseMetadata', [text('RequestId', requestId)]),
  ]);
}

function describeError(error: unknown, requestId: string): { status: number; body: XmlElement } {
  const known = error instanceof StsError || error instanceof S3Error ? error : failures.InternalFailure;
  if (known !== error) process.stderr.write(`sts: ${String(error)}\n`);
  return {
    status: known.status,
    body: parent('ErrorResponse', [
      parent('Error', [
        text('Type', known.status < 500 ? 'Sender' : 'Receiver'),
        text('Code', known.code),
        text('Message', known.message),
      ]),
      text('RequestId', requestId),
    ]),
  };
}

async function readBody(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_BODY_BYTES) throw new StsError(413, 'RequestEntityTooLarge', 'Too much.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
