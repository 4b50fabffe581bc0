import fc from 'fast-check';
import { expect, test } from 'vitest';

import { type Feed, mayOverlap } from '../../../shared/domain/overlap.ts';
import { compileSelection } from '../../../shared/domain/selection.ts';

const word = fc.stringMatching(/^[ab/.]{0,4}$/);
const suffix = fc.oneof(
  word.filter((text) => text !== ''),
  fc.array(
    word.filter((text) => text !== ''),
    { maxLength: 2 },
  ),
);
const files = fc.option(fc.array(fc.stringMatching(/^[ab/.]{1,3}$/), { minLength: 1, maxLength: 8 }));

const feed: fc.Arbitrary<Feed> = fc.record({
  source: fc.record({
    bucket: fc.constantFrom('one', 'two'),
    endpoint: fc.constantFrom(null, 'http://localhost:9000', 'http://localhost:9000/'),
    prefix: word,
    suffix,
    files,
  }),
  destination: fc.record({
    cluster: fc.constantFrom(
      'https://c.kusto.windows.net',
      'https://C.kusto.windows.net/',
      'https://d.kusto.windows.net',
    ),
    database: fc.constantFrom('db', 'DB'),
    table: fc.constantFrom('T', 't'),
  }),
});

const same = fc
  .tuple(feed, word, suffix, files)
  .map(([one, prefix, other, named]): readonly [Feed, Feed] => [
    one,
    { ...one, source: { ...one.source, prefix, suffix: other, files: named } },
  ]);

const selects = ({ source }: Feed, key: string) =>
  compileSelection({
    prefix: source.prefix,
    files: source.files,
    wildcard: null,
    suffixes: [source.suffix].flat(),
    minSizeBytes: null,
    maxSizeBytes: null,
    modifiedAfter: null,
    modifiedBefore: null,
    compression: 'auto',
  })({
    key,
    version: 'e:1',
    sizeBytes: 1,
    lastModified: '2026-01-31T00:00:00Z',
    storageClass: 'STANDARD',
  }) === null;

/** The load with this key among those that it names, if it names any. */
const naming = ({ source, destination }: Feed, key: string): Feed => ({
  source: { ...source, files: source.files === null ? null : [...source.files, key] },
  destination,
});

test('law: it is the same whichever load asks', () => {
  fc.assert(fc.property(feed, feed, (a, b) => mayOverlap(a, b) === mayOverlap(b, a)));
});

test('law: two loads that both select a key of a bucket for one table are never called apart', () => {
  fc.assert(
    fc.property(same, fc.stringMatching(/^[ab/.]{1,8}$/), (pair, key) => {
      const [a, b] = pair.map((load) => naming(load, key)) as [Feed, Feed];
      fc.pre(selects(a, key) && selects(b, key));
      expect(mayOverlap(a, b)).toBe(true);
    }),
    { numRuns: 300, maxSkipsPerRun: 1000 },
  );
});

test('says no where it is certain', () => {
  const load = (source: object, destination: object = {}): Feed => ({
    source: { bucket: 'one', endpoint: null, prefix: '', suffix: [], files: null, ...source },
    destination: { cluster: 'https://c.kusto.windows.net', database: 'db', table: 'T', ...destination },
  });
  expect(mayOverlap(load({ prefix: 'a/' }), load({ prefix: 'a/b/' }))).toBe(true);
  expect(mayOverlap(load({ prefix: 'a/' }), load({ prefix: 'b/' }))).toBe(false);
  expect(mayOverlap(load({ suffix: '.csv' }), load({ suffix: ['.json', '.parquet'] }))).toBe(false);
  expect(mayOverlap(load({ suffix: '.csv' }), load({ suffix: '.old.csv' }))).toBe(true);
  expect(mayOverlap(load({ files: ['a', 'b'] }), load({ files: ['b', 'c'] }))).toBe(true);
  expect(mayOverlap(load({ files: ['a', 'b'] }), load({ files: ['c'] }))).toBe(false);
  expect(mayOverlap(load({ files: ['a/1.csv'] }), load({ prefix: 'a/' }))).toBe(true);
  expect(mayOverlap(load({ files: ['a/1.csv'] }), load({ prefix: 'b/' }))).toBe(false);
  expect(mayOverlap(load({ suffix: '.json' }), load({ files: ['a/1.csv'] }))).toBe(false);
  expect(mayOverlap(load({}), load({ bucket: 'two' }))).toBe(false);
  expect(mayOverlap(load({}), load({}, { table: 't' }))).toBe(false);
  expect(mayOverlap(load({}), load({}, { database: 'other' }))).toBe(false);
  expect(mayOverlap(load({}), load({}, { database: 'DB' }))).toBe(true);
  expect(mayOverlap(load({}), load({}, { cluster: 'https://C.kusto.windows.net/' }))).toBe(true);
});
