import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KqlEndpoint, startKqlEndpoint } from './kql-endpoint.ts';

/**
 * Random pipelines over random tables, against an evaluation in plain JavaScript that knows nothing of SQL. All
 * operators here take and give rows of `k:string, a:long, b:long`.
 */
type Value = bigint | null;
interface Row {
  readonly k: string;
  readonly a: Value;
  readonly b: Value;
}

interface Step {
  readonly kql: string;
  evaluate(rows: readonly Row[]): readonly Row[];
}

const value = fc.option(fc.bigInt(-3n, 3n), { nil: null, freq: 3 });
const row = fc.record({ k: fc.constantFrom('', 'x', 'X', 'x_y'), a: value, b: value });
const table = fc.array(row, { maxLength: 10, size: 'max' });
const column = fc.constantFrom<'a' | 'b'>('a', 'b');

const writeValue = (item: Value) => (item === null ? 'long(null)' : String(item));
const writeTable = (rows: readonly Row[]) =>
  `datatable(k:string, a:long, b:long)[${rows.map(({ k, a, b }) => `"${k}", ${writeValue(a)}, ${writeValue(b)}`).join(', ')}]`;

/** Three-valued: null where the service answers null. */
const comparisons: Readonly<Record<string, (left: Value, right: Value) => boolean | null>> = {
  '==': (x, y) => (x === null && y === null ? null : x === y),
  '!=': (x, y) => (x === null && y === null ? null : x !== y),
  '<': (x, y) => (x === null || y === null ? null : x < y),
  '>=': (x, y) => (x === null || y === null ? null : x >= y),
};

const arithmetic: Readonly<Record<string, (x: bigint, y: bigint) => Value>> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => (y === 0n ? null : x / y),
  '%': (x, y) => {
    if (y === 0n) return null;
    const size = y < 0n ? -y : y;
    return ((x % size) + size) % size;
  },
};

const where = fc
  .record({
    left: column,
    right: column,
    operator: fc.constantFrom(...Object.keys(comparisons)),
    not: fc.boolean(),
  })
  .map(({ left, right, operator, not }): Step => {
    const condition = `${left} ${operator} ${right}`;
    return {
      kql: `where ${not ? `not(${condition})` : condition}`,
      evaluate: (rows) => rows.filter((each) => comparisons[operator]?.(each[left], each[right]) === !not),
    };
  });

const whereText = fc
  .constantFrom<[string, (text: string) => boolean]>(
    ['k == "x"', (k) => k === 'x'],
    ['k =~ "x"', (k) => k.toLowerCase() === 'x'],
    ['k has "x"', (k) => /(^|_)x($|_)/i.test(k)],
    ['k !contains "Y"', (k) => !k.toLowerCase().includes('y')],
    ['isempty(k)', (k) => k === ''],
    ['k in~ ("X", "q")', (k) => k.toLowerCase() === 'x'],
  )
  .map(
    ([kql, isKept]): Step => ({ kql: `where ${kql}`, evaluate: (rows) => rows.filter(({ k }) => isKept(k)) }),
  );

const extend = fc
  .record({ target: column, operator: fc.constantFrom(...Object.keys(arithmetic)), by: fc.bigInt(-3n, 3n) })
  .map(
    ({ target, operator, by }): Step => ({
      kql: `extend ${target} = a ${operator} (${by})`,
      evaluate: (rows) =>
        rows.map((each) => ({
          ...each,
          [target]: each.a === null ? null : (arithmetic[operator]?.(each.a, by) ?? null),
        })),
    }),
  );

const bins = fc.bigInt(1n, 3n).map(
  (size): Step => ({
    kql: `extend a = bin(a, ${size})`,
    evaluate: (rows) =>
      rows.map((each) => ({
        ...each,
        a: each.a === null ? null : each.a - (((each.a % size) + size) % size),
      })),
  }),
);

function groupBy<T>(rows: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const each of rows) groups.set(keyOf(each), [...(groups.get(keyOf(each)) ?? []), each]);
  return [...groups.values()];
}

const known = (rows: readonly Row[], name: 'a' | 'b') => rows.flatMap((each) => each[name] ?? []);
const aggregates: Readonly<Record<string, (rows: readonly Row[]) => Value>> = {
  'count()': (rows) => BigInt(rows.length),
  'sum(a)': (rows) => known(rows, 'a').reduce((sum, item) => sum + item, 0n),
  'min(b)': (rows) =>
    known(rows, 'b').reduce<Value>((least, item) => (least === null || item < least ? item : least), null),
  'max(a)': (rows) =>
    known(rows, 'a').reduce<Value>((most, item) => (most === null || item > most ? item : most), null),
  'dcount(b)': (rows) => BigInt(new Set(known(rows, 'b')).size),
  'countif(a > b)': (rows) => BigInt(rows.filter(({ a, b }) => a !== null && b !== null && a > b).length),
};

const summarize = fc
  .record({
    first: fc.constantFrom(...Object.keys(aggregates)),
    second: fc.constantFrom(...Object.keys(aggregates)),
  })
  .map(
    ({ first, second }): Step => ({
      kql: `summarize a = ${first}, b = ${second} by k`,
      evaluate: (rows) =>
        groupBy(rows, ({ k }) => k).map((group) => ({
          k: group[0]?.k ?? '',
          a: aggregates[first]?.(group) ?? null,
          b: aggregates[second]?.(group) ?? null,
        })),
    }),
  );

