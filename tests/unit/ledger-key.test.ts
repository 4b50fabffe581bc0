import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeRowKey, LEDGER_PARTITIONS, partitionOf, ROW_KEY_CUT } from '../../shared/domain/ledger-key.ts';

const MAX_KEY_BYTES = 1_024;
const byteLength = (text: string) => Buffer.byteLength(text, 'utf8');
const compareBytes = (a: string, b: string) => Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
const compareOrdinal = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const isCut = (key: string) => encodeRowKey(key).includes('~');

/** Well-formed keys of 1 to 1,024 bytes, with many of the characters that matter to the encoding. */
const character = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(..."/\\#?'%-.=_~!@[`{:,aZ09 +") },
  { weight: 2, arbitrary: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
);
const fits = (key: string) => byteLength(key) <= MAX_KEY_BYTES;
const shortKey = fc.string({ unit: character, minLength: 1, maxLength: 40 }).filter(fits);
const anyKey = fc.string({ unit: character, minLength: 1, maxLength: 700 }).filter(fits);
/** Keys whose encoding ends within a few characters of where it is cut. */
const keyAtTheCut = fc
  .tuple(
    fc.integer({ min: ROW_KEY_CUT - 5, max: ROW_KEY_CUT + 2 }),
    fc.string({ unit: character, maxLength: 4 }),
  )
  .map(([length, end]) => 'a'.repeat(length) + end);
const key = fc.oneof(shortKey, anyKey, keyAtTheCut);

test('stays what it is: entries of ledgers are found by it', () => {
  const rowKeys = new Map([
    ['in/a b.csv', 'in.a!20b-csv'],
    [
      '-_=.!,:;<>?@[\\]^`{|}~/é\u{1f600}',
      ',_=-!21!2c:3a:3b:3c@3e@3f@40[5b[5c[5d[5e`{7b{7c{7d{7e.{c3{a9{f0{9f{98{80',
    ],
    ['x'.repeat(MAX_KEY_BYTES), `${'x'.repeat(440)}~49abd65bbf7f7e40c7055093ed2e3fd75f2f602f`],
  ]);
  expect(new Map([...rowKeys.keys()].map((some) => [some, encodeRowKey(some)]))).toEqual(rowKeys);
  const partitions = new Map([
    ['logs/2026/11/24/part-000001.json.gz', 7],
    ['a/b', 38],
    ['in/é', 15],
    ['in/\u{1f600}', 57],
    ['y'.repeat(MAX_KEY_BYTES), 26],
  ]);
  expect(new Map([...partitions.keys()].map((some) => [some, partitionOf(some)]))).toEqual(partitions);
});

describe('encodeRowKey', () => {
  test('sorts uncut keys as their bytes sort', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        fc.pre(!isCut(a) && !isCut(b));
        expect(compareOrdinal(encodeRowKey(a), encodeRowKey(b))).toBe(compareBytes(a, b));
      }),
      { numRuns: 1_000 },
    );
  });

  test('orders every pair of single characters, in front of and behind others', () => {
    const ascii = Array.from({ length: 127 }, (_, at) => String.fromCharCode(at + 1));
    const characters = [...ascii, '\u0080', 'é', '\u07ff', '\u0800', '\uffff', '\u{1f600}'];
    for (const a of characters) {
      for (const b of characters) {
        expect(compareOrdinal(encodeRowKey(a), encodeRowKey(`${b}x`))).toBe(compareBytes(a, `${b}x`));
      }
    }
  });

  test('sorts cut keys that differ early as their bytes sort', () => {
    fc.assert(
      fc.property(shortKey, shortKey, fc.integer({ min: 0, max: 900 }), (a, b, tail) => {
        fc.pre(!a.startsWith(b) && !b.startsWith(a));
        const [long, short] = [a + 'x'.repeat(tail), b];
        expect(compareOrdinal(encodeRowKey(long), encodeRowKey(short))).toBe(compareBytes(long, short));
      }),
    );
  });

  test('keeps different keys apart', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(encodeRowKey(a) === encodeRowKey(b)).toBe(a === b);
      }),
      { numRuns: 1_000 },
    );
    const long = 'x'.repeat(MAX_KEY_BYTES - 1);
    expect(encodeRowKey(`${long}a`)).not.toBe(encodeRowKey(`${long}b`));
  });

  test('is at most 512 characters that a row key may hold', () => {
    fc.assert(
      fc.property(key, (some) => {
        const rowKey = encodeRowKey(some);
        expect(rowKey.length).toBeGreaterThan(0);
        expect(rowKey.length).toBeLessThanOrEqual(512);
        // Printable ASCII without the four that the service forbids, and without the quote of its filters.
        expect(rowKey).toMatch(/^[\x21-\x7e]+$/);
        expect(rowKey).not.toMatch(/[/\\#?'%]/);
      }),
      { numRuns: 1_000 },
    );
    expect(encodeRowKey('\u{1f600}'.repeat(256)).length).toBeLessThanOrEqual(512);
  });
});

describe('partitionOf', () => {
  test('is one of the partitions', () => {
    fc.assert(
      fc.property(key, fc.integer({ min: 1, max: 256 }), (some, partitions) => {
        const partition = partitionOf(some, partitions);
        expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
      }),
    );
  });

  test('spreads the keys of a folder evenly', () => {
    const counts = new Array<number>(LEDGER_PARTITIONS).fill(0);
    for (let at = 0; at < 50_000; at += 1) {
      const partition = partitionOf(`logs/2026/11/24/part-${String(at).padStart(6, '0')}.json.gz`);
      counts[partition] = counts[partition]! + 1;
    }
    // A page of 50,000 keys must fit one answer of 1,000 entities in each partition.
    expect(Math.max(...counts)).toBeLessThan(1_000);
    expect(Math.min(...counts)).toBeGreaterThan(600);
  });
});
