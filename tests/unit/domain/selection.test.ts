import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { S3Object } from '../../../shared/domain/s3-object.ts';
import {
  compileSelection,
  compressionByKey,
  MAX_OBJECT_BYTES,
  type SelectionRule,
} from '../../../shared/domain/selection.ts';

const EVERYTHING: SelectionRule = {
  prefix: '',
  wildcard: null,
  suffixes: [],
  minSizeBytes: null,
  maxSizeBytes: null,
  modifiedAfter: null,
  modifiedBefore: null,
  compression: 'auto',
};

function objectOf(changes: Partial<S3Object> = {}): S3Object {
  return {
    key: 'in/a.csv',
    version: 'e:1',
    sizeBytes: 10,
    lastModified: '2026-03-01T00:00:00.000Z',
    storageClass: 'STANDARD',
    ...changes,
  };
}

const reasonFor = (rule: Partial<SelectionRule>, object: Partial<S3Object> = {}) =>
  compileSelection({ ...EVERYTHING, ...rule })(objectOf(object));

const matches = (wildcard: string, key: string) => reasonFor({ wildcard }, { key }) === null;

/** The meaning of a pattern, straight from its definition and without regular expressions. */
function slowMatch(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  const anyTail = (allowed: (skipped: readonly string[]) => boolean, tail: readonly string[]) =>
    Array.from({ length: text.length + 1 }, (_, at) => at).some(
      (at) => allowed(text.slice(0, at)) && slowMatch(tail, text.slice(at)),
    );
  if (first === '*' && rest[0] === '*') {
    if (rest[1] === '/')
      return slowMatch(rest.slice(2), text) || anyTail((skipped) => skipped.at(-1) === '/', rest.slice(2));
    return anyTail(() => true, rest.slice(1));
  }
  if (first === '*') return anyTail((skipped) => !skipped.includes('/'), rest);
  if (text.length === 0) return false;
  if (first === '?') return text[0] !== '/' && slowMatch(rest, text.slice(1));
  return text[0] === first && slowMatch(rest, text.slice(1));
}

describe('a wildcard', () => {
  test('means what its definition says, for any pattern and key', () => {
    const character = fc.constantFrom('a', 'b', '/', '.', '\n', '😀', '$', '(', '\\', '-', '^', '[');
    const pattern = fc.string({
      unit: fc.oneof(
        { weight: 2, arbitrary: character },
        { weight: 3, arbitrary: fc.constantFrom('*', '?', '**/', '**') },
      ),
      maxLength: 7,
    });
    const key = fc.string({ unit: character, maxLength: 8 });
    // Keys made from the pattern, so that many of the pairs match.
    const made = pattern.chain((text) =>
      fc.tuple(
        fc.constant(text),
        fc.array(key, { minLength: 8, maxLength: 8 }).map((fillings) => {
          let at = 0;
          return text.replace(/\*\*\/?|\*|\?/g, () => fillings[at++ % 8]!.slice(0, 3));
        }),
      ),
    );
    let matching = 0;
    fc.assert(
      fc.property(fc.oneof(fc.tuple(pattern, key), made), ([wildcard, some]) => {
        const expected = slowMatch([...wildcard], [...some]);
        if (expected) matching += 1;
        expect(matches(wildcard, some)).toBe(expected);
      }),
      { numRuns: 3000 },
    );
    expect(matching).toBeGreaterThan(300);
  });

  test.each([
    ['*.csv', 'a.csv', true],
    ['*.csv', 'sub/a.csv', false],
    ['**/*.csv', 'a.csv', true],
    ['**/*.csv', 'x/y/a.csv', true],
    ['**.csv', 'x/y/a.csv', true],
    ['date=*/hour=??/**', 'date=2026-01-01/hour=07/part-0.json', true],
    ['date=*/hour=??/**', 'date=2026-01-01/hour=7/part-0.json', false],
    ['a.csv', 'abcsv', false],
    ['[ab].csv', 'a.csv', false],
    ['?.csv', '😀.csv', true],
  ])('%s on %s: %s', (wildcard, key, expected) => {
    expect(matches(wildcard, key)).toBe(expected);
  });

  test('is matched against what stands behind the prefix', () => {
    expect(reasonFor({ prefix: 'in/', wildcard: '*.csv' }, { key: 'in/a.csv' })).toBe(null);
    expect(reasonFor({ prefix: '', wildcard: '*.csv' }, { key: 'in/a.csv' })).toBe('wildcard');
  });
});

