import { LoaderError } from '../../errors/loader-error.ts';

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
 * Gives keys.
 *
 * @param leastLeftMs - time that they should have left, as far as whoever gives them can do that. Default: none.
 */
export type KeysProvider = (leastLeftMs?: number) => Promise<AwsKeys>;

/**
 * How requests to the bucket are signed.
 * - `anonymous`: not at all; for public buckets.
 * - `provider`: by keys that are asked for with every request; see `renewedKeys` for who keeps them.
 */
export type AwsCredentials =
  | { readonly kind: 'anonymous' }
  | ({ readonly kind: 'keys' } & AwsKeys)
  | { readonly kind: 'provider'; readonly provide: KeysProvider };

/** One function for all kinds of keys; `null` for anonymous. */
export function keysProviderOf(credentials: AwsCredentials): KeysProvider | null {
  if (credentials.kind === 'anonymous') return null;
  if (credentials.kind === 'provider') return credentials.provide;
  const { kind: _kind, ...keys } = credentials;
  return async () => keys;
}

/** After a try to renew keys has failed, those that are there are used for so long before the next try. */
const RETRY_AFTER_MS = 30_000;

interface KeptKeys {
  readonly keys: AwsKeys;
  /** Time that they had left when they were given. */
  readonly lifeMs: number;
  readonly renewAtMs: number;
}

/**
 * Keeps keys, with one request for new ones under way at most.
 *
 * They are renewed after a third of their time, not at its end: a URL ends with the keys that signed it, and ADX may come
 * for it much later. Of a session of an hour half an hour is left, then, also when renewing fails for ten minutes. Until
 * they have ended, keys that could not be renewed are used further, but not where more time is asked for than they have.
 * Keys that last too briefly from the start are given as they are.
 *
 * @param now - the clock.
 */
export function renewedKeys(
  provide: () => Promise<AwsKeys>,
  now: () => Date = () => new Date(),
): KeysProvider {
  let kept: KeptKeys | null = null;
  let failed: { readonly error: unknown; readonly retryAtMs: number } | null = null;
  let asking: Promise<void> | null = null;
  const ask = async (): Promise<void> => {
    try {
      const keys = await provide();
      const nowMs = now().getTime();
      const lifeMs = endOf(keys) - nowMs;
      kept = { keys, lifeMs, renewAtMs: nowMs + lifeMs / 3 };
      failed = null;
    } catch (error) {
      failed = { error, retryAtMs: now().getTime() + RETRY_AFTER_MS };
    }
  };
  const lasts = (atLeastMs: number) => kept !== null && endOf(kept.keys) - now().getTime() > atLeastMs;
  const isDue = (leastLeftMs: number) => {
    const nowMs = now().getTime();
    if (kept === null || !lasts(0)) return true;
    if (failed !== null && nowMs < failed.retryAtMs) return false;
    // New ones of a kind that never lasts so long would be no better.
    return nowMs >= kept.renewAtMs || (!lasts(leastLeftMs) && kept.lifeMs > leastLeftMs);
  };
  return async (leastLeftMs = 0) => {
    if (isDue(leastLeftMs)) {
      asking ??= ask().finally(() => {
        asking = null;
      });
      await asking;
    }
    if (kept !== null && (failed === null || lasts(leastLeftMs))) return kept.keys;
    throw failed!.error;
  };
}

/** @throws {LoaderError} `sourceAccessDenied` when the keys have ended, `credentialsEndTooSoon` when they soon will. */
export function requireLeft(
  keys: AwsKeys,
  { bucket, leastLeftMs, now }: { readonly bucket: string; readonly leastLeftMs: number; readonly now: Date },
): void {
  const leftMs = endOf(keys) - now.getTime();
  if (leftMs > leastLeftMs) return;
  const end = keys.expiresAt?.toISOString();
  if (leftMs <= 0) {
    throw new LoaderError(
      'sourceAccessDenied',
      `The temporary credentials for bucket "${bucket}" ended at ${end}; renew them.`,
    );
  }
  const minutes = (ms: number) => Math.floor(ms / 6000) / 10;
  throw new LoaderError(
    'credentialsEndTooSoon',
    `The credentials for bucket "${bucket}" end at ${end}, in ${minutes(leftMs)} minutes; ${minutes(leastLeftMs)} minutes must be left when URLs are signed.`,
  );
}

function endOf({ expiresAt }: AwsKeys): number {
  return expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
}
