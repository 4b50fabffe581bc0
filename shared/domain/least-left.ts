const LEAST_MS = 30 * 60_000;
const BATCHING_WINDOWS = 3;

/**
 * Time that credentials must have left when a URL is signed, in milliseconds: the URL ends with them, and ADX comes for the
 * object once it has collected a batch, or later when it is busy.
 *
 * @param batchingWindowMs - of the table; 0 where it is not known.
 */
export function leastLeftMs(batchingWindowMs: number, timeScale: number): number {
  return Math.max(LEAST_MS, BATCHING_WINDOWS * batchingWindowMs) / timeScale;
}
