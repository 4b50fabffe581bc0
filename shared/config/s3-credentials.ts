import { parseDurationMs } from '../domain/duration.ts';
import { LoaderError, type Problem } from '../errors/loader-error.ts';

/** Keys for S3, as the app settings hold them. */
export interface S3Keys {
  readonly kind: 'keys';
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  /** End of temporary keys; `null`: not known, or none. */
  readonly expiresAt: Date | null;
}

/** A role that the app's own identity assumes: nothing is stored. */
export interface S3WebIdentity {
  readonly kind: 'webIdentity';
  readonly roleArn: string;
  /** Audience of the token, which the role's trust policy and the OIDC provider name. */
  readonly audience: string;
  readonly durationMs: number;
}

export interface S3Credentials {
  readonly signIn: S3Keys | S3WebIdentity;
  /** A further role that is assumed from there, such as one in the account of the bucket; `null`: none. */
  readonly chained: {
    readonly roleArn: string;
    readonly externalId: string | null;
    readonly durationMs: number;
  } | null;
  readonly sessionName: string;
  /** URL of STS; `null` is AWS's own in the region of the bucket. */
  readonly stsEndpoint: string | null;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Shorter ones, which STS would give, end before ADX has read what they signed; every role allows an hour. */
const SHORTEST_SESSION_MS = HOUR;
/** Source: STS's API reference; a session from a session lasts an hour at most. */
const LONGEST_SESSION_MS = 12 * HOUR;
const LONGEST_CHAINED_MS = HOUR;

/** As AWS tells the end of keys. */
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

const ROLE_ARN = /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,576}$/;

/** Settings of one name, after `S3_CREDENTIALS__<NAME>__`. */
type Part =
  | 'ACCESS_KEY_ID'
  | 'SECRET_ACCESS_KEY'
  | 'SESSION_TOKEN'
  | 'SESSION_EXPIRATION'
  | 'ROLE_ARN'
  | 'AUDIENCE'
  | 'SESSION_DURATION'
  | 'SESSION_NAME'
  | 'CHAINED_ROLE_ARN'
  | 'EXTERNAL_ID'
  | 'STS_ENDPOINT';

/**
 * The credentials of a name, from the settings `S3_CREDENTIALS__<NAME>__...`. Hyphens of the name become underscores.
 * Keys are Key Vault references in Azure; a role needs no secret at all.
 *
 * @param appId - names the sessions of roles where no setting does.
 * @throws {LoaderError} `credentialsNotFound` when neither is there; `invalidSettings` with every value that is wrong.
 */
