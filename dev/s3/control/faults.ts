import { createHash } from 'node:crypto';
import type { FaultAction, FaultRule } from './fault-rule.ts';

export interface ActiveFault {
  readonly id: number;
  readonly rule: FaultRule;
  /** How many requests it has hit. */
  readonly hits: number;
  /** How many it will hit yet, `null` for any number; rules with none left are gone. */
  readonly left: number | null;
}

/** What a rule looks at. */
export interface FaultTarget {
  readonly method: string;
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
}

interface FaultState {
  readonly id: number;
  readonly rule: FaultRule;
  readonly keyPattern: RegExp | null;
  skip: number;
  /** Infinity for any number. */
  left: number;
  hits: number;
  /** Matching requests so far by what they are aimed at; only for rules with `percent`. */
  readonly attempts: Map<string, number>;
}

/** Holds the faults that are to be injected. */
export class Faults {
  #active: FaultState[] = [];
  #nextId = 1;

  /** Adds a rule behind those that are there. @returns its id */
  add(rule: FaultRule): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#active.push({
      id,
      rule,
      keyPattern: rule.key === undefined ? null : compileGlob(rule.key),
      skip: rule.skip ?? 0,
      left: rule.times ?? (rule.percent === undefined ? 1 : Number.POSITIVE_INFINITY),
      hits: 0,
      attempts: new Map(),
    });
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
    return this.#active.map(({ id, rule, hits, left }) => ({
      id,
      rule,
      hits,
      left: Number.isFinite(left) ? left : null,
    }));
  }

  /** Takes the faults that hit this request, each rule counting it once. */
  take(target: FaultTarget): FaultAction[] {
    const actions: FaultAction[] = [];
    for (const fault of this.#active) {
      if (!matches(fault, target)) continue;
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      if (!isDrawn(fault, target)) continue;
      fault.left -= 1;
      fault.hits += 1;
      actions.push(fault.rule.action);
    }
    this.#active = this.#active.filter((fault) => fault.left > 0);
    return actions;
  }
}

function matches({ rule, keyPattern }: FaultState, target: FaultTarget): boolean {
  return (
    (rule.method ?? target.method) === target.method &&
    (rule.operation ?? target.operation) === target.operation &&
    (rule.bucket ?? target.bucket) === target.bucket &&
    (keyPattern === null || keyPattern.test(target.key))
  );
}

/**
 * Whether a rule's percentage hits this request.
 *
 * It depends on seed, target, and how often this target was asked for: so a seed hits the same requests each time,
 * in whatever order concurrent ones come in.
 */
function isDrawn({ rule, attempts }: FaultState, target: FaultTarget): boolean {
  if (rule.percent === undefined) return true;
  const name = JSON.stringify([target.method, target.operation, target.bucket, target.key]);
  const attempt = (attempts.get(name) ?? 0) + 1;
  attempts.set(name, attempt);
  const digest = createHash('sha256')
    .update(`${rule.seed ?? 1} ${attempt} ${name}`)
    .digest();
  return digest.readUInt32BE() / 2 ** 32 < rule.percent / 100;
}

function compileGlob(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'su');
}
