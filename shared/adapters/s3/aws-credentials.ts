/** Keys as AWS issues them. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only temporary keys have one. */
  readonly sessionToken?: string;
  /** End of temporary keys. Left out: they last until they are revoked. */
  readonly expiresAt?: Date;
}

/**
 * How requests to the bucket are signed.
 * - `anonymous`: not at all; for public buckets.
 * - `provider`: keys are asked for when they are needed and asked for again before they end.
 */
export type AwsCredentials =
  | { readonly kind: 'anonymous' }
  | ({ readonly kind: 'keys' } & AwsKeys)
  | { readonly kind: 'provider'; readonly provide: () => Promise<AwsKeys> };

/** Keys with less than this left are asked for again. */
const RENEW_BEFORE_MS = 5 * 60_000;

/**
 * One function for all kinds of keys, with one request under way at most; `null` for anonymous.
 *
 * @param now - the clock.
 */
export function keysProviderOf(
  credentials: AwsCredentials,
  now: () => Date = () => new Date(),
): (() => Promise<AwsKeys>) | null {
  if (credentials.kind === 'anonymous') return null;
  if (credentials.kind === 'keys') {
    const { kind: _kind, ...keys } = credentials;
    return async () => keys;
  }
  let current: AwsKeys | null = null;
  let asking: Promise<AwsKeys> | null = null;
  const isFresh = (keys: AwsKeys) =>
    keys.expiresAt === undefined || keys.expiresAt.getTime() - now().getTime() > RENEW_BEFORE_MS;
  return async () => {
    if (current !== null && isFresh(current)) return current;
    asking ??= credentials.provide().finally(() => {
      asking = null;
    });
    current = await asking;
    return current;
  };
}
