import { readStringLiteral } from '../kql/syntax.ts';
import { makeSyntaxError } from '../kusto-error.ts';

/** Reads a management command from left to right. */
export class CommandText {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
    this.#skip();
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#text.length;
  }

  get rest(): string {
    return this.#text.slice(this.#position);
  }

  /** Takes the words when they come next, in any case. */
  take(words: string): boolean {
    const pattern = new RegExp(
      `${words
        .split(' ')
        .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('\\s+')}(?![\\w-])`,
      'iy',
    );
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (match === null) return false;
    this.#advance(match[0].length);
    return true;
  }

  /** Takes punctuation when it comes next. */
  takeSymbol(symbol: string): boolean {
    if (!this.#text.startsWith(symbol, this.#position)) return false;
    this.#advance(symbol.length);
    return true;
  }

  /** @throws KustoError unless `symbol` comes next. */
  needSymbol(symbol: string): void {
    if (!this.takeSymbol(symbol))
      throw makeSyntaxError(`'${symbol}' expected before '${this.rest.slice(0, 40)}'`);
  }

  /** A bare word, `['a b']`, `["a b"]`, or a quoted name. @throws KustoError when there is none. */
  name(what: string): string {
    const bare = this.#match(/[A-Za-z_][\w.-]*|\d[\w.-]*/y);
    if (bare !== undefined) return bare;
    if (this.takeSymbol('[')) {
      const name = this.literal(what);
      this.needSymbol(']');
      return name;
    }
    return this.literal(what);
  }

  isString(): boolean {
    return /^(?:[hH]?@?['"]|```|~~~)/.test(this.rest);
  }

  /** A string literal, or several next to each other. @throws KustoError when there is none. */
  string(what: string): string {
    let result = this.literal(what);
    while (this.isString()) result += this.literal(what);
    return result;
  }

  /** One string literal. @throws KustoError when there is none. */
  literal(what: string): string {
    const literal = this.#match(
      /[hH]?(?:```[\s\S]*?```|~~~[\s\S]*?~~~|@"(?:[^"]|"")*"|@'(?:[^']|'')*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')/y,
    );
    if (literal === undefined) throw makeSyntaxError(`${what} expected before '${this.rest.slice(0, 40)}'`);
    return readStringLiteral(literal);
  }

  /** `(name:type, ...)`. @throws KustoError. */
  columns(): { name: string; type: string }[] {
    this.needSymbol('(');
    const columns: { name: string; type: string }[] = [];
    while (!this.takeSymbol(')')) {
      const name = this.name('a column name');
      this.needSymbol(':');
      columns.push({ name, type: this.name('a type') });
      this.takeSymbol(',');
    }
    return columns;
  }

  /** `with (name=value, ...)` when it comes next; keys in lower case. */
  options(): Map<string, string> {
    const options = new Map<string, string>();
    if (!this.take('with')) return options;
    this.needSymbol('(');
    while (!this.takeSymbol(')')) {
      const key = this.name('a property name').toLowerCase();
      this.needSymbol('=');
      const value = this.isString() ? this.string('a value') : this.#match(/[^,()\s]+(?:\([^)]*\))?/y);
      if (value === undefined) throw makeSyntaxError(`a value of '${key}' expected`);
      options.set(key, value);
      this.takeSymbol(',');
    }
    return options;
  }

  /** @throws KustoError when something is left. */
  end(): void {
    this.takeSymbol(';');
    if (!this.isAtEnd) throw makeSyntaxError(`end of command expected before '${this.rest.slice(0, 40)}'`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#advance(match[0].length);
    return match[0];
  }

  #advance(length: number): void {
    this.#position += length;
    this.#skip();
  }

  /** Blanks and `//` comments. */
  #skip(): void {
    const pattern = /(?:\s+|\/\/[^\n]*)*/y;
    pattern.lastIndex = this.#position;
    this.#position += pattern.exec(this.#text)?.[0].length ?? 0;
  }
}

/** Cuts at the first `separator` outside of strings. */
export function splitOutsideStrings(
  text: string,
  separator: '|' | '<|',
): [head: string, tail: string | undefined] {
  const token =
    /[hH]?@"(?:[^"]|"")*"|[hH]?@'(?:[^']|'')*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|```[\s\S]*?```|<\||\|/g;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    if (match[0] === separator)
      return [text.slice(0, match.index), text.slice(match.index + separator.length)];
    if (match[0] === '<|') return [text, undefined];
  }
  return [text, undefined];
}
