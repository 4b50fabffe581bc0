import fc from 'fast-check';
import { expect, test } from 'vitest';

import { FORMATS } from '../../../shared/contracts/load-definition.ts';
import { rawSizeOf } from '../../../shared/domain/raw-size.ts';

test.each([
  ['a.csv', 'csv', 1000, 1000],
  ['a.csv.gz', 'csv', 1000, 11_000],
  ['a.CSV.ZIP', 'csv', 1000, 11_000],
  ['a.jsonl', 'json', 1000, 1000],
  ['a.parquet', 'parquet', 1000, 11_000],
  ['a.orc', 'orc', 1000, 11_000],
  ['a.avro', 'avro', 1000, 11_000],
  ['a', 'apacheavro', 1000, 11_000],
  ['a.csv', 'csv', 0, 1],
] as const)('%s as %s with %i bytes: %i', (key, format, sizeBytes, expected) => {
  expect(rawSizeOf({ key, sizeBytes }, format)).toBe(expected);
});

test('is at least 1 and never less than the object itself', () => {
  fc.assert(
    fc.property(fc.constantFrom(...FORMATS), fc.string(), fc.nat(), (format, key, sizeBytes) => {
      const size = rawSizeOf({ key, sizeBytes }, format);
      expect(Number.isSafeInteger(size) && size >= Math.max(1, sizeBytes)).toBe(true);
    }),
  );
});
