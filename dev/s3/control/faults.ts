import { isS3ErrorCode, type S3ErrorCode } from '../protocol/errors.ts';

/** What happens to a request that a fault hits. */
export type FaultAction =
  /** The request is answered with this error, and does nothing. */
  | { readonly kind: 'error'; readonly code: S3ErrorCode }
  /** The connection is reset: before the request does anything, or after it has done all of it. */
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' }
  /** The answer's body ends, with the connection, after so many bytes. */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** The request is held up and then goes on as ever. */
  | { readonly kind: 'delay'; readonly delayMs: number };

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
  /** Matching requests that are hit after that; default 1. */
  readonly times?: number;
  readonly action: FaultAction;
}

export interface ActiveFault {
  readonly id: number;
  readonly rule: FaultRule;
  /** How many requests it has hit. */
  readonly hits: number;
  /** How many it will hit yet; rules with none left are gone. */
  readonly left: number;
}

interface FaultState {
  readonly id: number;
  readonly rule: FaultRule;
  readonly keyPattern: RegExp | null;
  skip: number;
  left: number;
  hits: number;
}

/** Holds the faults that are to be injected. */
export class Faults {
  #active: FaultState[] = [];
  #nextId = 1;

  /** Adds a rule behind those that are there. @returns its id */
  add(rule: FaultRule): number {
    const id = this.#nextId;
    this.#nextId += 1;
    const keyPattern = rule.key === undefined ? null : compileGlob(rule.key);
    this.#active.push({ id, rule, keyPattern, skip: rule.skip ?? 0, left: rule.times ?? 1, hits: 0 });
    return id;
  }

  /** @returns false if there is no such rule (any more) */
  remove(id: number): boolean {
    const before = this.#active.length;
    this.#active = this.#active.filter((fault) => fault.id !== id);
    return this.#active.length < before;
  }

  clear(): void {
    this.#active = [];
  }

  list(): ActiveFault[] {
    return this.#active.map(({ id, rule, hits, left }) => ({ id, rule, hits, left }));
  }

  /** Takes the faults that hit this request, each rule counting it once. */
  take(request: {
    readonly method: string;
    readonly operation: string;
    readonly bucket: string;
    readonly key: string;
  }): FaultAction[] {
    const actions: FaultAction[] = [];
    for (const fault of this.#active) {
      const { rule } = fault;
      const matches =
        (rule.method ?? request.method) === request.method &&
        (rule.operation ?? request.operation) === request.operation &&
        (rule.bucket ?? request.bucket) === request.bucket &&
        (fault.keyPattern === null || fault.keyPattern.test(request.key));
      if (!matches) continue;
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      fault.left -= 1;
      fault.hits += 1;
      actions.push(rule.action);
    }
    this.#active = this.#active.filter((fault) => fault.left > 0);
    return actions;
  }
}

/**
 * Reads a rule from JSON.
 *
 * @throws Error that says which field is wrong and what it may be
 */
export function readFaultRule(value: unknown): FaultRule {
  const input = asRecord(value, 'a fault');
  const known = ['method', 'operation', 'bucket', 'key', 'skip', 'times', 'action'];
  const unknown = Object.keys(input).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`A fault has no field ${unknown}; it may have ${known.join(', ')}.`);
  for (const name of ['method', 'operation', 'bucket', 'key'] as const) {
    if (input[name] !== undefined && typeof input[name] !== 'string')
      throw new Error(`${name} must be a string.`);
  }
  for (const [name, least] of [
    ['skip', 0],
    ['times', 1],
  ] as const) {
    if (input[name] !== undefined) requireCount(name, input[name], least);
  }
  return { ...(input as Omit<FaultRule, 'action'>), action: readAction(input['action']) };
}

function readAction(value: unknown): FaultAction {
  const action = asRecord(value, 'action');
  switch (action['kind']) {
    case 'error': {
      const code = action['code'];
      if (typeof code !== 'string' || !isS3ErrorCode(code)) {
        throw new Error(
          'action.code must be an error code of S3 that this endpoint knows, as SlowDown or InternalError.',
        );
      }
      return { kind: 'error', code };
    }
    case 'reset': {
      const when = action['when'] ?? 'before';
      if (when !== 'before' && when !== 'after') throw new Error('action.when must be before or after.');
      return { kind: 'reset', when };
    }
    case 'truncate':
      return { kind: 'truncate', afterBytes: requireCount('action.afterBytes', action['afterBytes'], 0) };
    case 'delay':
      return { kind: 'delay', delayMs: requireCount('action.delayMs', action['delayMs'], 0) };
    default:
      throw new Error('action.kind must be error, reset, truncate or delay.');
  }
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

function compileGlob(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'su');
}
