import type { Limit } from '../ingest/concurrency.ts';

/** Answers of a storage service that may be another one next time; so is no answer at all. */
export function isPassing(error: unknown): boolean {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (code === 'ERR_INVALID_URL') return false;
  return statusCode === undefined || statusCode === 408 || statusCode === 429 || statusCode >= 500;
}

/** What to call an error of a storage client in one word: never a URL, which may hold a signature. */
export function nameOf(error: unknown): string {
  const { code, statusCode, name } = error as { code?: string; statusCode?: number; name?: string };
  return code ?? (statusCode === undefined ? (name ?? 'unknown error') : `HTTP ${statusCode}`);
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/**
 * A connection may be dead without either end knowing it. Long, because a busy Azurite was seen to answer after more than a minute: it
 * carries out what was given up, too, and a new try makes it slower still.
 */
export const TRY_TIMEOUT_MS = 300_000;
/** How long a try may still take when its caller stops. */
const LAST_TRY_MS = 5_000;

export interface RetryOptions {
  /** Ends the waiting: a try that is under way may come to its end, another one is not made. */
  readonly signal: AbortSignal;
  /** For how long to try again. Default 30 min. */
  readonly forMs?: number;
  /** For the tries, not for the pauses between them. */
  readonly limit?: Limit;
}

/**
 * Runs `work` until it succeeds, for as long as its errors are passing ones. `work` must be harmless when it is done twice.
 * @throws what `work` throws, when that will not pass, or the time is over.
 */
export async function retryPassing<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { signal, forMs = 1_800_000, limit }: RetryOptions,
): Promise<T> {
  const until = Date.now() + forMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      const attempt = () => tryOnce(work, signal);
      return await (limit === undefined ? attempt() : limit.run(attempt));
    } catch (error) {
      if (!isPassing(error) || signal.aborted || Date.now() + pauseMs > until) throw error;
      await pause(pauseMs, signal);
    }
  }
}

async function tryOnce<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
  const controller = new AbortController();
  const abortIn = (ms: number) => setTimeout(() => controller.abort(), ms);
  let timer = abortIn(signal.aborted ? LAST_TRY_MS : TRY_TIMEOUT_MS);
  const hurry = () => {
    clearTimeout(timer);
    timer = abortIn(LAST_TRY_MS);
  };
  signal.addEventListener('abort', hurry);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', hurry);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
