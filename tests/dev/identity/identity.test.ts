import { ManagedIdentityCredential } from '@azure/identity';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createAuthority } from '../../../dev/identity/authority.ts';
import { type RunningIdentity, startIdentity } from '../../../dev/identity/index.ts';

const STORAGE = 'https://storage.azure.com';
const AUDIENCES = [STORAGE, 'api://aws'];

let identity: RunningIdentity;

beforeAll(async () => {
  identity = await startIdentity({ audiences: AUDIENCES });
  process.env['IDENTITY_ENDPOINT'] = identity.settings.endpoint;
  process.env['IDENTITY_HEADER'] = identity.settings.header;
});
afterAll(() => identity?.stop());

function ask(query: Readonly<Record<string, string>>, header = identity.settings.header) {
  const url = `${identity.settings.endpoint}?${new URLSearchParams(query).toString()}`;
  return fetch(url, { headers: { 'x-identity-header': header } });
}

describe('ManagedIdentityCredential', () => {
  test('gets a token of the system-assigned identity that verifies for its audience and no other', async () => {
    const { token, expiresOnTimestamp } = await new ManagedIdentityCredential().getToken(
      `${STORAGE}/.default`,
    );
    expect(await identity.authority.verify(token, STORAGE)).toEqual(identity.systemAssigned);
    expect(expiresOnTimestamp - Date.now()).toBeGreaterThan(23 * 3_600_000);
    await expect(identity.authority.verify(token, 'api://aws')).rejects.toMatchObject({ reason: 'audience' });
  });

  test('gets one of a user-assigned identity by its client id', async () => {
    const [principal] = identity.userAssigned;
    const credential = new ManagedIdentityCredential({ clientId: principal!.clientId });
    const { token } = await credential.getToken('api://aws/.default');
    expect(await identity.authority.verify(token, 'api://aws')).toEqual(principal);
  });

  test.each([
    ['an identity that the app does not have', { clientId: 'nobody' }, STORAGE, /No User Assigned/],
    ['a resource that the tenant does not know', {}, 'https://example.com', /AADSTS500011/],
  ])('%s: is refused', async (_name, options, resource, message) => {
    const credential = new ManagedIdentityCredential(options as { clientId: string });
    await expect(credential.getToken(`${resource}/.default`)).rejects.toThrow(message);
  });
});

describe('the endpoint', () => {
  const right = { 'api-version': '2019-08-01', resource: STORAGE };
  test.each([
    ['the right question', right, undefined, 200],
    ['a wrong header', right, 'guess', 401],
    ['another version', { ...right, 'api-version': '2018-02-01' }, undefined, 400],
    ['no resource', { 'api-version': '2019-08-01' }, undefined, 400],
  ])('%s', async (_name, query, header, status) => {
    expect((await ask(query as Record<string, string>, header)).status).toBe(status);
  });

  test('fails on demand, as it does when it is not well', async () => {
    identity.fail(503);
    expect((await ask(right)).status).toBe(503);
    identity.fail(null);
    expect((await ask(right)).status).toBe(200);
  });
});

describe('a token is refused', () => {
  const now = { value: new Date('2026-01-01T00:00:00Z') };
  const issue = async (changes: { lifetimeMs?: number; issuer?: string } = {}) => {
    const authority = await createAuthority('tenant', () => now.value);
    const principal = { clientId: 'client', objectId: 'object' };
    return { authority, token: (await authority.issue({ audience: STORAGE, principal, ...changes })).token };
  };
  const at = (ms: number) => {
    now.value = new Date(Date.parse('2026-01-01T00:00:00Z') + ms);
  };

  test('after its end and before its beginning', async () => {
    at(0);
    const { authority, token } = await issue({ lifetimeMs: 60_000 });
    at(59_000);
    expect(await authority.verify(token, STORAGE)).toEqual({ clientId: 'client', objectId: 'object' });
    at(60_000);
    await expect(authority.verify(token, STORAGE)).rejects.toMatchObject({ reason: 'expired' });
    at(-60_000);
    await expect(authority.verify(token, STORAGE)).rejects.toMatchObject({ reason: 'time' });
  });

  test('of another issuer, of another tenant of the same name, changed, or unsigned', async () => {
    at(0);
    const { authority, token } = await issue();
    const other = await issue({ issuer: 'https://sts.windows.net/other/' });
    await expect(other.authority.verify(other.token, STORAGE)).rejects.toMatchObject({ reason: 'issuer' });
    await expect(other.authority.verify(token, STORAGE)).rejects.toMatchObject({ reason: 'signature' });
    const [head, , signature] = token.split('.');
    const claims = Buffer.from(JSON.stringify({ oid: 'somebody else' })).toString('base64url');
    await expect(authority.verify(`${head}.${claims}.${signature}`, STORAGE)).rejects.toMatchObject({
      reason: 'signature',
    });
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    await expect(authority.verify(`${none}.${claims}.`, STORAGE)).rejects.toMatchObject({
      reason: 'malformed',
    });
    await expect(authority.verify('guess', STORAGE)).rejects.toMatchObject({ reason: 'malformed' });
  });
});
