import type { HttpRequest } from '@azure/functions';

import { readHttpAuth } from '../../shared/config/http-access.ts';
import { LoaderError, type Problem } from '../../shared/errors/loader-error.ts';

/** What a caller may do; each role includes those before it. The app roles in Entra have these values. */
export const ROLES = ['reader', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/**
 * Whether the host asks for a function key. With `entra` it does not: App Service has checked the token, and `checkCaller`
 * looks at the roles. A setting that is not valid asks for a key; the handlers refuse it then.
 */
export const API_AUTH_LEVEL =
  readHttpAuth(process.env, () => undefined) === 'entra' ? 'anonymous' : 'function';

/** Header in which App Service authentication hands on the claims of a token it has checked: base64 of JSON. */
const PRINCIPAL_HEADER = 'x-ms-client-principal';

/**
 * Refuses who may not do it. With `keys` the host has checked the key, and no header is looked at.
 *
 * @throws {LoaderError} `notSignedIn`, `roleNeeded`, `invalidSettings`.
 */
export function checkCaller(
  request: Pick<HttpRequest, 'headers'>,
  needed: Role,
  env: Readonly<Record<string, string | undefined>> = process.env,
): void {
  const problems: Problem[] = [];
  const auth = readHttpAuth(env, (field, message) => problems.push({ field, message }));
  if (problems.length > 0)
    throw new LoaderError('invalidSettings', 'App settings are not valid', { problems });
  if (auth === 'keys') return;
  const roles = rolesOf(request.headers.get(PRINCIPAL_HEADER));
  if (roles === null) throw new LoaderError('notSignedIn', 'The request carries no sign-in of Entra');
  if (!roles.some((role) => (ROLES as readonly string[]).indexOf(role) >= ROLES.indexOf(needed)))
    throw new LoaderError('roleNeeded', `This needs the app role "${needed}", or one above it`);
}

interface Principal {
  readonly auth_typ?: unknown;
  /** Type of the claims that hold roles. */
  readonly role_typ?: unknown;
  readonly claims?: unknown;
}

/** App roles of who signed in; `null` when nobody did, or by another identity provider. */
function rolesOf(header: string | null): readonly string[] | null {
  const principal = parse(header);
  if (principal?.auth_typ !== 'aad' || !Array.isArray(principal.claims)) return null;
  const types = ['roles', principal.role_typ];
  return principal.claims.flatMap((claim: { typ?: unknown; val?: unknown } | null) =>
    typeof claim?.val === 'string' && types.includes(claim.typ) ? [claim.val] : [],
  );
}

function parse(header: string | null): Principal | null {
  if (header === null) return null;
  try {
    return JSON.parse(Buffer.from(header, 'base64').toString('utf8')) as Principal | null;
  } catch {
    return null;
  }
}
