import type { TokenCredential } from '@azure/identity';

import type { AwsCredentials, AwsKeys } from '../shared/adapters/s3/aws-credentials.ts';
import type { S3Credentials, S3Keys } from '../shared/config/s3-credentials.ts';
import { LoaderError } from '../shared/errors/loader-error.ts';

/**
 * How requests to S3 are signed: by an access key of the settings, or by the session of a role, which the app's identity
 * or that key assumes.
 *
 * @param identity - as whom the app signs in to Azure; `null` is nobody.
 */
export async function openCredentials(
  { signIn, chained, sessionName, stsEndpoint }: S3Credentials,
  region: string,
  identity: Promise<TokenCredential | null>,
): Promise<AwsCredentials> {
  if (signIn.kind === 'keys' && chained === null) return { kind: 'keys', ...keysOf(signIn) };
  const [{ createRoleSessions }, { renewedKeys }] = await Promise.all([
    import('../shared/adapters/s3/assumed-role.ts'),
    import('../shared/adapters/s3/aws-credentials.ts'),
  ]);
  const provide = createRoleSessions({
    signIn:
      signIn.kind === 'keys'
        ? { kind: 'keys', keys: keysOf(signIn) }
        : { ...signIn, getToken: (audience) => getToken(identity, audience) },
    chained,
    sessionName,
    region,
    endpoint: stsEndpoint,
  });
  // Buckets that are read with the same role share its session.
  return { kind: 'provider', provide: renewedKeys(provide) };
}

function keysOf({ accessKeyId, secretAccessKey, sessionToken, expiresAt }: S3Keys): AwsKeys {
  return {
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
    ...(expiresAt === null ? {} : { expiresAt }),
  };
}

async function getToken(identity: Promise<TokenCredential | null>, audience: string): Promise<string> {
  const credential = await identity;
  if (credential === null) {
    throw new LoaderError(
      'invalidSettings',
      'A role that is assumed with the identity of the app needs one: LOADER_IDENTITY is none',
    );
  }
  const token = await credential.getToken(`${audience}/.default`);
  if (token === null) throw new Error('The identity gave no token.');
  return token.token;
}
