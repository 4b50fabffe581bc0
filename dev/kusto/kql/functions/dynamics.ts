import { makeNotSupported } from '../../kusto-error.ts';
import {
  areEqual,
  type DynamicValue,
  formatDynamic,
  isBag,
  isList,
  isLong,
  isNumber,
  requireDynamic,
  textOfDynamic,
} from '../dynamic-value.ts';
import { type Expression, toDynamic, toText } from '../values.ts';
import { type FunctionTranslator, one, type ScriptEntry } from './function-entry.ts';

/** A function of a list; of anything else it is null. */
function ofList(run: (list: readonly DynamicValue[], ...rest: never[]) => DynamicValue) {
  return (json: string, ...rest: never[]): string | null => {
    const value = requireDynamic(json);
    if (!isList(value)) return null;
    const result = run(value, ...rest);
    return result === null ? null : formatDynamic(result);
  };
}

function slice(list: readonly DynamicValue[], start: bigint, end: bigint): DynamicValue {
  const from = Number(start) < 0 ? list.length + Number(start) : Number(start);
  const last = Number(end) < 0 ? list.length + Number(end) : Number(end);
  return list.slice(Math.max(0, from), Math.max(0, last + 1));
}

/** Numbers, then strings; anything else has no order here. */
function compare(left: DynamicValue, right: DynamicValue): number {
  const rank = (value: DynamicValue) => {
    if (value !== null && isNumber(value)) return 0;
    if (typeof value === 'string') return 1;
    throw new Error('array_sort of anything but numbers and strings');
  };
  if (rank(left) !== rank(right)) return rank(left) - rank(right);
  if (left !== null && right !== null && isNumber(left) && isNumber(right)) {
    if (isLong(left) && isLong(right)) {
      const [a, b] = [BigInt(left.number), BigInt(right.number)];
      return a < b ? -1 : a > b ? 1 : 0;
    }
    return Number(left.number) - Number(right.number);
  }
  return String(left) < String(right) ? -1 : String(left) > String(right) ? 1 : 0;
}

function sort(list: readonly DynamicValue[], direction: 1 | -1, areNullsLast: boolean): DynamicValue {
  const nulls = list.filter((value) => value === null);
  const rest = list.filter((value) => value !== null).sort((a, b) => direction * compare(a, b));
  return areNullsLast ? [...rest, ...nulls] : [...nulls, ...rest];
}

const sorter = (direction: 1 | -1): ScriptEntry => ({
  parameters: ['dynamic', 'bool'],
  required: 1,
  nullableFrom: 1,
  result: 'dynamic',
  run: ofList((list, areNullsLast: boolean | null) => sort(list, direction, areNullsLast ?? true)),
});

const contains = (list: readonly DynamicValue[], value: DynamicValue) =>
  list.some((item) => areEqual(item, value));
const distinct = (list: readonly DynamicValue[]) =>
  list.reduce<DynamicValue[]>((kept, item) => (contains(kept, item) ? kept : [...kept, item]), []);

/** Of two lists; null when either is something else. */
const ofTwoLists = (
  run: (left: readonly DynamicValue[], right: readonly DynamicValue[]) => readonly DynamicValue[],
): ScriptEntry => ({
  parameters: ['dynamic', 'dynamic'],
  result: 'dynamic',
  run: (leftJson: string, rightJson: string) => {
    const [left, right] = [requireDynamic(leftJson), requireDynamic(rightJson)];
    return isList(left) && isList(right) ? formatDynamic(run(left, right)) : null;
  },
});

/** What the service calls the value that a dynamic holds. */
function typeOf(json: string | null): string {
  const value = json === null ? null : requireDynamic(json);
  if (value === null) return 'null';
  if (isList(value)) return 'array';
  if (isBag(value)) return 'dictionary';
  if (isNumber(value)) return isLong(value) ? 'long' : 'double';
  return typeof value === 'boolean' ? 'bool' : 'string';
}

function merge(bags: readonly (DynamicValue | null)[]): string | null {
  const merged = new Map<string, DynamicValue>();
  for (const bag of bags) {
    if (bag === null || !isBag(bag)) continue;
    // The first bag that has a key wins.
    for (const [key, value] of bag) if (!merged.has(key)) merged.set(key, value);
  }
  return formatDynamic(merged);
}

