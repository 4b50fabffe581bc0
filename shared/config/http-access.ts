/**
 * Who may call the HTTP API.
 * - `keys`: whoever has a function key.
 * - `entra`: whoever signed in through App Service authentication and has an app role for it.
 */
export type HttpAuth = 'keys' | 'entra';

/**
 * Reads `LOADER_HTTP_AUTH`; default `keys`.
 *
 * App Service takes the header with the caller's claims away from requests only where its authentication is switched on,
 * which it says in `WEBSITE_AUTH_ENABLED`. Without it anybody could send that header, so `entra` is refused.
 */
export function readHttpAuth(
  env: Readonly<Record<string, string | undefined>>,
  problem: (field: string, message: string) => void,
): HttpAuth {
  const value = env['LOADER_HTTP_AUTH'] || 'keys';
  if (value !== 'keys' && value !== 'entra') problem('LOADER_HTTP_AUTH', 'must be keys or entra');
  if (value === 'entra' && env['WEBSITE_AUTH_ENABLED']?.toLowerCase() !== 'true')
    problem(
      'LOADER_HTTP_AUTH',
      'must be keys as long as App Service authentication is not switched on for this app (WEBSITE_AUTH_ENABLED)',
    );
  return value === 'entra' ? 'entra' : 'keys';
}

/** Fifty a second: more than a page with a hundred watchers asks. */
const REQUESTS_PER_MINUTE = 3000;

/** Reads `LOADER_HTTP_REQUESTS_PER_MINUTE`: GET calls that a process answers in a minute. */
export function readRequestsPerMinute(
  env: Readonly<Record<string, string | undefined>>,
  problem: (field: string, message: string) => void,
): number {
  const value = env['LOADER_HTTP_REQUESTS_PER_MINUTE'] || String(REQUESTS_PER_MINUTE);
  const count = Number(value);
  if (Number.isInteger(count) && count >= 10) return count;
  problem('LOADER_HTTP_REQUESTS_PER_MINUTE', 'must be a whole number of at least 10');
  return REQUESTS_PER_MINUTE;
}
