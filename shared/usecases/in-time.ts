import { type ErrorCode, LoaderError } from '../errors/loader-error.ts';

/**
 * Rejects with the code when the work takes too long; what can't be aborted goes on by itself, and nobody waits for it.
 */
export async function inTime<Value>(
  code: ErrorCode,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new LoaderError(code, `There was no answer within ${timeoutMs / 1000} s`);
      reject(error);
      controller.abort(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(controller.signal), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