export function readS3Credentials(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
  appId: string,
): S3Credentials {
  const prefix = `S3_CREDENTIALS__${name.toUpperCase().replaceAll('-', '_')}`;
  const settingOf = (part: Part) => `${prefix}__${part}`;
  // A secret that was put into a vault from a file often ends with the end of a line.
  const valueOf = (part: Part): string | null => env[settingOf(part)]?.trim() || null;
  const problems: Problem[] = [];
  const problem = (part: Part, message: string) => problems.push({ field: settingOf(part), message });

  const roleOf = (part: 'ROLE_ARN' | 'CHAINED_ROLE_ARN'): string | null => {
    const arn = valueOf(part);
    if (arn !== null && !ROLE_ARN.test(arn))
      problem(part, 'must be the ARN of a role: arn:aws:iam::123456789012:role/name');
    return arn;
  };
  const roleArn = roleOf('ROLE_ARN');
  const chainedArn = roleOf('CHAINED_ROLE_ARN');
  const audience = valueOf('AUDIENCE');
  if (roleArn !== null && !/^(api|https):\/\/[^\s/]/.test(audience ?? ''))
    problem(
      'AUDIENCE',
      'must be set with ROLE_ARN: the Application ID URI of the app registration for AWS, such as api://<its id>',
    );
  if (roleArn !== null && valueOf('ACCESS_KEY_ID') !== null)
    problem('ACCESS_KEY_ID', 'must not be set with ROLE_ARN; a role that keys assume is CHAINED_ROLE_ARN');
  const durationMs = readDuration(valueOf('SESSION_DURATION'), (message) =>
    problem('SESSION_DURATION', message),
  );
  const sessionName = valueOf('SESSION_NAME') ?? `s3-adx-loader-${appId}`.slice(0, 64);
  if (!/^[\w+=,.@-]{2,64}$/.test(sessionName))
    problem('SESSION_NAME', 'must be 2 to 64 letters, digits and any of _+=,.@-');
  const stsEndpoint = valueOf('STS_ENDPOINT');
  if (stsEndpoint !== null && !isEndpoint(stsEndpoint))
    problem('STS_ENDPOINT', 'must be an https URL without user, path and query');
  const externalId = valueOf('EXTERNAL_ID');
  if (externalId !== null && chainedArn === null)
    problem('EXTERNAL_ID', 'is for CHAINED_ROLE_ARN; a web identity has none');

  const signIn: S3Credentials['signIn'] =
    roleArn !== null
      ? { kind: 'webIdentity', roleArn, audience: audience ?? '', durationMs }
      : readKeys(name, prefix, valueOf, problem);
  if (problems.length > 0) {
    throw new LoaderError(
      'invalidSettings',
      `The S3 credentials "${name}" are not valid: ${problems.map(({ field, message }) => `${field} ${message}`).join('; ')}`,
      { problems },
    );
  }
  const chained =
    chainedArn === null
      ? null
      : { roleArn: chainedArn, externalId, durationMs: Math.min(durationMs, LONGEST_CHAINED_MS) };
  return { signIn, chained, sessionName, stsEndpoint };
}

function readKeys(
  name: string,
  prefix: string,
  valueOf: (part: Part) => string | null,
  problem: (part: Part, message: string) => void,
): S3Keys {
  const accessKeyId = valueOf('ACCESS_KEY_ID');
  const secretAccessKey = valueOf('SECRET_ACCESS_KEY');
  if (accessKeyId === null || secretAccessKey === null) {
    throw new LoaderError(
      'credentialsNotFound',
      `There are no S3 credentials named "${name}": set ${prefix}__ROLE_ARN and ${prefix}__AUDIENCE, or ${prefix}__ACCESS_KEY_ID and ${prefix}__SECRET_ACCESS_KEY, in the app settings`,
    );
  }
  const sessionToken = valueOf('SESSION_TOKEN');
  // What Azure leaves in the setting until it can read the secret.
  if (
    [accessKeyId, secretAccessKey, sessionToken].some((value) => value?.startsWith('@Microsoft.KeyVault('))
  ) {
    throw new LoaderError(
      'credentialsNotFound',
      `The S3 credentials "${name}" are Key Vault references that Azure could not resolve: put the secrets into the vault, let the identity of the app read them, and restart the app`,
    );
  }
  const end = valueOf('SESSION_EXPIRATION');
  const isTime = end !== null && ISO_TIME.test(end) && !Number.isNaN(Date.parse(end));
  if (end !== null && (!isTime || sessionToken === null))
    problem('SESSION_EXPIRATION', 'must be a time such as 2026-01-31T12:00:00Z, beside SESSION_TOKEN');
  return {
    kind: 'keys',
    accessKeyId,
    secretAccessKey,
    sessionToken,
    expiresAt: isTime ? new Date(end) : null,
  };
}

/** Default an hour, which every role allows. */
function readDuration(text: string | null, problem: (message: string) => void): number {
  const ms = text === null ? HOUR : parseDurationMs(text);
  if (ms !== null && ms >= SHORTEST_SESSION_MS && ms <= LONGEST_SESSION_MS) return ms;
  problem('must be a duration from 1h to 12h, and no longer than the role allows');
  return HOUR;
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const isLocal = url.protocol === 'http:' && url.hostname === '127.0.0.1';
  return (url.protocol === 'https:' || isLocal) && url.href === `${url.origin}/`;
}
