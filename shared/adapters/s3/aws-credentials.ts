/** Keys as AWS issues them. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only temporary keys have one. */
  readonly sessionToken?: string;
  /** End of temporary keys. Left out: they last until they are revoked. */
  readonly expiresAt?: Date;
  /** ARN of the role whose session they belong to, with the session's name. */
  readonly role?: string;
}

/**
 * How requests to the bucket are signed.
 * - `anonymous`: not at all; for public buckets.
 * - `provider`: by keys that are asked for with every request; see `renewedKeys` for who keeps them.
 */
export type AwsCredentials =
  | { readonly kind: 'anonymous' }
  | ({ readonly kind: 'keys' } & AwsKeys)
  | { readonly kind: 'provider'; readonly provide: () => Promise<AwsKeys> };

/** One function for all kinds of keys; `null` for anonymous. */
export function keysProviderOf(credentials: AwsCredentials): (() => Promise<AwsKeys>) | null {
  if (credentials.kind === 'anonymous') return null;
  if (credentials.kind === 'provider') return credentials.provide;
  const { kind: _kind, ...keys } = credentials;
  return async () => keys;
}

/** After a try to renew keys has failed, those that are there are used for so long before the next try. */
const RETRY_AFTER_MS = 30_000;

/**
 * Keeps keys, with one request for new ones under way at most.
 *
 * They are renewed at half of their time, not at its end: a URL ends with the keys that signed it, and ADX may come for
 * it much later. Until they have ended, keys that could not be renewed are used further.
 *
 * @param now - the clock.
 */
export function renewedKeys(
  provide: () => Promise<AwsKeys>,
  now: () => Date = () => new Date(),
): () => Promise<AwsKeys> {
  let current: { readonly keys: AwsKeys; readonly renewAtMs: number } | null = null;
  let asking: Promise<AwsKeys> | null = null;
  const ask = async (): Promise<AwsKeys> => {
    try {
      const keys = await provide();
      const nowMs = now().getTime();
      current = { keys, renewAtMs: nowMs + (endOf(keys) - nowMs) / 2 };
      return keys;
    } catch (error) {
      const nowMs = now().getTime();
      if (current === null || nowMs >= endOf(current.keys)) throw error;
      current = { keys: current.keys, renewAtMs: nowMs + RETRY_AFTER_MS };
      return current.keys;
    }
  };
  return async () => {
    if (current !== null && now().getTime() < current.renewAtMs) return current.keys;
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  };
}

function endOf({ expiresAt }: AwsKeys): number {
  return expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
}