const textOf = ({ k, a, b }: Row) => JSON.stringify([k, String(a), String(b)]);
const distinct = fc.constant<Step>({
  kql: 'distinct k, a, b',
  evaluate: (rows) => groupBy(rows, textOf).flatMap(([first]) => first ?? []),
});

/** Nulls are the smallest. */
const compare = (x: Value, y: Value) => (x === y ? 0 : x === null ? -1 : y === null ? 1 : x < y ? -1 : 1);
const compareRows = (x: Row, y: Row) =>
  compare(y.a, x.a) || compare(x.b, y.b) || (x.k < y.k ? -1 : x.k > y.k ? 1 : 0);

const top = fc.integer({ min: 0, max: 5 }).map(
  (count): Step => ({
    kql: `sort by a, b asc, k asc | take ${count}`,
    evaluate: (rows) => [...rows].sort(compareRows).slice(0, count),
  }),
);

const union = table.map(
  (other): Step => ({ kql: `union (${writeTable(other)})`, evaluate: (rows) => [...rows, ...other] }),
);

const nothing = { k: '', a: null, b: null };
/** Joins on `a`, with rows `k` and `a` of the left and `b` of the right side. */
const kinds: Readonly<Record<string, (left: readonly Row[], right: readonly Row[]) => readonly Row[]>> = {
  inner: (left, right) =>
    left.flatMap((l) => right.filter((r) => r.a === l.a).map((r) => ({ ...l, b: r.b }))),
  leftouter: (left, right) =>
    left.flatMap((l) => {
      const found = right.filter((r) => r.a === l.a);
      return (found.length === 0 ? [nothing] : found).map((r) => ({ ...l, b: r.b }));
    }),
  rightouter: (left, right) =>
    right.flatMap((r) => {
      const found = left.filter((l) => l.a === r.a);
      return (found.length === 0 ? [nothing] : found).map((l) => ({ ...l, b: r.b }));
    }),
  fullouter: (left, right) => [
    ...(kinds['leftouter']?.(left, right) ?? []),
    ...right.filter((r) => !left.some((l) => l.a === r.a)).map((r) => ({ ...nothing, b: r.b })),
  ],
  leftsemi: (left, right) => left.filter((l) => right.some((r) => r.a === l.a)),
  leftanti: (left, right) => left.filter((l) => !right.some((r) => r.a === l.a)),
  rightsemi: (left, right) => right.filter((r) => left.some((l) => l.a === r.a)),
  rightanti: (left, right) => right.filter((r) => !left.some((l) => l.a === r.a)),
};

const join = fc.record({ other: table, kind: fc.constantFrom(...Object.keys(kinds)) }).map(
  ({ other, kind }): Step => ({
    kql: `join kind=${kind} (${writeTable(other)}) on a${/semi|anti/.test(kind) ? '' : ' | project k, a, b = b1'}`,
    evaluate: (rows) => kinds[kind]?.(rows, other) ?? [],
  }),
);

let kql: KqlEndpoint;
beforeAll(async () => {
  kql = await startKqlEndpoint();
});
afterAll(() => kql.local.stop());

const writeRows = (rows: readonly Row[]) => rows.map(({ k, a, b }) => `[${JSON.stringify(k)},${a},${b}]`);

test('random pipelines give what a plain evaluation gives', async () => {
  const step = fc.oneof(where, whereText, extend, bins, summarize, distinct, top, union, join);
  await fc.assert(
    fc.asyncProperty(table, fc.array(step, { maxLength: 5 }), async (rows, steps) => {
      const query = [writeTable(rows), ...steps.map((each) => each.kql)].join(' | ');
      const expected = steps.reduce<readonly Row[]>((current, each) => each.evaluate(current), rows);
      const answer = await kql.rawRows(query);
      const found = answer === '[]' ? [] : answer.slice(1, -1).split(/(?<=\]),(?=\[)/);
      expect([...found].sort(), query).toEqual(writeRows(expected).sort());
    }),
    { numRuns: 120 },
  );
});

test('sorting puts every row where the plain evaluation puts it', async () => {
  await fc.assert(
    fc.asyncProperty(table, async (rows) => {
      const sorted = [...rows].sort(compareRows);
      expect(await kql.rawRows(`${writeTable(rows)} | sort by a, b asc, k asc`)).toBe(
        `[${writeRows(sorted).join(',')}]`,
      );
    }),
    { numRuns: 30 },
  );
});

test('innerunique gives one left row for each key, with every right row', async () => {
  await fc.assert(
    fc.asyncProperty(table, table, async (left, right) => {
      const query = `${writeTable(left)} | join (${writeTable(right)}) on a | summarize n = count() by a`;
      const keys = groupBy(left, (each) => String(each.a)).flatMap(([first]) => first ?? []);
      const expected = keys
        .map(({ a }) => ({ a, n: right.filter((each) => each.a === a).length }))
        .filter(({ n }) => n > 0)
        .map(({ a, n }) => `[${a},${n}]`);
      const answer = await kql.rawRows(query);
      const found = answer === '[]' ? [] : answer.slice(1, -1).split(/(?<=\]),(?=\[)/);
      expect([...found].sort()).toEqual(expected.sort());
    }),
    { numRuns: 30 },
  );
});
