import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { type SourceIdInput, sourceIdOf } from '../../../shared/domain/source-id.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const inputs = fc.record<SourceIdInput>({
  appId: text,
  runId: text,
  load: text,
  generation: fc.nat(),
  cluster: text,
  database: text,
  table: text,
  bucket: text,
  key: text,
  version: text,
  attemptSeq: fc.nat(),
});

describe('sourceIdOf', () => {
  test('is a UUID of version 4, as the ingestion SDKs insist on', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        expect(sourceIdOf(input)).toMatch(
          /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        );
      }),
    );
  });

  test('is the same for the same attempt and differs for any other', () => {
    const differsInCase = (a: SourceIdInput) => ({ ...a, cluster: a.cluster.toLowerCase() });
    fc.assert(
      fc.property(
        inputs,
        inputs,
        fc.subarray<keyof SourceIdInput>([
          'appId',
          'runId',
          'load',
          'generation',
          'cluster',
          'database',
          'table',
          'bucket',
          'key',
          'version',
          'attemptSeq',
        ]),
        (a, b, fields) => {
          const mixed = { ...a, ...Object.fromEntries(fields.map((field) => [field, b[field]])) };
          const same = JSON.stringify(differsInCase(mixed)) === JSON.stringify(differsInCase(a));
          expect(sourceIdOf(mixed) === sourceIdOf(a)).toBe(same);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('tells lists apart whose parts make the same text', () => {
    const base: SourceIdInput = {
      appId: 'x',
      runId: 'r',
      load: 'l',
      generation: 1,
      cluster: 'c',
      database: 'd',
      table: 't',
      bucket: 'b',
      key: 'k',
      version: 'v',
      attemptSeq: 1,
    };
    fc.assert(
      // The same characters, divided elsewhere between two neighbours; digits and colons imitate the lengths.
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'é', '1', ':', '2'), minLength: 1, maxLength: 12 }),
        fc.nat(12),
        fc.nat(12),
        (whole, i, j) => {
          const cut = (at: number) => ({
            ...base,
            bucket: whole.slice(0, at % (whole.length + 1)),
            key: whole.slice(at % (whole.length + 1)),
          });
          const same = i % (whole.length + 1) === j % (whole.length + 1);
          expect(sourceIdOf(cut(i)) === sourceIdOf(cut(j))).toBe(same);
        },
      ),
      { numRuns: 500 },
    );
    expect(sourceIdOf({ ...base, generation: 11, attemptSeq: 1 })).not.toBe(
      sourceIdOf({ ...base, generation: 1, attemptSeq: 11 }),
    );
  });

  test('stays what it is: ids of messages under way are in ledgers', () => {
    expect(
      sourceIdOf({
        appId: 'app',
        runId: 'flights-20261126T000000Z-cron',
        load: 'flights',
        generation: 1,
        cluster: 'https://Help.kusto.windows.net',
        database: 'Samples',
        table: 'Flights',
        bucket: 'demo',
        key: 'in/a.csv',
        version: 'e:1',
        attemptSeq: 1,
      }),
    ).toMatchInlineSnapshot(`"f53cf131-7818-4046-a0ce-f08e5a234d3b"`);
  });
});
