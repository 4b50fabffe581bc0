import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkCaller, ROLES, type Role } from '../../functions/triggers/caller.ts';
import { readSettings } from '../../shared/config/settings.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';
import { type StackUnderTest, startStackUnderTest } from '../e2e/stack-under-test.ts';

const ENTRA = { LOADER_HTTP_AUTH: 'entra', WEBSITE_AUTH_ENABLED: 'True' };

/** The header as App Service writes it. */
const principalOf = (roles: readonly unknown[], more: object = {}) =>
  Buffer.from(
    JSON.stringify({
      auth_typ: 'aad',
      name_typ: 'name',
      role_typ: 'http://schemas.microsoft.com/ws/2008/06/identity/claims/role',
      claims: [{ typ: 'name', val: 'Jo' }, ...roles.map((val) => ({ typ: 'roles', val }))],
      ...more,
    }),
  ).toString('base64');

const requestWith = (principal: string | null) => ({
  headers: new Headers(principal === null ? {} : { 'x-ms-client-principal': principal }) as never,
});

function refusal(principal: string | null, role: Role, env: Record<string, string> = ENTRA): string | null {
  try {
    checkCaller(requestWith(principal), role, env);
    return null;
  } catch (thrown) {
    return thrown instanceof LoaderError ? thrown.code : String(thrown);
  }
}

describe('roles of a signed-in caller', () => {
  test('each role may do what those below it may, and nothing above', () => {
    for (const [has, role] of ROLES.entries())
      for (const [needs, needed] of ROLES.entries())
        expect([role, needed, refusal(principalOf([role]), needed)]).toEqual([
          role,
          needed,
          has >= needs ? null : 'roleNeeded',
        ]);
  });

  test('a role may come under the type that the header names, and nowhere else', () => {
    const typ = 'http://schemas.microsoft.com/ws/2008/06/identity/claims/role';
    expect(refusal(principalOf([], { claims: [{ typ, val: 'admin' }] }), 'admin')).toBeNull();
    expect(refusal(principalOf([], { claims: [{ typ: 'groups', val: 'admin' }] }), 'reader')).toBe(
      'roleNeeded',
    );
  });

  test.each([
    ['no header', null],
    ['an empty one', ''],
    ['no base64 of JSON', '%%%'],
    ['null', Buffer.from('null').toString('base64')],
    ['another provider', principalOf(['admin'], { auth_typ: 'facebook' })],
    ['no claims', principalOf(['admin'], { claims: 'admin' })],
  ])('%s is no sign-in', (_, principal) => {
    expect(refusal(principal, 'reader')).toBe('notSignedIn');
  });

  test('nothing but the three words is a role', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('Admin', 'admins', '', ' admin', 3, null, []))),
        (roles) => {
          fc.pre(!roles.some((role) => (ROLES as readonly unknown[]).includes(role)));
          expect(refusal(principalOf(roles), 'reader')).toBe('roleNeeded');
        },
      ),
    );
  });

  test('as long as App Service does not check sign-ins, nobody is believed', () => {
    for (const env of [
      { LOADER_HTTP_AUTH: 'entra' },
      { LOADER_HTTP_AUTH: 'entra', WEBSITE_AUTH_ENABLED: 'False' },
      { LOADER_HTTP_AUTH: 'Entra', WEBSITE_AUTH_ENABLED: 'True' },
    ]) {
      expect(refusal(principalOf(['admin']), 'reader', env)).toBe('invalidSettings');
      expect(() => readSettings({ AzureWebJobsStorage: 'UseDevelopmentStorage=true', ...env })).toThrow(
        'LOADER_HTTP_AUTH',
      );
    }
  });
});

describe.each([
  ['keys', {}],
  ['entra', ENTRA],
])('over HTTP with LOADER_HTTP_AUTH %s', (auth, settings) => {
  let running: StackUnderTest;
  beforeAll(async () => {
    running = await startStackUnderTest({ settings });
  }, 60_000);
  afterAll(() => running?.stop());

  const statusOf = async (method: string, path: string, roles: readonly string[] | null) => {
    const headers = roles === null ? {} : { 'x-ms-client-principal': principalOf(roles) };
    const answer = await fetch(`${running.stack.host.url}${path}`, { method, headers });
    return answer.status;
  };

  test('the header counts only where it is switched on', async () => {
    expect(await statusOf('GET', '/api/health', null)).toBe(200);
    expect(await statusOf('GET', '/api/loads', null)).toBe(401);
    const signedIn = (needed: number, otherwise: number) => (auth === 'entra' ? needed : otherwise);
    expect(await statusOf('GET', '/api/loads', ['reader'])).toBe(signedIn(200, 401));
    expect(await statusOf('GET', '/api/runs', ['operator'])).toBe(signedIn(200, 401));
    expect(await statusOf('GET', '/api/runs', ['nobody'])).toBe(signedIn(403, 401));
    expect(await statusOf('POST', '/api/loads/none/runs', ['reader'])).toBe(signedIn(403, 401));
    expect(await statusOf('POST', '/api/loads/none/runs', ['operator'])).toBe(signedIn(404, 401));
    expect(await statusOf('POST', '/api/runs/none/rerun', ['reader'])).toBe(signedIn(403, 401));
    expect(await statusOf('DELETE', '/api/loads/none', ['operator'])).toBe(signedIn(403, 401));
    expect(await statusOf('DELETE', '/api/loads/none', ['admin'])).toBe(signedIn(404, 401));
    expect(await statusOf('POST', '/api/runs/none/undo', ['operator'])).toBe(signedIn(403, 401));
    expect(await statusOf('POST', '/api/loads/none/reset', ['operator'])).toBe(signedIn(403, 401));
    expect(await statusOf('POST', '/api/operations/none/cancel', ['operator'])).toBe(signedIn(403, 401));
    expect(await statusOf('POST', '/api/operations/none/cancel', ['admin'])).toBe(signedIn(404, 401));
  });
});
