import { describe, expect, it } from 'vitest';
import { useApp } from './app-under-test.ts';

const app = useApp('http');

describe.skipIf(!app.isServed)(app.title, () => {
  const call = (path: string, init?: RequestInit) => fetch(`${app.url}${path}`, init);
  const show = async (path: string, init?: RequestInit) => (await call(path, init)).json();

  it('follows routes by prefix, parameter, constraint and rest, the most literal first', async () => {
    expect(await show('/v1/plain')).toMatchObject({ name: 'plain', method: 'GET' });
    expect(await show('/V1/PLAIN')).toMatchObject({ name: 'plain' });
    expect(await show('/v1/items/7')).toMatchObject({ name: 'item', params: { id: '7' } });
    expect(await show('/v1/items/7/b%20c')).toMatchObject({ params: { id: '7', part: 'b c' } });
    expect(await show('/v1/items/latest')).toMatchObject({ name: 'latest' });
    expect(await show('/v1/files/a/b/c.txt')).toMatchObject({ name: 'files', params: { path: 'a/b/c.txt' } });
    expect(await show('/v1/files')).toMatchObject({ name: 'files' });
    const id = '01234567-89ab-cdef-0123-456789abcdef';
    expect(await show(`/v1/ranged/${id}/5/abc`)).toMatchObject({ params: { id, size: '5', word: 'abc' } });
  });

  it.each([
    '/v1/items/x',
    '/v1/items/7/a/b',
    '/v1/ranged/not-a-guid/5/abc',
    '/v1/ranged/01234567-89ab-cdef-0123-456789abcdef/6/abc',
    '/v1/ranged/01234567-89ab-cdef-0123-456789abcdef/5/abcd',
    '/v1/ranged/01234567-89ab-cdef-0123-456789abcdef/5/a1',
    '/api/plain',
    '/v1/plain/more',
    '/v1/nowhere',
  ])('has nothing at %s', async (path) => {
    expect((await call(path)).status).toBe(404);
  });

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    'serves %s where it is listed',
    async (method) => {
      const response = await call('/v1/methods', { method });
      expect([response.status, await response.text()]).toEqual([200, method]);
    },
  );

  it('answers HEAD without a body', async () => {
    const response = await call('/v1/methods', { method: 'HEAD' });
    expect([response.status, response.headers.get('x-method'), await response.text()]).toEqual([
      200,
      'HEAD',
      '',
    ]);
  });

  it.each([
    ['/v1/split', 'POST'],
    ['/v1/split', 'HEAD'],
    ['/v1/split', 'OPTIONS'],
    ['/v1/plain', 'HEAD'],
    ['/v1/plain', 'OPTIONS'],
    ['/v1/plain', 'PUT'],
    ['/v1/files/a', 'POST'],
  ])('has nothing at %s for %s, which is not listed', async (path, method) => {
    expect((await call(path, { method })).status).toBe(404);
  });

  it('chooses between functions with one route by method', async () => {
    expect(await show('/v1/split')).toMatchObject({ name: 'readOnly' });
    expect(await show('/v1/split', { method: 'PUT', body: 'x' })).toMatchObject({
      name: 'writeOnly',
      body: 'x',
    });
  });

  it('hands over query, headers and body', async () => {
    const init = { method: 'POST', headers: { 'x-test': 'h' }, body: 'text\u00e9' };
    expect(await show('/v1/plain?a=1&b=2', init)).toMatchObject({
      method: 'POST',
      query: { a: '1', b: '2' },
      header: 'h',
      body: 'text\u00e9',
    });
  });

  it('answers with status, headers, cookies and bytes', async () => {
    const response = await call('/v1/rich');
    expect([response.status, await response.text()]).toEqual([201, 'made']);
    expect(response.headers.get('x-answer')).toBe('yes');
    const cookie = response.headers.get('set-cookie')?.toLowerCase();
    for (const part of ['a=b%20c', 'max-age=60', 'httponly', 'samesite=strict'])
      expect(cookie).toContain(part);
    expect(Buffer.from(await (await call('/v1/binary')).arrayBuffer())).toEqual(Buffer.from([0, 255, 1]));
  });

  it('answers 204 for nothing, and 500 without detail when a function throws', async () => {
    expect((await call('/v1/nothing')).status).toBe(204);
    const response = await call('/v1/broken');
    expect([response.status, await response.text()]).toEqual([500, '']);
  });

  it('runs the hooks around invocations', async () => {
    const before = (await show('/v1/hooks')) as string[];
    expect(before[0]).toBe('appStart');
    expect(before.at(-1)).toBe('pre hooks');
    expect(((await show('/v1/hooks')) as string[]).at(-2)).toBe('post hooks');
  });

  describe('keys', () => {
    const keyOf = (kind: string) =>
      ({ wrong: 'wrong', function: app.functionKey, master: app.masterKey })[kind];

    it.for<[string, string, number]>([
      ['/v1/plain', 'none', 200],
      ['/v1/plain', 'wrong', 200],
      ['/v1/keyed', 'none', 401],
      ['/v1/keyed', 'wrong', 401],
      ['/v1/keyed', 'function', 200],
      ['/v1/keyed', 'master', 200],
      ['/v1/owner', 'none', 401],
      ['/v1/owner', 'function', 401],
      ['/v1/owner', 'master', 200],
      ['/admin/host/status', 'none', 401],
      ['/admin/host/status', 'function', 401],
      ['/admin/host/status', 'master', 200],
    ])(
      '%s with the key "%s" answers %i, by header and by query',
      async ([path, kind, expected], { skip }) => {
        if (app.functionKey === undefined) return skip('HOST_KEY is not given: func start asks for no keys');
        const key = keyOf(kind);
        if (kind === 'master' && key === undefined) return skip('HOST_MASTER_KEY is not given');
        const headers: Record<string, string> = key === undefined ? {} : { 'x-functions-key': key };
        expect((await call(path, { headers })).status).toBe(expected);
        if (key === undefined) return;
        expect((await call(`${path}?code=${encodeURIComponent(key)}`)).status).toBe(expected);
      },
    );

    it('takes the header where both are given', async ({ skip }) => {
      if (app.functionKey === undefined) return skip('HOST_KEY is not given: func start asks for no keys');
      const code = `code=${encodeURIComponent(app.functionKey)}`;
      const wrong = { headers: { 'x-functions-key': 'wrong' } };
      expect((await call(`/v1/keyed?${code}`, wrong)).status).toBe(401);
      const right = { headers: { 'x-functions-key': app.functionKey } };
      expect((await call('/v1/keyed?code=wrong', right)).status).toBe(200);
    });
  });
});