describe('the reason to skip', () => {
  test.each<[string, Partial<SelectionRule>, Partial<S3Object>, string | null]>([
    ['nothing against it', {}, {}, null],
    ['another key than those named', { files: ['in/b.csv', 'in/a'] }, {}, 'files'],
    ['one of the keys named', { files: ['in/b.csv', 'in/a.csv'] }, {}, null],
    ['another ending', { suffixes: ['.json', '.jsonl'] }, {}, 'suffix'],
    ['one of the endings', { suffixes: ['.json', '.csv'] }, {}, null],
    ['an ending in another case', { suffixes: ['.CSV'] }, {}, 'suffix'],
    ['no content', {}, { sizeBytes: 0 }, 'empty'],
    ['below the least size', { minSizeBytes: 11 }, {}, 'size'],
    ['exactly the least size', { minSizeBytes: 10 }, {}, null],
    ['above the largest size', { maxSizeBytes: 9 }, {}, 'size'],
    ['exactly the largest size', { maxSizeBytes: 10 }, {}, null],
    ['before the first instant', { modifiedAfter: '2026-03-01T00:00:00.001Z' }, {}, 'modifiedTime'],
    ['at the first instant', { modifiedAfter: '2026-03-01T00:00:00Z' }, {}, null],
    ['at the last instant', { modifiedBefore: '2026-03-01T00:00:00Z' }, {}, 'modifiedTime'],
    ['just before the last instant', { modifiedBefore: '2026-03-01T00:00:00.001Z' }, {}, null],
    ['an instant with an offset', { modifiedBefore: '2026-03-01T01:00:00.001+01:00' }, {}, null],
    ['in Glacier', {}, { storageClass: 'GLACIER' }, 'archived'],
    ['in Deep Archive', {}, { storageClass: 'DEEP_ARCHIVE' }, 'archived'],
    ['in Glacier Instant Retrieval', {}, { storageClass: 'GLACIER_IR' }, null],
    ['as large as ADX takes', {}, { sizeBytes: MAX_OBJECT_BYTES }, null],
    ['larger than ADX takes', {}, { sizeBytes: MAX_OBJECT_BYTES + 1 }, 'tooLarge'],
    ['gzip without its ending', { compression: 'gzip' }, {}, 'compressionSuffix'],
    ['gzip with its ending', { compression: 'gzip' }, { key: 'a.csv.GZ' }, null],
    ['zip with the ending of gzip', { compression: 'zip' }, { key: 'a.csv.gz' }, 'compressionSuffix'],
    ['plain with the ending of zip', { compression: 'none' }, { key: 'a.zip' }, 'compressionSuffix'],
  ])('%s', (_, rule, object, expected) => {
    expect(reasonFor(rule, object)).toBe(expected);
  });

  test('is the first that applies: an object that has all of them is counted once', () => {
    const rule: Partial<SelectionRule> = {
      wildcard: '*.x',
      suffixes: ['.y'],
      minSizeBytes: 5,
      modifiedAfter: '2027-01-01T00:00:00Z',
      compression: 'gzip',
    };
    const object = { sizeBytes: 0, storageClass: 'GLACIER' };
    expect(reasonFor(rule, object)).toBe('wildcard');
    expect(reasonFor({ ...rule, wildcard: null }, object)).toBe('suffix');
    expect(reasonFor({ ...rule, wildcard: null, suffixes: [] }, object)).toBe('empty');
    expect(reasonFor({ ...rule, wildcard: null, suffixes: [] }, { ...object, sizeBytes: 1 })).toBe('size');
    expect(reasonFor({ ...rule, wildcard: null, suffixes: [] }, { ...object, sizeBytes: 6 })).toBe(
      'modifiedTime',
    );
  });

  test('an object is selected exactly when every rule on its own selects it', () => {
    const size = fc.constantFrom(null, 0, 1, 5, 10);
    const instant = fc.constantFrom(null, '2026-01-01T00:00:00Z', '2026-06-01T00:00:00Z');
    const rules = fc.record<SelectionRule>({
      prefix: fc.constant(''),
      files: fc.constantFrom(null, ['a.csv', 'b.zip']),
      wildcard: fc.constantFrom(null, '*', '**', '*.csv', '*/*.gz'),
      suffixes: fc.constantFrom([], ['.csv'], ['.gz', '.csv']),
      minSizeBytes: size,
      maxSizeBytes: size,
      modifiedAfter: instant,
      modifiedBefore: instant,
      compression: fc.constantFrom('auto', 'none', 'gzip', 'zip'),
    });
    const objects = fc.record<S3Object>({
      key: fc.constantFrom('a.csv', 'in/a.csv', 'in/a.csv.gz', 'b.zip'),
      version: fc.constant('e:1'),
      sizeBytes: fc.constantFrom(0, 1, 7, 10, MAX_OBJECT_BYTES + 1),
      lastModified: fc.constantFrom('2025-12-31T23:59:59Z', '2026-01-01T00:00:00Z', '2026-06-01T00:00:00Z'),
      storageClass: fc.constantFrom('STANDARD', 'GLACIER'),
    });
    fc.assert(
      fc.property(rules, objects, (rule, object) => {
        const single = (Object.keys(rule) as (keyof SelectionRule)[]).map((field) =>
          compileSelection({ ...EVERYTHING, [field]: rule[field] })(object),
        );
        const reason = compileSelection(rule)(object);
        expect(reason === null).toBe(single.every((one) => one === null));
        if (reason !== null) expect(single).toContain(reason);
      }),
    );
  });
});

test('compressionByKey goes by the ending alone', () => {
  expect(['a.gz', 'a.GZ', 'a.zip', 'a.gz.csv', 'gz', 'a.csv'].map(compressionByKey)).toEqual([
    'gzip',
    'gzip',
    'zip',
    'none',
    'none',
    'none',
  ]);
});
