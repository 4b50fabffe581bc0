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
