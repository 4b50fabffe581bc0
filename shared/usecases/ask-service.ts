import { ERROR_KINDS, type ErrorCode, LoaderError, toLoaderError } from '../errors/loader-error.ts';
import type { Loader } from './loader.ts';

/** How long a service took, and what it answered or why it did not. `code`, `message` and `remedy` are `null` when it did. */
export type ServiceAnswer<Value> = { readonly latencyMs: number } & (
  | {
      readonly ok: true;
      readonly value: Value;
      readonly code: null;
      readonly message: null;
      readonly remedy: null;
    }
  | {
      readonly ok: false;
      readonly value: null;
      readonly code: ErrorCode;
      readonly message: string;
      readonly remedy: string;
    }
);

/**
 * Asks a service one question, and never throws.
 *
 * @param limit - `noAnswer` is the code when it takes longer than `timeoutMs`; what can't be aborted goes on by itself, and
 *   nobody waits for it.
 */
export async function askService<Value>(
  { now }: Pick<Loader, 'now'>,
  limit: { readonly noAnswer: ErrorCode; readonly timeoutMs: number },
  question: (signal: AbortSignal) => Promise<Value>,
): Promise<ServiceAnswer<Value>> {
  const since = now().getTime();
  const latencyMs = () => now().getTime() - since;
  try {
    const value = await inTime(limit, question);
    return { ok: true, value, latencyMs: latencyMs(), code: null, message: null, remedy: null };
  } catch (thrown) {
    const { code, message } = toLoaderError(thrown);
    const { remedy } = ERROR_KINDS[code];
    return { ok: false, value: null, latencyMs: latencyMs(), code, message, remedy };
  }
}

/**
 * What the question is answered with.
 *
 * @throws {LoaderError} `noAnswer` when it takes longer than `timeoutMs`; whatever the question throws.
 */
export async function inTime<Value>(
  { noAnswer, timeoutMs }: { readonly noAnswer: ErrorCode; readonly timeoutMs: number },
  question: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new LoaderError(noAnswer, `There was no answer within ${timeoutMs / 1000} s`);
      reject(error);
      controller.abort(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([question(controller.signal), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