function step(json: string, key: string): string | null {
  const value = requireDynamic(json);
  const inner = isBag(value) ? value.get(key) : undefined;
  return inner === undefined || inner === null ? null : formatDynamic(inner);
}

/** A negative index counts from the end. */
function item(json: string, index: bigint): string | null {
  const value = requireDynamic(json);
  const inner = isList(value) ? value.at(Number(index)) : undefined;
  return inner === undefined || inner === null ? null : formatDynamic(inner);
}

/** Elements for mv-expand: of a list its items, of a bag its pairs, of a scalar itself. */
function expand(json: string | null, asArray: boolean): readonly (string | null)[] {
  const value = json === null ? null : requireDynamic(json);
  if (value === null) return [null];
  if (isList(value)) return value.map((inner) => (inner === null ? null : formatDynamic(inner)));
  if (!isBag(value)) return [formatDynamic(value)];
  return [...value].map(([key, inner]) => formatDynamic(asArray ? [key, inner] : new Map([[key, inner]])));
}

function parsePath(path: string): (string | bigint)[] | null {
  const parts = path.match(/^\$((?:\.[A-Za-z_][\w]*|\[\d+\]|\['[^']*'\]|\["[^"]*"\])*)$/);
  if (parts === null) return null;
  return [...(parts[1] ?? '').matchAll(/\.(\w+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]/g)].map((match) =>
    match[2] === undefined ? (match[1] ?? match[3] ?? match[4] ?? '') : BigInt(match[2]),
  );
}

function extractPath(path: string, text: string): string | null {
  const steps = parsePath(path);
  if (steps === null) throw new Error(`extract_json() with the path '${path}'`);
  let current: string | null = text;
  for (const next of steps) {
    if (current === null) return null;
    current = typeof next === 'bigint' ? item(current, next) : step(current, next);
  }
  return current === null ? '' : textOfDynamic(requireDynamic(current));
}

export const dynamicScripts: Readonly<Record<string, ScriptEntry>> = {
  array_length: {
    parameters: ['dynamic'],
    result: 'long',
    run: (json: string) => {
      const value = requireDynamic(json);
      return isList(value) ? BigInt(value.length) : null;
    },
  },
  array_slice: {
    parameters: ['dynamic', 'long', 'long'],
    result: 'dynamic',
    run: ofList((list, start: bigint, end: bigint) => slice(list, start, end)),
  },
  array_reverse: { parameters: ['dynamic'], result: 'dynamic', run: ofList((list) => [...list].reverse()) },
  array_sort_asc: sorter(1),
  array_sort_desc: sorter(-1),
  array_index_of: {
    parameters: ['dynamic', 'dynamic'],
    json: [1],
    result: 'long',
    run: (json: string, wanted: string) => {
      const list = requireDynamic(json);
      if (!isList(list)) return null;
      return BigInt(list.findIndex((value) => areEqual(value, requireDynamic(wanted))));
    },
  },
  array_sum: {
    parameters: ['dynamic'],
    result: 'real',
    run: (json: string) => {
      const list = requireDynamic(json);
      if (!isList(list) || !list.every((value) => value !== null && isNumber(value))) return null;
      return list.reduce((sum, value) => sum + Number((value as { number: string }).number), 0);
    },
  },
  set_has_element: {
    parameters: ['dynamic', 'dynamic'],
    json: [1],
    result: 'bool',
    run: (json: string, wanted: string) => {
      const list = requireDynamic(json);
      return isList(list) ? contains(list, requireDynamic(wanted)) : null;
    },
  },
  set_difference: ofTwoLists((left, right) => distinct(left).filter((value) => !contains(right, value))),
  set_intersect: ofTwoLists((left, right) => distinct(left).filter((value) => contains(right, value))),
  set_union: ofTwoLists((left, right) => distinct([...left, ...right])),
  bag_keys: {
    parameters: ['dynamic'],
    result: 'dynamic',
    run: (json: string) => {
      const value = requireDynamic(json);
      return isBag(value) ? formatDynamic([...value.keys()]) : null;
    },
  },
  bag_has_key: {
    parameters: ['dynamic', 'string'],
    result: 'bool',
    run: (json: string, key: string) => {
      if (key.startsWith('$')) throw new Error('bag_has_key() with a path');
      const value = requireDynamic(json);
      return isBag(value) ? value.has(key) : null;
    },
  },
  bag_remove_keys: {
    parameters: ['dynamic', 'dynamic'],
    result: 'dynamic',
    run: (json: string, keysJson: string) => {
      const [bag, keys] = [requireDynamic(json), requireDynamic(keysJson)];
      if (!isBag(bag) || !isList(keys)) return null;
      if (keys.some((key) => typeof key === 'string' && key.startsWith('$')))
        throw new Error('bag_remove_keys() with a path');
      return formatDynamic(new Map([...bag].filter(([key]) => !keys.includes(key))));
    },
  },
  extract_json: { parameters: ['string', 'string'], result: 'string', run: extractPath },
};

/** What other translations name. */
export const hiddenDynamicScripts: Readonly<Record<string, ScriptEntry>> = {
  dynamic_step: { parameters: ['dynamic', 'string'], result: 'dynamic', run: step },
  dynamic_item: { parameters: ['dynamic', 'long'], result: 'dynamic', run: item },
  dynamic_type: { parameters: ['dynamic'], nullableFrom: 0, result: 'string', run: typeOf },
  expand_bags: {
    parameters: ['dynamic'],
    nullableFrom: 0,
    result: 'list',
    run: (json: string | null) => expand(json, false),
  },
  expand_pairs: {
    parameters: ['dynamic'],
    nullableFrom: 0,
    result: 'list',
    run: (json: string | null) => expand(json, true),
  },
  /** A list of bags as one JSON text. */
  merge_bags: {
    parameters: ['dynamic'],
    result: 'dynamic',
    run: (json: string) => merge(requireDynamic(json) as readonly DynamicValue[]),
  },
  /** A list of lists as one JSON text; what is no list in it makes the result null. */
  concat_lists: {
    parameters: ['dynamic'],
    result: 'dynamic',
    run: (json: string) => {
      const lists = requireDynamic(json) as readonly DynamicValue[];
      return lists.every((list) => isList(list))
        ? formatDynamic(lists.flatMap((list) => list as readonly DynamicValue[]))
        : null;
    },
  },
  /** Last of equal keys wins. */
  compact_json: {
    parameters: ['dynamic'],
    result: 'dynamic',
    run: (json: string) => formatDynamic(requireDynamic(json)),
  },
};

/** SQL of the JSON list of several values; null stands as `null`. */
function listSql(args: readonly Expression[]): string {
  const items = args.map((arg) => `coalesce(${toDynamic(arg)}, 'null')`);
  return items.length === 0 ? "'[]'" : `concat('[', ${items.join(", ',', ")}, ']')`;
}

const bagPack: FunctionTranslator = (args, { name }) => {
  if (args.length % 2 === 1) throw makeNotSupported(`${name}() with a key without a value`);
  const pairs: string[] = [];
  for (let index = 0; index < args.length; index += 2) {
    const [key, value] = [args[index], args[index + 1]];
    if (key === undefined || value === undefined) continue;
    pairs.push(`kql_json_of_string(${toText(key)})`, "':'", `coalesce(${toDynamic(value)}, 'null')`, "','");
  }
  if (pairs.length === 0) return { sql: "'{}'", type: 'dynamic', literal: '{}' };
  return { sql: `kql_compact_json(concat('{', ${pairs.slice(0, -1).join(', ')}, '}'))`, type: 'dynamic' };
};

const packAll: FunctionTranslator = (args, context) => {
  if (args.length > 0) throw makeNotSupported('pack_all() that ignores nulls');
  const pairs = [...context.scope.columns].flatMap(([name, column]): Expression[] => [
    { sql: `'${name.replaceAll("'", "''")}'`, type: 'string', literal: name },
    column,
  ]);
  return bagPack(pairs, context);
};

export const dynamicFunctions: Readonly<Record<string, FunctionTranslator>> = {
  pack_array: (args) => ({ sql: listSql(args), type: 'dynamic' }),
  bag_pack: bagPack,
  pack: bagPack,
  pack_dictionary: bagPack,
  pack_all: packAll,
  bag_merge: (args) => ({ sql: `kql_merge_bags(${listSql(args)})`, type: 'dynamic' }),
  array_concat: (args) => ({ sql: `kql_concat_lists(${listSql(args)})`, type: 'dynamic' }),
  gettype: (args, { name }) => {
    const value = one(args, name);
    if (value.type !== 'dynamic') return { sql: `'${value.type}'`, type: 'string', literal: value.type };
    return { sql: `kql_dynamic_type(${value.sql})`, type: 'string' };
  },
};
