import { expect, test } from 'vitest';

import { holderOf } from '../../../shared/adapters/kusto/token-claims.ts';

const tokenOf = (claims: unknown) =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`;

test('the holder of a token is named by its claims', () => {
  expect(holderOf(tokenOf({ appid: 'a', oid: 'o', tid: 't', aud: 'x', xms_secret: 's' }))).toBe(
    'application a, object id o, tenant t',
  );
  expect(holderOf(tokenOf({ upn: 'jo@example.com', tid: 't' }))).toBe('user jo@example.com, tenant t');
});

test.each(['', 'opaque', 'a.b.c', 'e30.bnVsbA.x', tokenOf([]), tokenOf({ oid: 5 })])(
  'of a token that can not be read nothing is told: %s',
  (token) => {
    expect(holderOf(token)).toBe('an identity whose token names nobody');
  },
);
