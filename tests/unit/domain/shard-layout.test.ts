import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { partitionOf } from '../../../shared/domain/ledger-key.ts';
import {
  BYTES_PER_UNIT,
  layOutRetry,
  layOutShards,
  type PlannedObject,
  UNITS_PER_SHARD,
} from '../../../shared/domain/shard-layout.ts';

const objectsOf = (count: number): PlannedObject[] =>
  Array.from({ length: count }, (_, index) => ({
    key: `in/${index}`,
    version: 'e:1',
    sizeBytes: index,
    reason: 'new',
  }));

const rules = fc.record({
  count: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 300, max: 6000 })),
  lanes: fc.integer({ min: 1, max: 32 }),
  objectsPerActivity: fc.oneof(fc.constant(1), fc.constant(100), fc.integer({ min: 1, max: 100 })),
  maxInFlight: fc.integer({ min: 1, max: 50_000 }),
});

/** Lays out and hands the result to a check, for any number of objects and any rule. */
function forAnyLayout(
  check: (
    shards: ReturnType<typeof layOutShards>,
    input: { count: number; lanes: number; objectsPerActivity: number; maxInFlight: number },
  ) => void,
) {
  fc.assert(
    fc.property(rules, (input) => check(layOutShards(objectsOf(input.count), input), input)),
    { numRuns: 150 },
  );
}

describe('layOutShards', () => {
  test('puts every object into exactly one unit', () => {
    forAnyLayout((shards, { count }) => {
      const keys = shards.flat(2).map(({ key }) => key);
      expect(keys).toHaveLength(count);
      expect(new Set(keys).size).toBe(count);
    });
  });

  test('keeps units and shards within their bounds, and none empty', () => {
    forAnyLayout((shards, { objectsPerActivity }) => {
      for (const units of shards) {
        expect(units.length).toBeGreaterThan(0);
        expect(units.length).toBeLessThanOrEqual(UNITS_PER_SHARD);
        for (const unit of units) {
          expect(unit.length).toBeGreaterThan(0);
          expect(unit.length).toBeLessThanOrEqual(objectsPerActivity);
        }
      }
    });
  });

  test('gives every lane a shard as soon as there are units for all', () => {
    forAnyLayout((shards, { lanes }) => {
      const units = shards.flat().length;
      expect(shards.length).toBeGreaterThanOrEqual(Math.min(lanes, units));
    });
    expect(layOutShards(objectsOf(5), { lanes: 4, objectsPerActivity: 1, maxInFlight: 20_000 })).toHaveLength(
      4,
    );
  });

  test("takes at most a lane's share of the objects in flight, and at least one object", () => {
    forAnyLayout((shards, { lanes, maxInFlight }) => {
      for (const units of shards)
        expect(units.flat().length).toBeLessThanOrEqual(Math.max(1, maxInFlight / lanes));
    });
  });

  test('puts no more bytes into a unit than ADX ingests at one go, unless one object has more', () => {
    const objects = fc.array(fc.integer({ min: 1, max: 3 * BYTES_PER_UNIT }), { maxLength: 300 });
    const layouts = fc.constantFrom(layOutRetry, (...args: Parameters<typeof layOutShards>) =>
      layOutShards(...args).flat(),
    );
    fc.assert(
      fc.property(objects, layouts, (sizes, layOut) => {
        const planned = objectsOf(sizes.length).map((object, at) => ({ ...object, sizeBytes: sizes[at]! }));
        const units = layOut(planned, { lanes: 4, objectsPerActivity: 100, maxInFlight: 20_000 });
        for (const unit of units.filter(({ length }) => length > 1))
          expect(unit.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThanOrEqual(BYTES_PER_UNIT);
        expect(units.flat()).toHaveLength(sizes.length);
      }),
    );
    const large = objectsOf(63).map((object) => ({ ...object, sizeBytes: 5 * BYTES_PER_UNIT }));
    expect(
      layOutShards(large, { lanes: 4, objectsPerActivity: 100, maxInFlight: 20_000 }).flat(),
    ).toHaveLength(63);
  });

  test('lays the objects of one ledger partition side by side', () => {
    forAnyLayout((shards) => {
      const partitions = shards.flat(2).map(({ key }) => partitionOf(key));
      expect(partitions).toEqual(partitions.toSorted((a, b) => a - b));
    });
  });

  test.each([
    [1, 4, 100, [1]],
    [100, 4, 100, [25, 25, 25, 25]],
    [10, 4, 100, [10]],
    [30, 4, 10, [10, 10, 10]],
    [3, 4, 1, [1, 1, 1]],
  ])('%i objects, %i lanes, at most %i an activity', (count, lanes, objectsPerActivity, unitSizes) => {
    expect(
      layOutShards(objectsOf(count), { lanes, objectsPerActivity, maxInFlight: 20_000 })
        .flat()
        .map((unit) => unit.length),
    ).toEqual(unitSizes);
  });

  test('a page of 50,000 objects has full units in shards of even size', () => {
    const shards = layOutShards(objectsOf(50_000), {
      lanes: 4,
      objectsPerActivity: 100,
      maxInFlight: 20_000,
    });
    expect(shards.map((units) => units.length)).toEqual(Array.from({ length: 10 }, () => 50));
  });
});
