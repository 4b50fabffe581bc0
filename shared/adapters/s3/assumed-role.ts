import type { STSClient } from '@aws-sdk/client-sts';
import type { S3Credentials, S3WebIdentity } from '../../config/s3-credentials.ts';
import { type ErrorCode, LoaderError, redact } from '../../errors/loader-error.ts';
import { readSignInFailure } from '../../errors/sign-in-failure.ts';
import type { AwsKeys } from './aws-credentials.ts';
import { statusOfAwsError } from './aws-error.ts';

/** How the first session is begun: by a token, for which Entra is asked with `getToken`, or by keys. */
export type RoleSignIn =
  | (S3WebIdentity & {
      /** The managed identity's token for an audience. Throws what the identity library throws. */
      readonly getToken: (audience: string) => Promise<string>;
    })
  | { readonly kind: 'keys'; readonly keys: AwsKeys };

export interface AssumedRoleOptions extends Pick<S3Credentials, 'chained'> {
  readonly signIn: RoleSignIn;
  /** Names the sessions in CloudTrail. 2 to 64 characters. */
  readonly sessionName: string;
  readonly region: string;
  /** URL of STS; `null` is that of the region. */
  readonly endpoint: string | null;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 15_000;

/**
 * Keys of a role's session, a new one with each call; see `renewedKeys` for who keeps them. The SDK is loaded with
 * the first call.
 *
 * @throws {LoaderError} `roleNotAssumed` when AWS or Entra refuses, with what they said but no token;
 *   `sourceThrottled` and `sourceUnavailable` when it may be tried again.
 */
export function createRoleSessions(options: AssumedRoleOptions): () => Promise<AwsKeys> {
  const { signIn, chained } = options;
  return async () => {
    const first = signIn.kind === 'keys' ? signIn.keys : await assumeWithToken(options, signIn);
    return chained === null ? first : assumeFrom(options, chained, first);
  };
}

async function assumeWithToken(
  options: AssumedRoleOptions,
  signIn: RoleSignIn & { kind: 'webIdentity' },
): Promise<AwsKeys> {
  const { roleArn, audience, durationMs } = signIn;
  const token = await signIn.getToken(audience).catch((error: unknown) => {
    throw tokenErrorOf(error, audience);
  });
  const { AssumeRoleWithWebIdentityCommand } = await import('@aws-sdk/client-sts');
  const command = new AssumeRoleWithWebIdentityCommand({
    RoleArn: roleArn,
    RoleSessionName: options.sessionName,
    WebIdentityToken: token,
    DurationSeconds: Math.round(durationMs / 1000),
  });
  return withClient(options, null, roleArn, [token], (client) => client.send(command));
}

async function assumeFrom(
  options: AssumedRoleOptions,
  { roleArn, externalId, durationMs }: NonNullable<AssumedRoleOptions['chained']>,
  from: AwsKeys,
): Promise<AwsKeys> {
  const { AssumeRoleCommand } = await import('@aws-sdk/client-sts');
  const command = new AssumeRoleCommand({
    RoleArn: roleArn,
    RoleSessionName: options.sessionName,
    DurationSeconds: Math.round(durationMs / 1000),
    ...(externalId === null ? {} : { ExternalId: externalId }),
  });
  const secrets = [from.secretAccessKey, from.sessionToken ?? ''];
  return withClient(options, from, roleArn, secrets, (client) => client.send(command));
}

/** What STS answers, as far as it is needed. */
interface StsAnswer {
  readonly AssumedRoleUser?: { readonly Arn?: string | undefined } | undefined;
  readonly Credentials?:
    | {
        readonly AccessKeyId?: string | undefined;
        readonly SecretAccessKey?: string | undefined;
        readonly SessionToken?: string | undefined;
        readonly Expiration?: Date | undefined;
      }
    | undefined;
}

/** A client for one call: sessions are begun a few times a day. */
async function withClient(
  { region, endpoint }: AssumedRoleOptions,
  keys: AwsKeys | null,
  roleArn: string,
  secrets: readonly string[],
  send: (client: STSClient) => Promise<StsAnswer>,
): Promise<AwsKeys> {
  const { STSClient } = await import('@aws-sdk/client-sts');
  const client = new STSClient({
    region,
    ...(endpoint === null ? {} : { endpoint }),
    // Without keys of its own the SDK would look for some on this machine.
    credentials: keys ?? { accessKeyId: 'unsigned', secretAccessKey: '' },
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  });
  try {
    return keysOf(await send(client), roleArn);
  } catch (error) {
    throw roleErrorOf(error, roleArn, secrets);
  } finally {
    client.destroy();
  }
}

function keysOf({ AssumedRoleUser, Credentials }: StsAnswer, roleArn: string): AwsKeys {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = Credentials ?? {};
  if (!AccessKeyId || !SecretAccessKey || !SessionToken || !Expiration)
    throw new Error('STS answered without keys.');
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: SessionToken,
    expiresAt: Expiration,
    role: AssumedRoleUser?.Arn ?? roleArn,
  };
}

/** STS's error codes that pass. Source: its API reference, common errors. */
const PASSING: ReadonlyMap<string, ErrorCode> = new Map([
  ['IDPCommunicationError', 'sourceUnavailable'],
  ['IDPCommunicationErrorException', 'sourceUnavailable'],
  ['Throttling', 'sourceThrottled'],
  ['ThrottlingException', 'sourceThrottled'],
  ['RequestLimitExceeded', 'sourceThrottled'],
]);

/** What to look at, by what STS says. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/audience/i, 'The OIDC provider in AWS must list the audience that the app asks for.'],
  [
    /No OpenIDConnect provider/i,
    'AWS needs an OIDC provider for https://sts.windows.net/<tenant>/, with its slash.',
  ],
  [
    /MaxSessionDuration|session limit/i,
    "Lower the setting SESSION_DURATION, or raise the role's longest session.",
  ],
  [
    /Not authorized/i,
    "The role's trust policy must name the identity's object id as subject, the audience, and the external id if there is one.",
  ],
];

function roleErrorOf(error: unknown, roleArn: string, secrets: readonly string[]): LoaderError {
  if (error instanceof LoaderError) return error;
  const { name = 'error', message = '' } = error as { readonly name?: string; readonly message?: string };
  const status = statusOfAwsError(error);
  const code =
    PASSING.get(name) ?? (status === null || status >= 500 ? 'sourceUnavailable' : 'roleNotAssumed');
  const said = secrets
    .filter((secret) => secret !== '')
    .reduce((text, secret) => text.replaceAll(secret, '***'), `${name}: ${message}`);
  const hint = HINTS.find(([pattern]) => pattern.test(message))?.[1] ?? '';
  return new LoaderError(
    code,
    `Could not assume the role ${roleArn}: ${redact(said).slice(0, 500)} ${hint}`.trimEnd(),
  );
}

function tokenErrorOf(error: unknown, audience: string): LoaderError {
  if (error instanceof LoaderError) return error;
  const { message, transient } = readSignInFailure(error);
  const hint = /AADSTS500011/.test(message)
    ? ' The audience must be the Application ID URI of an app registration that has a service principal in this tenant.'
    : '';
  return new LoaderError(
    transient ? 'sourceUnavailable' : 'roleNotAssumed',
    `Could not get a token for the audience ${audience}: ${message}${hint}`,
  );
}
