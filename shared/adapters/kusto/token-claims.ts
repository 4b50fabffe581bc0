/** Claims of Entra that name who signed in, and what they are called here. Source: Microsoft's reference of access token claims. */
const NAMES = { appid: 'application', azp: 'application', upn: 'user', oid: 'object id', tid: 'tenant' };

/**
 * Whom an access token of Entra was issued to, in words: `application 11…, object id 22…, tenant 33…`. The token is not
 * checked; that is for who receives it. A token that can't be read has no names, and nothing of it is told.
 */
export function holderOf(token: string): string {
  const claims = claimsOf(token);
  const named = Object.entries(NAMES).flatMap(([claim, name]) => {
    const value = claims[claim];
    return typeof value === 'string' && value !== '' ? [`${name} ${value}`] : [];
  });
  return named.length === 0 ? 'an identity whose token names nobody' : named.join(', ');
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
