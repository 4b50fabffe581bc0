import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { createAuthority, type IssuedToken } from '../../../dev/identity/authority.ts';
import { type LocalRole, type RunningS3, startS3 } from '../../../dev/s3/index.ts';
import { type AssumedRoleOptions, createRoleSessions } from '../../../shared/adapters/s3/assumed-role.ts';
import { renewedKeys } from '../../../shared/adapters/s3/aws-credentials.ts';
import { createAwsSource } from '../../../shared/adapters/s3/aws-source.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';

const AUDIENCE = 'api://s3-adx-loader-aws';
const HOUR_MS = 3_600_000;
const PRINCIPAL = { clientId: 'client', objectId: 'object' };
const ROLE = 'arn:aws:iam::111111111111:role/loader';
const FAR_ROLE = 'arn:aws:iam::222222222222:role/far';
const ROLES: readonly LocalRole[] = [
  { arn: ROLE, trust: { audience: AUDIENCE, subject: 'object' }, maxSessionSeconds: 12 * 3600 },
  { arn: `${ROLE}-brief`, trust: { audience: AUDIENCE, subject: 'object' } },
  { arn: `${ROLE}-other`, trust: { audience: AUDIENCE, subject: 'another object' } },
  { arn: FAR_ROLE, trust: { role: ROLE, externalId: 'secret of a contract' }, maxSessionSeconds: 12 * 3600 },
];

let folder: string;
let s3: RunningS3;
let authority: Awaited<ReturnType<typeof createAuthority>>;
/** All clocks but AWS's own clients': the endpoints' and the adapter's. */
let offsetMs = 0;
const now = () => new Date(Date.now() + offsetMs);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 's3-adx-loader-role-'));
  authority = await createAuthority('tenant', now);
  s3 = await startS3({ folder, buckets: ['data'], clock: now, sts: { provider: authority, roles: ROLES } });
  await s3.seedObjects('data', [{ key: 'a', body: 'text' }]);
});
afterEach(() => {
  offsetMs = 0;
  s3.sts!.fail(null);
});
afterAll(async () => {
  await s3?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Changes {
  readonly roleArn?: string;
  readonly audience?: string;
  readonly durationMs?: number;
  readonly chained?: AssumedRoleOptions['chained'];
  readonly token?: Parameters<typeof authority.issue>[0] | (() => Promise<IssuedToken>);
}

function sessionsOf({ roleArn = ROLE, audience = AUDIENCE, durationMs = HOUR_MS, ...changes }: Changes = {}) {
  const { token = { audience, principal: PRINCIPAL } } = changes;
  const issue = typeof token === 'function' ? token : () => authority.issue(token);
  return createRoleSessions({
    signIn: {
      kind: 'webIdentity',
      roleArn,
      audience,
      durationMs,
      getToken: async () => (await issue()).token,
    },
    chained: changes.chained ?? null,
    sessionName: 'loads',
    region: 'us-east-1',
    endpoint: s3.settings.stsEndpoint,
  });
}

function sourceOf(provide: ReturnType<typeof sessionsOf>) {
  return createAwsSource({
    bucket: 'data',
    region: 'us-east-1',
    endpoint: s3.settings.endpoint,
    pathStyle: true,
    credentials: { kind: 'provider', provide },
    now,
  });
}

async function errorOf(work: Promise<unknown>): Promise<LoaderError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LoaderError);
  return error as LoaderError;
}

describe('the exchange', () => {
  test('gives keys that the bucket accepts, and says which role it is', async () => {
    const source = sourceOf(sessionsOf());
    expect(await source.signIn()).toBe('arn:aws:sts::111111111111:assumed-role/loader/loads');
    const page = await source.listPage({ prefix: '', startAfter: null });
    expect(page.objects.map(({ key }) => key)).toEqual(['a']);
    const { url } = await source.presignGet({ key: 'a', version: 'e:x', lifetimeMs: 60_000 });
    expect(await (await fetch(url)).text()).toBe('text');
  });

  test('the session lasts as long as was asked for', async () => {
    const { expiresAt } = await sessionsOf({ durationMs: 12 * HOUR_MS })();
    expect(expiresAt!.getTime() - Date.now()).toBeGreaterThan(12 * HOUR_MS - 60_000);
  });

  test('a role in another account is assumed from there', async () => {
    const chained = { roleArn: FAR_ROLE, externalId: 'secret of a contract', durationMs: HOUR_MS };
    const source = sourceOf(sessionsOf({ chained }));
    expect(await source.signIn()).toBe('arn:aws:sts::222222222222:assumed-role/far/loads');
    expect((await source.head('a'))?.sizeBytes).toBe(4);
  });
});

