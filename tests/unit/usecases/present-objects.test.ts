import fc from 'fast-check';
import { expect, test } from 'vitest';

import { presentObjects } from '../../../shared/usecases/present-objects.ts';
import { createMemorySource } from '../../fakes/memory-source.ts';

const key = fc.stringMatching(/^[a-c/é😀]{1,4}$/u);

test('law: finds what stands under each key, and nothing else, whatever else is in the bucket', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(key, { maxLength: 60 }),
      fc.uniqueArray(key, { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      async (there, wanted, pageSize) => {
        const source = createMemorySource({ pageSize, objects: there.map((name) => ({ key: `p/${name}` })) });
        const keys = wanted.map((name) => `p/${name}`);
        const found = await presentObjects(source, 'p/', keys);
        const expected = keys.filter((name) => there.includes(name.slice(2)));
        expect([...found.keys()].sort()).toEqual(expected.sort());
        for (const [name, object] of found) expect(object).toEqual(source.present(name));
        // Pages of versions may hold no object.
        for (const name of keys) if (!expected.includes(name)) source.remove(source.put({ key: name }).key);
        const pinned = await presentObjects(source.withVersions, 'p/', keys);
        expect([...pinned.keys()].sort()).toEqual(expected);
      },
    ),
    { numRuns: 200 },
  );
});

test('keys that are not under the prefix are found, too, each by a request of its own', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `${index % 2 === 0 ? 'p' : 'old'}/${index}`);
  const source = createMemorySource({ objects: names.map((name) => ({ key: name })) });
  const found = await presentObjects(source, 'p/', names);
  expect([...found.keys()].sort()).toEqual([...names].sort());
  expect(source.callCounts.head).toBeLessThan(10 + 8);
});

test('keys side by side cost a page per thousand, keys far apart a request each', async () => {
  const names = Array.from({ length: 100_000 }, (_, index) => `p/${String(index).padStart(6, '0')}`);
  const source = createMemorySource({ objects: names.map((name) => ({ key: name })) });
  const requests = () => source.callCounts.head + source.callCounts.listPage;
  await presentObjects(source, 'p/', names.slice(3000, 8000));
  expect(requests()).toBeLessThan(15);
  const before = requests();
  const sparse = names.filter((_, index) => index % 1000 === 0);
  await presentObjects(source, 'p/', sparse);
  expect(requests() - before).toBeLessThan(sparse.length * 1.1);
});
