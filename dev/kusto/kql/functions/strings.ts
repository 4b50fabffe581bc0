import { createHash } from 'node:crypto';
import { makeNotSupported } from '../../kusto-error.ts';
import { quoteText } from '../../storage/store.ts';
import { formatDynamic } from '../dynamic-value.ts';
import { requireRegex } from '../regular-expressions.ts';
import { type Expression, toText } from '../values.ts';
import { coerce, type FunctionTranslator, literalOf, one, type ScriptEntry } from './function-entry.ts';

/** Characters, where JavaScript's strings count UTF-16 units. */
const charactersOf = (text: string) => Array.from(text);
const isAscii = (text: string) => !/\P{ASCII}/u.test(text);

/** A start below zero counts from the end, and one before the text gives nothing. */
function substring(text: string, start: bigint | null, length: bigint | null): string {
  if (start === null) throw new Error('substring() with an index that is null');
  const characters = isAscii(text) ? undefined : charactersOf(text);
  const size = characters?.length ?? text.length;
  const from = start < 0n ? size + Number(start) : Number(start);
  if (from < 0 || from >= size) return '';
  const to = length === null ? size : Math.max(from, from + Number(length));
  return characters === undefined ? text.slice(from, to) : characters.slice(from, to).join('');
}

/** Of the nth occurrence; the length counts anew from where each search begins. */
function indexOf(
  text: string,
  wanted: string,
  start: bigint | null,
  length: bigint | null,
  occurrence: bigint | null,
): bigint | null {
  const characters = charactersOf(text);
  const needle = charactersOf(wanted);
  const from = start === null ? 0 : start < 0n ? characters.length + Number(start) : Number(start);
  const count = Number(occurrence ?? 1n);
  if ((length ?? -1n) < -1n || count < 0) return null;
  if (from < 0 || needle.length === 0 || count === 0)
    throw new Error('indexof() of an empty text, of the occurrence 0, or from before the text');
  const span = length === null || length === -1n ? characters.length : Number(length);
  const find = (stepLength: number) => {
    let at = -1;
    for (let found = 0, next = from; found < count; found += 1, next = at + stepLength) {
      at = findWithin(characters, needle, next, next + span);
      if (at === -1) return -1;
    }
    return at;
  };
  const index = find(1);
  if (index !== find(needle.length)) throw new Error('indexof() of occurrences that overlap');
  return BigInt(index);
}

function findWithin(text: readonly string[], needle: readonly string[], from: number, end: number): number {
  for (let index = from; index + needle.length <= Math.min(text.length, end); index += 1) {
    if (needle.every((character, offset) => text[index + offset] === character)) return index;
  }
  return -1;
}

function split(text: string, delimiter: string, index: bigint | null): string | null {
  if (delimiter === '') throw new Error('split() by an empty text');
  const parts = text.split(delimiter);
  if (index === null) return formatDynamic(parts);
  const part = parts[Number(index)];
  return part === undefined ? null : formatDynamic([part]);
}

/** Occurrences may overlap. */
function countOf(text: string, wanted: string): bigint {
  if (wanted === '') return 0n;
  let count = 0n;
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) count += 1n;
  return count;
}

function replaceStrings(text: string, lookups: string, replacements: string): string {
  const wanted: unknown = JSON.parse(lookups);
  const replacing: unknown = JSON.parse(replacements);
  if (!Array.isArray(wanted) || !Array.isArray(replacing))
    throw new Error('replace_strings() without arrays');
  return wanted.reduce<string>(
    (result, item, index) => result.replaceAll(String(item), () => String(replacing[index] ?? '')),
    text,
  );
}

function decodeBase64(text: string): Buffer | null {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  return Buffer.from(text, 'base64');
}

/** The service hashes no text to no text. */
const digest = (algorithm: string): ScriptEntry => ({
  parameters: ['string'],
  result: 'string',
  run: (text: string) => (text === '' ? '' : createHash(algorithm).update(text).digest('hex')),
});

const isUtf8 = (bytes: Buffer) => Buffer.from(bytes.toString('utf8')).equals(bytes);

