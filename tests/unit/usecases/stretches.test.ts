import fc from 'fast-check';
import { expect, test } from 'vitest';

import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import {
  byBytes,
  readStretches,
  type Stretch,
  splitStretches,
  writeStretches,
} from '../../../shared/usecases/stretches.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { createMemorySource } from '../../fakes/memory-source.ts';
import { runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

/** Keys with folders of all depths, files beside folders of the same name, and characters that sort differently in UTF-16. */
const keys = fc.uniqueArray(
  fc
    .array(fc.constantFrom('a', 'b', 'a b', 'ä', '\u{ffee}', '\u{1f600}', '', '[[', 'year=2026'), {
      minLength: 1,
      maxLength: 4,
    })
    .map((parts) => parts.join('/'))
    .filter((key) => key !== ''),
  { maxLength: 60 },
);

const isWithin = (key: string, { after, upTo }: Stretch) =>
  (after === null || byBytes(key, after) > 0) && (upTo === null || byBytes(key, upTo) <= 0);

test('law: stretches that are split hold the keys that they held before, each once, in the same order', async () => {
  await fc.assert(
    fc.asyncProperty(
      keys,
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(),
      async (all, wanted, pageSize, seed) => {
        const source = createMemorySource({ pageSize, objects: all.map((key) => ({ key })) });
        const sorted = [...all].sort(byBytes);
        // Somewhere in the middle of a listing.
        const after = sorted.length === 0 || seed % 3 === 0 ? null : sorted[seed % sorted.length]!;
        const split = await splitStretches(source, '', [{ after, upTo: null }], wanted);
        expect(split.length).toBeLessThanOrEqual(wanted);
        const held = split.flatMap((stretch) => sorted.filter((key) => isWithin(key, stretch)));
        expect(held).toEqual(sorted.filter((key) => after === null || byBytes(key, after) > 0));
        expect(readStretches(writeStretches(split))).toEqual(split);
      },
    ),
    { numRuns: 300 },
  );
});

test('a bucket of many folders is split into as many stretches as are wanted, also far down', async () => {
  const objects = Array.from({ length: 400 }, (_, index) => ({
    key: `in/year=2026/month=01/day=${String(index % 20).padStart(2, '0')}/${index}.json`,
  }));
  const source = createMemorySource({ objects });
  const split = await splitStretches(source, 'in/', [{ after: null, upTo: null }], 4);
  expect(split).toHaveLength(4);
  const sizes = split.map((stretch) => objects.filter(({ key }) => isWithin(key, stretch)).length);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
  // Two levels have one folder each.
  expect(source.callCounts.listFolders).toBeLessThan(16);
});

test('a bucket without folders is one stretch', async () => {
  const source = createMemorySource({ objects: [{ key: 'a' }, { key: 'b' }] });
  expect(await splitStretches(source, '', [{ after: null, upTo: null }], 4)).toEqual([
    { after: null, upTo: null },
  ]);
});

test.each([
  ['a key', [{ after: 'k', upTo: null }], 'k'],
  ['nothing', [], null],
  ['a key that looks like JSON', [{ after: '[["x"]]', upTo: null }], '[["[[\\"x\\"]]",null]]'],
  [
    'two',
    [
      { after: null, upTo: 'm' },
      { after: 'p', upTo: null },
    ],
    '[[null,"m"],["p",null]]',
  ],
] as const)('stretches as a position: %s', (_name, stretches, position) => {
  expect(writeStretches(stretches)).toBe(position);
  if (position !== null) expect(readStretches(position)).toEqual(stretches);
});

test('several listers load each object once, and find the next time that nothing has changed', async () => {
  const under = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  const source = { bucket: 'memory-bucket', prefix: 'in/', listers: 4 };
  await putLoad(under.loader, 'flights', definitionOf({ source }));
  const count = 12_000;
  for (let index = 0; index < count; index += 1)
    under.source.put({ key: `in/${index % 37}/${index % 5}/${index}` });
  under.source.put({ key: 'other' });
  const first = await runLoad(under, orchestrations);
  expect(first).toMatchObject({ state: 'completed', plan: { listed: count }, objects: { ingested: count } });
  expect(new Set(under.ingestion.messages.map(({ url }) => url.split('?')[0])).size).toBe(count);
  under.source.put({ key: 'in/36/9/new' });
  expect(await runLoad(under, orchestrations)).toMatchObject({
    plan: { listed: count + 1, skipped: { unchanged: count } },
    objects: { ingested: 1 },
  });
});
