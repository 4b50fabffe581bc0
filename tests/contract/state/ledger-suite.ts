import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { State } from '../../../shared/adapters/state/state.ts';
import { LEDGER_PARTITIONS, partitionOf } from '../../../shared/domain/ledger-key.ts';
import type { LedgerName } from '../../../shared/ports/ledger.ts';
import { AWKWARD_KEYS, anyKey, entryOf } from './samples.ts';
import { countRequests, type MakeState } from './state-under-test.ts';

const keysOf = (count: number, prefix = 'logs/2026/part-') =>
  Array.from({ length: count }, (_, at) => `${prefix}${String(at).padStart(6, '0')}.json`);
const inserts = (keys: readonly string[]) => keys.map((key) => ({ entry: entryOf(key), etag: null }));

/** Keys of one partition. */
const neighbours = (count: number) =>
  keysOf(count * 200)
    .filter((key) => partitionOf(key) === 7)
    .slice(0, count);

export function ledgerSuite(makeState: MakeState): void {
  describe('Ledger', () => {
    let state: State;
    let generation = 0;
    const requests = countRequests();
    beforeAll(async () => {
      state = await makeState({ onRequest: requests.onRequest });
    });
    const newLedger = (): LedgerName => ({ load: 'daily', generation: ++generation });

    test('an entry reads back as it was written', async () => {
      const name = newLedger();
      const full = entryOf('full', {
        state: 'failed',
        queuedAt: '2026-11-24T03:53:00.000Z',
        settledAt: '2026-11-24T03:59:00.000Z',
        errorCode: 'formatMismatch',
        errorMessage: `a 'quoted' message ${'ä'.repeat(480)}`,
        tag: "drop-by:it's/daily.1/2026-11-24",
        repostedUnproven: true,
        earlierSourceIds: ['00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001'],
        sizeBytes: 0,
        attempts: 2_147_483_648,
      });
      const [etag] = await state.ledger.write(name, [
        { entry: full, etag: null },
        { entry: entryOf('plain'), etag: null },
      ]);
      const read = await state.ledger.readKeys(name, ['full', 'plain', 'absent']);
      expect([...read.keys()].toSorted()).toEqual(['full', 'plain']);
      expect(read.get('full')).toEqual({ value: full, etag });
      expect(read.get('plain')!.value).toEqual(entryOf('plain'));
    });

    test('all of it can be gone over, partition by partition and page by page, each entry once', async () => {
      const name = newLedger();
      const crowd = Array.from({ length: 200_000 }, (_, at) => `crowd/${at}`)
        .filter((key) => partitionOf(key) === 7)
        .slice(0, 1_003);
      const keys = [...crowd, ...AWKWARD_KEYS];
      await state.ledger.write(name, inserts(keys));
      await state.ledger.write(newLedger(), inserts(['of another ledger']));
      const found: string[] = [];
      let pages = 0;
      for (let partition = 0; partition < LEDGER_PARTITIONS; partition += 1) {
        let after: string | null = null;
        do {
          const page: Awaited<ReturnType<State['ledger']['readPartition']>> =
            await state.ledger.readPartition(name, partition, after);
          for (const { value } of page.entries) {
            expect(partitionOf(value.key)).toBe(partition);
            found.push(value.key);
          }
          pages += 1;
          after = page.next;
        } while (after !== null);
      }
      expect(found.toSorted()).toEqual(keys.toSorted());
      expect(pages).toBe(LEDGER_PARTITIONS + 1);
    });

    test('keeps keys of every kind apart', async () => {
      const name = newLedger();
      const etags = await state.ledger.write(name, inserts(AWKWARD_KEYS));
      expect(etags).not.toContain(null);
      const read = await state.ledger.readKeys(name, AWKWARD_KEYS);
      expect(AWKWARD_KEYS.map((key) => read.get(key)?.value.key)).toEqual(AWKWARD_KEYS);
      const changed = await state.ledger.write(
        name,
        AWKWARD_KEYS.map((key, at) => ({ entry: entryOf(key, { state: 'queued' }), etag: etags[at]! })),
      );
      expect(changed).not.toContain(null);
      const again = await state.ledger.readKeys(name, AWKWARD_KEYS);
      expect(AWKWARD_KEYS.map((key) => again.get(key)?.etag)).toEqual(changed);
    });

    test('keeps any keys, in transactions and alone', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(anyKey, { minLength: 1, maxLength: 12 }), async (keys) => {
          const name = newLedger();
          expect(await state.ledger.write(name, inserts(keys))).not.toContain(null);
          const read = await state.ledger.readKeys(name, keys);
          expect(new Set(read.keys())).toEqual(new Set(keys));
          const asked = new Map(keys.map((key, at) => [key, at]));
          const each = await state.ledger.readEach(name, asked, ({ key }, at) => `${at} ${key}`);
          expect([...each]).toEqual(expect.arrayContaining(keys.map((key, at) => [key, `${at} ${key}`])));
          expect(each.size).toBe(keys.length);
        }),
        { numRuns: 15 },
      );
    });

    test('a transaction may hold keys that look like its own syntax', async () => {
      const name = newLedger();
      // Many variants, so that some share a partition and with it a transaction.
      const keys = AWKWARD_KEYS.filter((key) => key.length < 900).flatMap((key) =>
        Array.from({ length: 12 }, (_, at) => `${key}${at}`),
      );
      requests.take();
      expect(await state.ledger.write(name, inserts(keys))).not.toContain(null);
      expect(requests.take()['table transaction']).toBeGreaterThan(20);
      expect((await state.ledger.readKeys(name, keys)).size).toBe(keys.length);
    });

    test('of many keys it reads those asked for, and what is kept of each', async () => {
      const name = newLedger();
      const keys = keysOf(1_000);
      await state.ledger.write(name, inserts(keys));
      const asked = keys.filter((_, at) => at % 2 === 1);
      const read = await state.ledger.readEach(
        name,
        new Map([...asked, 'other'].map((key) => [key, null])),
        ({ key, state: is }) => `${is} ${key}`,
      );
      expect(new Map(asked.map((key) => [key, `${entryOf(key).state} ${key}`]))).toEqual(read);
    });

    test('few keys among very many others cost two requests each at the most', async () => {
      const name = newLedger();
      const keys = keysOf(400_000).filter((key) => partitionOf(key) === 7);
      expect(keys.length).toBeGreaterThan(5_500);
      await state.ledger.write(name, inserts(keys));
      const asked = [keys[0]!, keys[1000]!, keys[3000]!, keys.at(-1)!];
      requests.take();
      const read = await state.ledger.readEach(name, new Map(asked.map((key) => [key, null])), () => true);
      expect(new Set(read.keys())).toEqual(new Set(asked));
      const counted = requests.take();
      expect(counted['table query'] ?? 0).toBeLessThanOrEqual(4);
      expect(Object.values(counted).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(8);

      const scattered = Array.from({ length: 31 }, (_, at) => keys[at * 180]!);
      const absent = `${keys[100]!}.gone`;
      expect(new Set((await state.ledger.readKeys(name, [...scattered, absent])).keys())).toEqual(
        new Set(scattered),
      );
      const more = requests.take();
      expect(more['table query']).toBeLessThanOrEqual(3);
      expect(Object.values(more).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(35);
    });

    test('generations and loads do not see each other', async () => {
      const name = newLedger();
      await state.ledger.write(name, inserts(['a']));
      const others = [newLedger(), { ...name, load: 'dail' }, { ...name, load: 'daily-1' }];
      for (const other of others) {
        expect((await state.ledger.readKeys(other, ['a'])).size).toBe(0);
        const asked = new Map(['a', 'a1', 'a2', 'a3', 'b'].map((key) => [key, null]));
        expect((await state.ledger.readEach(other, asked, () => 1)).size).toBe(0);
      }
    });

    test('an insert fails where an entry is, and an update where it has changed or is missing', async () => {
      const name = newLedger();
      const [first] = await state.ledger.write(name, inserts(['a']));
      const [second] = await state.ledger.write(name, [{ entry: entryOf('a', { epoch: 2 }), etag: first! }]);
      expect(second).not.toBeNull();
      expect(second).not.toBe(first);
      expect(await state.ledger.write(name, inserts(['a']))).toEqual([null]);
      expect(await state.ledger.write(name, [{ entry: entryOf('a', { epoch: 3 }), etag: first! }])).toEqual([
        null,
      ]);
      expect(await state.ledger.write(name, [{ entry: entryOf('b'), etag: first! }])).toEqual([null]);
      const read = await state.ledger.readKeys(name, ['a', 'b']);
      expect(read.size).toBe(1);
      expect(read.get('a')).toEqual({ value: entryOf('a', { epoch: 2 }), etag: second });
    });

    test('a failed precondition does not keep the rest of its transaction from being written', async () => {
      const name = newLedger();
      const keys = neighbours(30);
      expect(keys.length).toBe(30);
      const taken = [0, 7, 8, 29].map((at) => keys[at]!);
      await state.ledger.write(name, inserts(taken));
      const etags = await state.ledger.write(
        name,
        keys.map((key, at) => ({
          entry: entryOf(key, { epoch: 2 }),
          // An update of an entry that is not there, an update of another version, and inserts.
          etag: at === 3 ? 'W/"datetime\'2020-01-01T00%3A00%3A00.0000000Z\'"' : null,
        })),
      );
      expect(etags.flatMap((etag, at) => (etag === null ? [at] : []))).toEqual([0, 3, 7, 8, 29]);
      const read = await state.ledger.readKeys(name, keys);
      expect(read.size).toBe(29);
      for (const [at, key] of keys.entries()) {
        const stored = read.get(key);
        if (at !== 3) expect(stored?.value.epoch).toBe(taken.includes(key) ? 1 : 2);
        if (etags[at] !== null) expect(stored?.etag).toBe(etags[at]);
      }
    });

    test('of two that write the same at the same time, one wins each entry', async () => {
      const name = newLedger();
      const keys = neighbours(20);
      const both = await Promise.all([1, 2, 3].map(() => state.ledger.write(name, inserts(keys))));
      for (const at of keys.keys()) {
        expect(both.filter((etags) => etags[at] !== null).length).toBe(1);
      }
    });

    test('reads beyond the 1,000 entities of one answer', async () => {
      const name = newLedger();
      const keys = keysOf(90_000).filter((key) => partitionOf(key) === 5);
      expect(keys.length).toBeGreaterThan(1_100);
      const etags = await state.ledger.write(name, inserts(keys));
      expect(etags).not.toContain(null);
      requests.take();
      const read = await state.ledger.readKeys(name, keys);
      expect(requests.take()).toEqual({ 'table query': 2 });
      expect([...read.keys()].toSorted()).toEqual(keys);
    });

    test('writes 1,000 entries in one transaction a partition, and updates them', async () => {
      const name = newLedger();
      const keys = keysOf(1_000);
      requests.take();
      const etags = await state.ledger.write(name, inserts(keys));
      const counted = requests.take();
      expect((counted['table transaction'] ?? 0) + (counted['table insert'] ?? 0)).toBe(64);
      expect(new Set(keys.map((key) => partitionOf(key))).size).toBe(64);
      const updates = keys.map((key, at) => ({
        entry: entryOf(key, { state: 'queued' as const }),
        etag: etags[at]!,
      }));
      expect(await state.ledger.write(name, updates)).not.toContain(null);
      const read = await state.ledger.readKeys(name, keys);
      expect([...read.values()].filter(({ value }) => value.state === 'queued').length).toBe(1_000);
    });

    test('nothing to write and nothing to read cost nothing', async () => {
      requests.take();
      expect(await state.ledger.write(newLedger(), [])).toEqual([]);
      expect((await state.ledger.readKeys(newLedger(), [])).size).toBe(0);
      expect(requests.take()).toEqual({});
    });

    test('refuses two writes of one key in one call', async () => {
      await expect(state.ledger.write(newLedger(), inserts(['a', 'a']))).rejects.toMatchObject({
        code: 'internal',
      });
    });
  });
}
