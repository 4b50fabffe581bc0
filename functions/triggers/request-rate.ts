import { readRequestsPerMinute } from '../../shared/config/http-access.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';
import type { Role } from './caller.ts';

/** What changes something, or asks the services, costs more than a look: a fifth as many are answered. */
const CHANGES_SHARE = 0.2;

/**
 * Makes a limit of requests for one process: a token bucket of a minute's requests for those that read, and another for
 * the rest, so that neither keeps the other out.
 *
 * @param now - milliseconds of any clock that does not go back.
 */
export function createRequestRate(
  perMinute: number,
  now: () => number = () => performance.now(),
): (role: Role) => void {
  const buckets = {
    reads: createBucket(perMinute, now),
    changes: createBucket(Math.max(1, perMinute * CHANGES_SHARE), now),
  };
  return (role) => {
    if (!buckets[role === 'reader' ? 'reads' : 'changes']())
      throw new LoaderError(
        'tooManyRequests',
        'This process has had as many requests as it answers in a minute',
      );
  };
}

/** @returns a function that says whether there is room for one more. */
function createBucket(perMinute: number, now: () => number): () => boolean {
  let left = perMinute;
  let at = now();
  return () => {
    const then = at;
    at = now();
    left = Math.min(perMinute, left + ((at - then) / 60_000) * perMinute);
    if (left < 1) return false;
    left -= 1;
    return true;
  };
}

let ofProcess: ((role: Role) => void) | null = null;

/** @throws {LoaderError} `tooManyRequests`. */
export function checkRequestRate(role: Role): void {
  // A setting that is not valid is told when the settings are read, behind this.
  ofProcess ??= createRequestRate(readRequestsPerMinute(process.env, () => undefined));
  ofProcess(role);
}
