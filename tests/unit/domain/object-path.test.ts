import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  isCutWhenDecoded,
  mayBeOfAnotherKey,
  pathOf,
  patternOfKeys,
} from '../../../shared/domain/object-path.ts';

const find = (keys: readonly string[], url: string) =>
  // RE2 has the flag in the pattern.
  new RegExp(patternOfKeys(keys).replace('(?s)', ''), 'su').test(url);

test.each([
  ['https://b.s3.amazonaws.com/in/a%20b.csv?X-Amz-Date=1', '/in/a b.csv'],
  ['https://b.s3.amazonaws.com/in/a b.csv;x', '/in/a b.csv'],
  ['http://127.0.0.1:9000/b/in/%C3%BC', '/b/in/ü'],
  ['https://b.s3.amazonaws.com/100%', '/100%'],
])('the path of %s', (url, path) => {
  expect(pathOf(url)).toBe(path);
});

test('law: a key is found by its pattern however its URL is encoded', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
      fc.string({ minLength: 1, maxLength: 12 }),
      (key, other) => {
        const encoded = key.split('/').map(encodeURIComponent).join('/');
        for (const path of [key, encoded, encodeURI(key)])
          for (const url of [
            `https://b.invalid/${path}`,
            `https://s3.invalid/b/${path}?a=b`,
            `https://b.invalid/${path};x`,
          ])
            expect(find([other, key], url)).toBe(true);
      },
    ),
  );
});

test('law: a URL that ADX has decoded is not taken for that of a key without special characters', () => {
  const char = fc.constantFrom('a', '4', '2', '1', 'F', '/', '?', ';', '%', ' ', 'é');
  fc.assert(
    fc.property(fc.string({ unit: char, minLength: 1, maxLength: 6 }), (key) => {
      const signed = `https://b.invalid/${key.split('/').map(encodeURIComponent).join('/')}?X-Amz-Signature=0`;
      expect([pathOf(signed), mayBeOfAnotherKey(signed)]).toEqual([`/${key}`, false]);
      const decoded = `https://b.invalid/${key}`;
      const told = pathOf(decoded);
      if (told === `/${key}`) return;
      expect(isCutWhenDecoded(key)).toBe(true);
      if (/^[\w/]*$/.test(told)) expect(mayBeOfAnotherKey(decoded)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test('other keys are not found', () => {
  for (const path of ['in/a.csv.gz', 'in/ba.csv', 'in/aXcsv', 'out/a.csv', 'in/a.csv/b'])
    expect(find(['in/a.csv'], `https://b.invalid/${path}`)).toBe(false);
});
