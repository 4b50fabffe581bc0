/**
 * Values of type dynamic. They are kept as JSON text; where they are read, objects are Maps and numbers keep their
 * text, because JavaScript's objects move keys like `"2"` to the front and its numbers round above 2^53.
 */
export type DynamicValue =
  | null
  | boolean
  | string
  | DynamicNumber
  | readonly DynamicValue[]
  | ReadonlyMap<string, DynamicValue>;

export interface DynamicNumber {
  readonly number: string;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\]|\\.)*"/sy;
const BLANKS = /[ \t\r\n]*/y;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;

class Reader {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): DynamicValue {
    const value = this.#value();
    this.#take(BLANKS);
    if (this.#position < this.#text.length) throw new SyntaxError('text after the value');
    return value;
  }

  #value(): DynamicValue {
    this.#take(BLANKS);
    const first = this.#text[this.#position];
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    if (first === '"') return this.#string();
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#text.startsWith(word, this.#position)) {
        this.#position += word.length;
        return value;
      }
    }
    const number = this.#take(NUMBER);
    if (number === '') throw new SyntaxError('no value');
    return { number };
  }

  #object(): DynamicValue {
    const object = new Map<string, DynamicValue>();
    this.#position += 1;
    if (this.#isNext('}')) return object;
    do {
      this.#take(BLANKS);
      const key = this.#string();
      if (!this.#isNext(':')) throw new SyntaxError('no colon');
      object.set(key, this.#value());
    } while (this.#isNext(','));
    if (!this.#isNext('}')) throw new SyntaxError('no closing brace');
    return object;
  }

  #array(): DynamicValue {
    const array: DynamicValue[] = [];
    this.#position += 1;
    if (this.#isNext(']')) return array;
    do array.push(this.#value());
    while (this.#isNext(','));
    if (!this.#isNext(']')) throw new SyntaxError('no closing bracket');
    return array;
  }

  #string(): string {
    const text = this.#take(STRING);
    if (text === '') throw new SyntaxError('no string');
    return JSON.parse(text) as string;
  }

  #isNext(character: string): boolean {
    this.#take(BLANKS);
    if (this.#text[this.#position] !== character) return false;
    this.#position += 1;
    return true;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#position += found.length;
    return found;
  }
}

/** @returns undefined for text that is not JSON. */
export function readDynamic(text: string): DynamicValue | undefined {
  try {
    return new Reader(text).read();
  } catch {
    return undefined;
  }
}

/** A stored value; what is not JSON in a dynamic column is a string. */
export function requireDynamic(text: string): DynamicValue {
  const value = readDynamic(text);
  return value === undefined ? text : value;
}

/** JSON without blanks, keys in their order. */
export function formatDynamic(value: DynamicValue): string {
  if (isList(value)) return `[${value.map(formatDynamic).join(',')}]`;
  if (isBag(value))
    return `{${[...value].map(([key, inner]) => `${JSON.stringify(key)}:${formatDynamic(inner)}`).join(',')}}`;
  return isNumber(value) ? value.number : JSON.stringify(value);
}

/** Numbers as the service keeps them: a long, or else a real. */
export function normalizeNumbers(value: DynamicValue): DynamicValue {
  if (isList(value)) return value.map(normalizeNumbers);
  if (isBag(value)) return new Map([...value].map(([key, inner]) => [key, normalizeNumbers(inner)]));
  if (!isNumber(value)) return value;
  if (/^-?\d+$/.test(value.number)) {
    const integer = BigInt(value.number);
    if (integer >= MIN_LONG && integer <= MAX_LONG) return { number: String(integer) };
  }
  return makeReal(Number(value.number));
}

/** A real inside a dynamic is never written like a long. Those that JSON has no number for are strings. */
export function makeReal(value: number): DynamicValue {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const text = Object.is(value, -0) ? '-0' : String(value);
  return { number: /[.e]/.test(text) ? text : `${text}.0` };
}

export function isList(value: DynamicValue): value is readonly DynamicValue[] {
  return Array.isArray(value);
}

export function isBag(value: DynamicValue): value is ReadonlyMap<string, DynamicValue> {
  return value instanceof Map;
}

export function isNumber(value: DynamicValue): value is DynamicNumber {
  return typeof value === 'object' && value !== null && 'number' in value;
}

/** True for numbers that hold a long, by their text. */
export function isLong(value: DynamicNumber): boolean {
  return /^-?\d+$/.test(value.number);
}

/** What `tostring()` gives: a string without its quotes, nothing for null, else JSON. */
export function textOfDynamic(value: DynamicValue): string {
  if (value === null) return '';
  return typeof value === 'string' ? value : formatDynamic(value);
}

/** Equal values in a dynamic: numbers by value, all else by its JSON. */
export function areEqual(left: DynamicValue, right: DynamicValue): boolean {
  if (left !== null && right !== null && isNumber(left) && isNumber(right)) {
    if (isLong(left) && isLong(right)) return BigInt(left.number) === BigInt(right.number);
    return Number(left.number) === Number(right.number);
  }
  return formatDynamic(left) === formatDynamic(right);
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** The value for an answer: `JSON.stringify` writes it with its own digits and its own order of keys. */
export function encodeDynamic(value: DynamicValue): unknown {
  if (isList(value)) return value.map(encodeDynamic);
  if (isBag(value)) return encodeBag(value);
  return isNumber(value) ? rawJson(value.number) : value;
}

function encodeBag(bag: ReadonlyMap<string, DynamicValue>): unknown {
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, value] of bag)
    Object.defineProperty(object, key, {
      value: encodeDynamic(value),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  // Only keys like array indexes are moved by the language.
  const isMoved = [...bag.keys()].some((key) => /^\d+$/.test(key));
  return isMoved ? new Proxy(object, { ownKeys: () => [...bag.keys()] }) : object;
}