export const stringScripts: Readonly<Record<string, ScriptEntry>> = {
  substring: {
    parameters: ['string', 'long', 'long'],
    required: 2,
    nullableFrom: 1,
    result: 'string',
    run: substring,
  },
  indexof: {
    parameters: ['string', 'string', 'long', 'long', 'long'],
    required: 2,
    nullableFrom: 2,
    result: 'long',
    run: indexOf,
  },
  split: {
    parameters: ['string', 'string', 'long'],
    required: 2,
    nullableFrom: 2,
    result: 'dynamic',
    run: split,
  },
  replace_string: {
    parameters: ['string', 'string', 'string'],
    result: 'string',
    run: (text: string, wanted: string, replacement: string) =>
      wanted === '' ? text : text.replaceAll(wanted, () => replacement),
  },
  replace_strings: { parameters: ['string', 'dynamic', 'dynamic'], result: 'string', run: replaceStrings },
  reverse: {
    parameters: ['string'],
    result: 'string',
    run: (text: string) => charactersOf(text).reverse().join(''),
  },
  base64_encode_tostring: {
    parameters: ['string'],
    result: 'string',
    run: (text: string) => Buffer.from(text).toString('base64'),
  },
  base64_decode_tostring: {
    parameters: ['string'],
    result: 'string',
    run: (text: string) => {
      const bytes = decodeBase64(text);
      return bytes === null || !isUtf8(bytes) ? '' : bytes.toString('utf8');
    },
  },
  base64_decode_toarray: {
    parameters: ['string'],
    result: 'dynamic',
    run: (text: string) => {
      const bytes = decodeBase64(text);
      return bytes === null ? null : JSON.stringify([...bytes]);
    },
  },
  hash_md5: digest('md5'),
  hash_sha1: digest('sha1'),
  hash_sha256: digest('sha256'),
  strcmp: {
    parameters: ['string', 'string'],
    result: 'long',
    run: (left: string, right: string) => (left < right ? -1n : left > right ? 1n : 0n),
  },
  strcat_array: {
    parameters: ['dynamic', 'string'],
    result: 'string',
    run: (json: string, delimiter: string) => {
      const array: unknown = JSON.parse(json);
      if (!Array.isArray(array) || !array.every((item) => typeof item === 'string'))
        throw new Error('strcat_array() of anything but strings');
      return array.join(delimiter);
    },
  },
};

/** Terms are runs of letters and digits, so `_` separates; an empty term is everywhere. */
function hasTerm(text: string, term: string, isCaseSensitive: boolean): boolean {
  const [where, what] = isCaseSensitive ? [text, term] : [text.toLowerCase(), term.toLowerCase()];
  const isWord = (character: string | undefined) =>
    character !== undefined && character !== '' && /[\p{L}\p{N}]/u.test(character);
  const first = charactersOf(what)[0];
  const last = charactersOf(what).at(-1);
  for (let at = where.indexOf(what); at !== -1; at = where.indexOf(what, at + 1)) {
    const before = charactersOf(where.slice(Math.max(0, at - 2), at)).at(-1);
    const after = charactersOf(where.slice(at + what.length, at + what.length + 2))[0];
    if (!(isWord(first) && isWord(before)) && !(isWord(last) && isWord(after))) return true;
  }
  return false;
}

const strcat: FunctionTranslator = (args) => ({
  sql: `concat(${args.map(toText).join(', ')})`,
  type: 'string',
});

const joinTexts: FunctionTranslator = ([delimiter, ...args]) => {
  if (delimiter === undefined) throw makeNotSupported('strcat_delim() without arguments');
  return { sql: `concat_ws(${[delimiter, ...args].map(toText).join(', ')})`, type: 'string' };
};

const caseFunction =
  (sqlName: string): FunctionTranslator =>
  (args, { name }) => ({ sql: `${sqlName}(${toText(one(args, name))})`, type: 'string' });

const isEmpty: FunctionTranslator = (args, { name }) => ({
  sql: `(${toText(one(args, name))} = '')`,
  type: 'bool',
});

const extract: FunctionTranslator = ([pattern, group, text, ...more], { name }) => {
  if (pattern === undefined || group === undefined || text === undefined)
    throw makeNotSupported(`${name}() without its three arguments`);
  if (more.length > 0) throw makeNotSupported('extract() to a type; convert its text');
  const regex = requireRegex(pattern, name);
  const number = Number(literalOf(group, name));
  const sql = `regexp_extract(${coerce(text, 'string', name)}, ${quoteText(regex.pattern)}, ${number})`;
  return { sql: number > regex.groupCount ? "''" : `coalesce(${sql}, '')`, type: 'string' };
};

const extractAll: FunctionTranslator = (args, { name }) => {
  const [pattern, selection, last] = args;
  const text = last ?? selection;
  if (pattern === undefined || text === undefined) throw makeNotSupported(`${name}() without its arguments`);
  const regex = requireRegex(pattern, name);
  if (regex.groupCount < 1 || regex.groupCount > 16)
    throw makeNotSupported(`${name}() with a pattern that has not 1 to 16 groups`);
  const all = Array.from({ length: regex.groupCount }, (_, index) => index + 1);
  const wanted: unknown = last === undefined ? [] : JSON.parse(literalOf(selection, name));
  if (!Array.isArray(wanted) || wanted.some((item) => typeof item !== 'number'))
    throw makeNotSupported(`${name}() with groups by name`);
  const known = wanted.filter((group: number) => all.includes(group));
  const groups = known.length === 0 ? all : known;
  const subject = coerce(text, 'string', name);
  const lists = groups.map(
    (group) => `regexp_extract_all(${subject}, ${quoteText(regex.pattern)}, ${group})`,
  );
  const value =
    lists.length === 1
      ? (lists[0] ?? '')
      : `list_transform(range(1, len(${lists[0]}) + 1), lambda i: [${lists.map((list) => `(${list})[i]`).join(', ')}])`;
  return {
    sql: `case when len(${lists[0]}) > 0 then to_json(${value})::varchar end`,
    type: 'dynamic',
  };
};

