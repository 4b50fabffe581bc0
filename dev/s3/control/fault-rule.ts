import { isS3ErrorCode, type S3ErrorCode } from '../protocol/errors.ts';

/** What happens to a request that a fault hits. */
export type FaultAction =
  /** The request is answered with this error, and does nothing. */
  | { readonly kind: 'error'; readonly code: S3ErrorCode }
  /** The connection is reset: before the request does anything, or after it has done all of it. */
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' }
  /** The connection is reset when so many bytes of the answer's body are sent. */
  | { readonly kind: 'reset'; readonly when: 'body'; readonly afterBytes: number }
  /** The answer's body ends, with the connection, after so many bytes. */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** The request is held up and then goes on as ever. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** The answer's body comes no faster than this. */
  | { readonly kind: 'trickle'; readonly bytesPerSecond: number }
  /** The object that the request names is overwritten with these bytes, then the request goes on as ever. */
  | { readonly kind: 'replace'; readonly body: string };

export interface FaultRule {
  /** Every field that is given has to match; one that is left out matches everything. */
  readonly method?: string;
  /** As in S3's API: `GetObject`, `ListObjectsV2`. */
  readonly operation?: string;
  readonly bucket?: string;
  /** Glob over the whole key: `*` is any run of characters, `?` is one. */
  readonly key?: string;
  /** Matching requests that are let through first; default 0. */
  readonly skip?: number;
  /** Requests that are hit after that; default 1, without limit where `percent` is given. */
  readonly times?: number;
  /** How many of a hundred matching requests are hit, more than 0 and at most 100; default all. */
  readonly percent?: number;
  /** Which ones `percent` hits, a whole number; default 1. */
  readonly seed?: number;
  readonly action: FaultAction;
}

const fields = ['method', 'operation', 'bucket', 'key', 'skip', 'times', 'percent', 'seed', 'action'];

/**
 * Reads a rule from JSON.
 *
 * @throws Error that says which field is wrong and what it may be
 */
export function readFaultRule(value: unknown): FaultRule {
  const input = asRecord(value, 'a fault');
  refuseOtherFields(input, 'A fault', fields);
  for (const name of ['method', 'operation', 'bucket', 'key'] as const) {
    if (input[name] !== undefined && typeof input[name] !== 'string')
      throw new Error(`${name} must be a string.`);
  }
  for (const [name, least] of [
    ['skip', 0],
    ['times', 1],
    ['seed', 0],
  ] as const) {
    if (input[name] !== undefined) requireCount(name, input[name], least);
  }
  const { percent } = input;
  if (percent !== undefined && !(typeof percent === 'number' && percent > 0 && percent <= 100)) {
    throw new Error('percent must be a number, more than 0 and at most 100.');
  }
  if (input['seed'] !== undefined && percent === undefined)
    throw new Error('seed says which requests percent hits: give percent, too.');
  return { ...(input as Omit<FaultRule, 'action'>), action: readAction(input['action']) };
}

function readAction(value: unknown): FaultAction {
  const action = asRecord(value, 'action');
  const { kind } = action;
  const only = (...names: string[]): void =>
    refuseOtherFields(action, `An action of kind ${String(kind)}`, ['kind', ...names]);
  const count = (name: string, least: number): number => requireCount(`action.${name}`, action[name], least);
  switch (kind) {
    case 'error': {
      only('code');
      const { code } = action;
      if (typeof code !== 'string' || !isS3ErrorCode(code)) {
        throw new Error(
          'action.code must be an error code of S3 that this endpoint knows, as SlowDown or InternalError.',
        );
      }
      return { kind, code };
    }
    case 'reset': {
      const when = action['when'] ?? 'before';
      if (when === 'body') {
        only('when', 'afterBytes');
        return { kind, when, afterBytes: count('afterBytes', 0) };
      }
      if (when !== 'before' && when !== 'after')
        throw new Error('action.when must be before, body or after.');
      only('when');
      return { kind, when };
    }
    case 'truncate':
      only('afterBytes');
      return { kind, afterBytes: count('afterBytes', 0) };
    case 'delay':
      only('delayMs');
      return { kind, delayMs: count('delayMs', 0) };
    case 'trickle':
      only('bytesPerSecond');
      return { kind, bytesPerSecond: count('bytesPerSecond', 1) };
    case 'replace': {
      only('body');
      const { body } = action;
      if (typeof body !== 'string') throw new Error('action.body must be a string.');
      return { kind, body };
    }
    default:
      throw new Error('action.kind must be error, reset, truncate, delay, trickle or replace.');
  }
}

function refuseOtherFields(input: Record<string, unknown>, what: string, known: readonly string[]): void {
  const unknown = Object.keys(input).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`${what} has no field ${unknown}; it may have ${known.join(', ')}.`);
}

function asRecord(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${name} must be a JSON object.`);
  }
  return value as Record<string, unknown>;
}

function requireCount(name: string, value: unknown, least: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw new Error(`${name} must be a whole number, at least ${least}.`);
  }
  return value;
}
