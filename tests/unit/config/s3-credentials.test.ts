import { describe, expect, test } from 'vitest';

import { readS3Credentials } from '../../../shared/config/s3-credentials.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';

/** Settings of the credentials `my-keys`. */
function envOf(parts: Readonly<Record<string, string | undefined>>) {
  return Object.fromEntries(
    Object.entries(parts).map(([part, value]) => [`S3_CREDENTIALS__MY_KEYS__${part}`, value]),
  );
}
const KEYS = { ACCESS_KEY_ID: 'id', SECRET_ACCESS_KEY: 'secret' };
const ROLE = { ROLE_ARN: 'arn:aws:iam::123456789012:role/path/loader', AUDIENCE: 'api://aws' };
const read = (parts: Readonly<Record<string, string | undefined>>, name = 'my-keys') =>
  readS3Credentials(envOf(parts), name, 'my-app');

function errorOf(parts: Readonly<Record<string, string | undefined>>): LoaderError {
  try {
    read(parts);
  } catch (thrown) {
    if (thrown instanceof LoaderError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was wrong');
}

/** Parts of the settings that are refused. */
function refused(parts: Readonly<Record<string, string | undefined>>): readonly string[] {
  const { code, problems, message } = errorOf(parts);
  expect(code).toBe('invalidSettings');
  for (const { field } of problems) expect(message).toContain(field);
  return problems.map(({ field }) => field.replace('S3_CREDENTIALS__MY_KEYS__', ''));
}

describe('an access key', () => {
  test('is found by its name, in capitals and with underscores', () => {
    for (const name of ['my-keys', 'MY_KEYS', 'My-Keys']) {
      expect(read(KEYS, name)).toEqual({
        signIn: {
          kind: 'keys',
          accessKeyId: 'id',
          secretAccessKey: 'secret',
          sessionToken: null,
          expiresAt: null,
        },
        chained: null,
        sessionName: 's3-adx-loader-my-app',
        stsEndpoint: null,
      });
    }
    expect(read({ ...KEYS, SESSION_TOKEN: 'token' }).signIn).toMatchObject({ sessionToken: 'token' });
    expect(read({ ...KEYS, SESSION_TOKEN: '' }).signIn).toMatchObject({ sessionToken: null });
    expect(
      read({ ...KEYS, SESSION_TOKEN: 'token', SESSION_EXPIRATION: '2026-01-31T13:00:00+01:00' }).signIn,
    ).toMatchObject({ expiresAt: new Date('2026-01-31T12:00:00Z') });
    // From a file whose line has an end.
    expect(read({ ...KEYS, SESSION_TOKEN: 'token\n' }).signIn).toMatchObject({ sessionToken: 'token' });
  });

  test.each(['ACCESS_KEY_ID', 'SECRET_ACCESS_KEY'])('missing or empty %s: says what is needed', (part) => {
    for (const value of [undefined, '']) {
      const error = errorOf({ ...KEYS, [part]: value });
      expect(error.code).toBe('credentialsNotFound');
      expect(error.message).toContain('S3_CREDENTIALS__MY_KEYS__SECRET_ACCESS_KEY');
    }
  });

  test('that is still the text of a Key Vault reference is said to be one', () => {
    const reference = '@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s3)';
    const error = errorOf({ ...KEYS, SECRET_ACCESS_KEY: reference });
    expect([error.code, error.message]).toEqual([
      'credentialsNotFound',
      expect.stringContaining('could not resolve'),
    ]);
    expect(error.message).not.toContain('vault.azure.net');
  });
});

describe('a role', () => {
  test('that the identity of the app assumes, for an hour unless it is said', () => {
    expect(read(ROLE)).toEqual({
      signIn: {
        kind: 'webIdentity',
        roleArn: ROLE.ROLE_ARN,
        audience: 'api://aws',
        durationMs: 3_600_000,
      },
      chained: null,
      sessionName: 's3-adx-loader-my-app',
      stsEndpoint: null,
    });
    expect(
      read({
        ...ROLE,
        SESSION_DURATION: '12h',
        SESSION_NAME: 'loads',
        STS_ENDPOINT: 'https://sts.example.com',
      }),
    ).toMatchObject({
      signIn: { durationMs: 12 * 3_600_000 },
      sessionName: 'loads',
      stsEndpoint: 'https://sts.example.com',
    });
  });

  test('that is assumed from there, or from a key, for an hour at most', () => {
    const chain = { CHAINED_ROLE_ARN: 'arn:aws-cn:iam::123456789012:role/b', EXTERNAL_ID: 'x' };
    for (const first of [ROLE, KEYS]) {
      expect(read({ ...first, ...chain, SESSION_DURATION: '6h' }).chained).toEqual({
        roleArn: chain.CHAINED_ROLE_ARN,
        externalId: 'x',
        durationMs: 3_600_000,
      });
    }
  });

  test('the name of its sessions is cut to what AWS takes', () => {
    const { sessionName } = readS3Credentials(envOf(ROLE), 'my-keys', 'a'.repeat(60));
    expect(sessionName).toHaveLength(64);
  });

  test.each([
    ['AUDIENCE', { ...ROLE, AUDIENCE: '' }],
    ['AUDIENCE', { ...ROLE, AUDIENCE: '11111111-2222-3333-4444-555555555555' }],
    ['ROLE_ARN', { ...ROLE, ROLE_ARN: 'arn:aws:iam::1:role/x' }],
    ['ROLE_ARN', { ...ROLE, ROLE_ARN: 'arn:aws:iam::123456789012:user/x' }],
    ['CHAINED_ROLE_ARN', { ...ROLE, CHAINED_ROLE_ARN: 'loader' }],
    ['ACCESS_KEY_ID', { ...ROLE, ...KEYS }],
    ['SESSION_DURATION', { ...ROLE, SESSION_DURATION: '59m' }],
    ['SESSION_DURATION', { ...ROLE, SESSION_DURATION: '13h' }],
    ['SESSION_DURATION', { ...ROLE, SESSION_DURATION: 'long' }],
    ['SESSION_EXPIRATION', { ...KEYS, SESSION_TOKEN: 't', SESSION_EXPIRATION: 'tomorrow' }],
    ['SESSION_EXPIRATION', { ...KEYS, SESSION_TOKEN: 't', SESSION_EXPIRATION: '2026-01-31' }],
    ['SESSION_EXPIRATION', { ...KEYS, SESSION_EXPIRATION: '2026-01-31T12:00:00Z' }],
    ['SESSION_NAME', { ...ROLE, SESSION_NAME: 'with space' }],
    ['STS_ENDPOINT', { ...ROLE, STS_ENDPOINT: 'http://sts.example.com' }],
    ['STS_ENDPOINT', { ...ROLE, STS_ENDPOINT: 'https://user@sts.example.com' }],
    ['STS_ENDPOINT', { ...ROLE, STS_ENDPOINT: 'sts.example.com' }],
    ['EXTERNAL_ID', { ...ROLE, EXTERNAL_ID: 'x' }],
  ])('%s is refused when it is not right', (part, parts) => {
    expect(refused(parts)).toEqual([part]);
  });

  test('all that is wrong is said at once', () => {
    expect(refused({ ROLE_ARN: 'x', SESSION_NAME: '?', STS_ENDPOINT: '?' })).toEqual([
      'ROLE_ARN',
      'AUDIENCE',
      'SESSION_NAME',
      'STS_ENDPOINT',
    ]);
  });
});
