import {
  type CompleteFaultRule,
  readFaultRule,
  type StorageFaultAction,
  type StorageFaultRule,
  type StorageService,
} from './fault-rule.ts';

export interface ActiveStorageFault {
  readonly id: number;
  readonly rule: CompleteFaultRule;
  /** How many requests it has hit. */
  readonly hits: number;
  /** How many it will hit yet; null for no end. A rule with none left stays in the list until it is removed. */
  readonly left: number | null;
}

interface FaultState {
  readonly id: number;
  readonly rule: CompleteFaultRule;
  readonly draw: () => number;
  skip: number;
  hits: number;
  left: number;
}

/** The rules of one proxy. The same rules and the same order of matching requests give the same faults. */
export class StorageFaults {
  #rules: FaultState[] = [];
  #nextId = 1;

  /**
   * Adds a rule behind those that are there.
   *
   * @returns its id
   * @throws Error that says which field is wrong and what it may be
   */
  add(input: StorageFaultRule): number {
    const rule = readFaultRule(input);
    const id = this.#nextId;
    this.#nextId += 1;
    const left = rule.count ?? (rule.percent === undefined ? 1 : Number.POSITIVE_INFINITY);
    this.#rules.push({ id, rule, draw: createDraw(rule.seed), skip: rule.skip, hits: 0, left });
    return id;
  }

  /** @returns false if there is no such rule */
  remove(id: number): boolean {
    const before = this.#rules.length;
    this.#rules = this.#rules.filter((each) => each.id !== id);
    return this.#rules.length < before;
  }

  clear(): void {
    this.#rules = [];
  }

  list(): ActiveStorageFault[] {
    return this.#rules.map(({ id, rule, hits, left }) => ({
      id,
      rule,
      hits,
      left: Number.isFinite(left) ? left : null,
    }));
  }

  /** What the first rule that hits this request does to it; null when none does. */
  take(request: {
    readonly service: StorageService;
    readonly method: string;
    readonly path: string;
  }): StorageFaultAction | null {
    for (const fault of this.#rules) {
      if (fault.left === 0 || !matches(fault.rule, request)) continue;
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      if (fault.rule.percent !== undefined && fault.draw() * 100 >= fault.rule.percent) continue;
      fault.left -= 1;
      fault.hits += 1;
      return fault.rule.action;
    }
    return null;
  }
}

function matches(
  rule: CompleteFaultRule,
  request: { readonly service: StorageService; readonly method: string; readonly path: string },
): boolean {
  return (
    (rule.service ?? request.service) === request.service &&
    (rule.method ?? request.method) === request.method &&
    (rule.path === undefined || request.path.includes(rule.path))
  );
}

/** Numbers in [0, 1), the same ones for the same seed (mulberry32). */
function createDraw(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