describe('what is refused', () => {
  const other = () => createAuthority('other tenant');
  test.each<readonly [string, () => Promise<Changes> | Changes, string]>([
    [
      'another audience',
      () => ({ token: { audience: 'api://x', principal: PRINCIPAL } }),
      'must list the audience',
    ],
    [
      'another tenant',
      async () => {
        const foreign = await other();
        return { token: () => foreign.issue({ audience: AUDIENCE, principal: PRINCIPAL }) };
      },
      'InvalidIdentityToken',
    ],
    [
      'an expired token',
      () => ({ token: { audience: AUDIENCE, principal: PRINCIPAL, lifetimeMs: -1000 } }),
      'ExpiredTokenException',
    ],
    ['another subject', () => ({ roleArn: `${ROLE}-other` }), "the identity's object id as subject"],
    ['a role that is not there', () => ({ roleArn: `${ROLE}-none` }), 'AccessDenied'],
    [
      'a session longer than the role allows',
      () => ({ roleArn: `${ROLE}-brief`, durationMs: 2 * HOUR_MS }),
      'SESSION_DURATION',
    ],
    [
      'a wrong external id',
      () => ({ chained: { roleArn: FAR_ROLE, externalId: 'guess', durationMs: HOUR_MS } }),
      'the external id if there is one',
    ],
    [
      'a chained session of more than an hour',
      () => ({ chained: { roleArn: FAR_ROLE, externalId: 'secret of a contract', durationMs: 2 * HOUR_MS } }),
      'SESSION_DURATION',
    ],
  ])('%s: a permanent error with the cause', async (_name, changes, said) => {
    const error = await errorOf(sessionsOf(await changes())());
    expect([error.code, error.message]).toEqual(['roleNotAssumed', expect.stringContaining(said)]);
    expect(error.message).not.toMatch(/eyJ/);
  });

  test('Entra that does not know the audience', async () => {
    const token = () =>
      Promise.reject(new Error('AADSTS500011: The resource principal named api://x was not found.'));
    const error = await errorOf(sessionsOf({ token })());
    expect([error.code, error.message]).toEqual([
      'roleNotAssumed',
      expect.stringContaining('an app registration that has a service principal'),
    ]);
  });

  test.each([
    ['IDPCommunicationError', 'sourceUnavailable'],
    ['InternalFailure', 'sourceUnavailable'],
    ['Throttling', 'sourceThrottled'],
  ] as const)(
    '%s passes: it is tried again',
    async (failure, code) => {
      s3.sts!.fail(failure);
      expect((await errorOf(sessionsOf()())).code).toBe(code);
    },
    30_000,
  );

  test('an identity service that does not answer passes, too', async () => {
    const token = () => Promise.reject(Object.assign(new Error('no answer'), { code: 'ECONNREFUSED' }));
    expect((await errorOf(sessionsOf({ token })())).code).toBe('sourceUnavailable');
  });
});

describe('time', () => {
  test('the session is renewed after a third of its time, and the bucket accepts both', async () => {
    const source = sourceOf(renewedKeys(sessionsOf(), now));
    const begun = s3.sts!.sessions.length;
    const sign = () => source.presignGet({ key: 'a', version: 'e:x', lifetimeMs: 6 * HOUR_MS });
    const first = await sign();
    offsetMs = 0.3 * HOUR_MS;
    await sign();
    expect(s3.sts!.sessions.length).toBe(begun + 1);
    offsetMs = 0.4 * HOUR_MS;
    const second = await sign();
    expect(s3.sts!.sessions.length).toBe(begun + 2);
    expect([(await fetch(first.url)).status, (await fetch(second.url)).status]).toEqual([200, 200]);
    expect((await source.head('a'))?.sizeBytes).toBe(4);
  });

  test('a URL that was to outlive its session ends with it, and the caller is told when', async () => {
    const source = sourceOf(renewedKeys(sessionsOf(), now));
    const { url, expiresAt } = await source.presignGet({ key: 'a', version: 'e:x', lifetimeMs: 6 * HOUR_MS });
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('21600');
    expect(expiresAt!.getTime() - Date.now()).toBeLessThanOrEqual(HOUR_MS);
    expect((await fetch(url)).status).toBe(200);
    offsetMs = expiresAt!.getTime() - Date.now() + 1000;
    const late = await fetch(url);
    expect([late.status, await late.text()]).toEqual([400, expect.stringContaining('ExpiredToken')]);
    // The object is signed again with a new session.
    const again = await source.presignGet({ key: 'a', version: 'e:x', lifetimeMs: 6 * HOUR_MS });
    expect((await fetch(again.url)).status).toBe(200);
  });
});
