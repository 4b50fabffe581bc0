import fc from 'fast-check';
import { expect, test } from 'vitest';

import { compileWildcard } from '../../../shared/domain/wildcard.ts';

/** The same patterns as regular expressions, which are right and may take for ever. */
function asRegExp(wildcard: string): RegExp {
  const source = wildcard.replaceAll(/\*\*\/|\*\*|\*|\?|[^*?]/gu, (piece) => {
    if (piece === '**/') return '(?:[^]*/)?';
    if (piece === '**') return '[^]*';
    if (piece === '*') return '[^/]*';
    if (piece === '?') return '[^/]';
    return piece.replace(/[.+^${}()|[\]\\/]/g, '\\$&');
  });
  return new RegExp(`^${source}$`, 'u');
}

test.each<[string, string, boolean]>([
  ['*.json', 'a.json', true],
  ['*.json', 'a/b.json', false],
  ['**.json', 'a/b.json', true],
  ['**/b.json', 'b.json', true],
  ['**/b.json', 'x/y/b.json', true],
  ['**/b.json', 'xb.json', false],
  ['date=*/hour=??/**', 'date=1/hour=02/a/b', true],
  ['date=*/hour=??/**', 'date=1/hour=2/a', false],
  ['?', '\u{1F600}', true],
  ['a+b(c).*', 'a+b(c).gz', true],
  ['', '', true],
  ['', 'a', false],
])('%s and %s: %s', (wildcard, key, expected) => {
  expect(compileWildcard(wildcard)(key)).toBe(expected);
});

test('law: it says what the regular expression says', () => {
  const text = (alphabet: string[]) =>
    fc.array(fc.constantFrom(...alphabet), { maxLength: 9 }).map((characters) => characters.join(''));
  fc.assert(
    fc.property(
      text(['a', 'b', '/', '*', '**', '**/', '?', '.']),
      text(['a', 'b', '/', '.', 'é']),
      (wildcard, key) => {
        expect(compileWildcard(wildcard)(key)).toBe(asRegExp(wildcard).test(key));
      },
    ),
    { numRuns: 5000 },
  );
});

test('law: the work grows with pattern times key, whatever they are', () => {
  const matches = compileWildcard(`${'*-'.repeat(40)}*.json`);
  const key = `${'a-'.repeat(500)}.json.tmp`;
  for (let round = 0; round < 100; round += 1) expect(matches(key)).toBe(false);
});