const replaceRegex: FunctionTranslator = ([text, pattern, replacement], { name }) => {
  if (text === undefined || pattern === undefined || replacement === undefined)
    throw makeNotSupported(`${name}() without its three arguments`);
  const regex = requireRegex(pattern, name);
  const sql = `regexp_replace(${coerce(text, 'string', name)}, ${quoteText(regex.pattern)}, ${coerce(replacement, 'string', name)}, 'g')`;
  return { sql, type: 'string' };
};

/** `trim()` and its halves cut one match of the pattern from an end. */
const trim =
  (ends: 'start' | 'end' | 'both'): FunctionTranslator =>
  ([pattern, text], { name }) => {
    if (pattern === undefined || text === undefined)
      throw makeNotSupported(`${name}() without its arguments`);
    const regex = requireRegex(pattern, name).pattern;
    let sql = coerce(text, 'string', name);
    if (ends !== 'end') sql = `regexp_replace(${sql}, ${quoteText(`^(?:${regex})`)}, '')`;
    if (ends !== 'start') sql = `regexp_replace(${sql}, ${quoteText(`(?:${regex})$`)}, '')`;
    return { sql, type: 'string' };
  };

const countOccurrences: FunctionTranslator = ([text, wanted, kind], { name }) => {
  if (text === undefined || wanted === undefined) throw makeNotSupported(`${name}() without its arguments`);
  const subject = coerce(text, 'string', name);
  const mode = kind === undefined ? 'normal' : literalOf(kind, name);
  if (mode === 'normal')
    return { sql: `kql_count_of(${subject}, ${coerce(wanted, 'string', name)})`, type: 'long' };
  if (mode !== 'regex') throw makeNotSupported(`countof() of kind '${mode}'`);
  const regex = quoteText(requireRegex(wanted, name).pattern);
  return { sql: `len(regexp_extract_all(${subject}, ${regex}))`, type: 'long' };
};

export const stringFunctions: Readonly<Record<string, FunctionTranslator>> = {
  strcat,
  strcat_delim: joinTexts,
  strlen: (args, { name }) => ({ sql: `length(${toText(one(args, name))})`, type: 'long' }),
  string_size: (args, { name }) => ({
    sql: `strlen(${toText(one(args, name))})`,
    type: 'long',
  }),
  tolower: caseFunction('lower'),
  toupper: caseFunction('upper'),
  isempty: isEmpty,
  isnotempty: (args, context) => ({ sql: `(not ${isEmpty(args, context).sql})`, type: 'bool' }),
  notempty: (args, context) => ({ sql: `(not ${isEmpty(args, context).sql})`, type: 'bool' }),
  strrep: ([text, count, delimiter], { name }) => {
    if (text === undefined || count === undefined) throw makeNotSupported(`${name}() without its arguments`);
    const times = coerce(count, 'long', name);
    const between = delimiter === undefined ? "''" : coerce(delimiter, 'string', name);
    return {
      sql: `coalesce(array_to_string(list_transform(range(0, ${times}), lambda i: ${toText(text)}), ${between}), '')`,
      type: 'string',
    };
  },
  extract,
  extract_all: extractAll,
  replace_regex: replaceRegex,
  trim: trim('both'),
  trim_start: trim('start'),
  trim_end: trim('end'),
  countof: countOccurrences,
};

export const hiddenStringScripts: Readonly<Record<string, ScriptEntry>> = {
  count_of: { parameters: ['string', 'string'], result: 'long', run: countOf },
  has_term: { parameters: ['string', 'string', 'bool'], result: 'bool', run: hasTerm },
};

/** SQL of `has` and its kin: with a literal term DuckDB's own matching, else a script. */
export function hasTermSql(
  text: string,
  term: Expression,
  isCaseSensitive: boolean,
  part: 'term' | 'prefix' | 'suffix' = 'term',
): string {
  if (term.literal === undefined || term.type !== 'string') {
    if (part !== 'term') throw makeNotSupported(`has${part} with a term that is not a literal`);
    return `kql_has_term(${text}, ${toText(term)}, ${isCaseSensitive})`;
  }
  if (term.literal === '') return 'true';
  const escaped = term.literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const before = part !== 'suffix' && /^[\p{L}\p{N}]/u.test(term.literal) ? '(?:^|[^\\p{L}\\p{N}])' : '';
  const after = part !== 'prefix' && /[\p{L}\p{N}]$/u.test(term.literal) ? '(?:$|[^\\p{L}\\p{N}])' : '';
  return `regexp_matches(${text}, ${quoteText(before + escaped + after)}, '${isCaseSensitive ? 'c' : 'i'}')`;
}
