import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { State } from '../../../shared/adapters/state/state.ts';
import { NO_OPTIONS } from '../../../shared/domain/run-record.ts';
import type { Lock, PendingList, Unsettled } from '../../../shared/ports/load-state.ts';
import { AT, AWKWARD_KEYS, anyKey } from './samples.ts';
import { countRequests, type MakeState } from './state-under-test.ts';

const lockOf = (load: string, runId: string): Lock => ({
  load,
  acquiredAt: AT,
  request: { runId, load, trigger: 'schedule', options: { ...NO_OPTIONS, prefix: "o'c" }, createdAt: AT },
});

const unsettledOf = (load: string, runId: string): Unsettled => ({
  load,
  generation: 2,
  runId,
  manifest: `runs/${runId}/unsettled.ndjson`,
  objects: 12,
  lookAt: AT,
});

const compareBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

export function loadStateSuite(makeState: MakeState): void {
  describe('LoadState', () => {
    let state: State;
    let lists = 0;
    const requests = countRequests();
    beforeAll(async () => {
      state = await makeState({ onRequest: requests.onRequest });
    });
    const newList = (): PendingList => ({ load: 'events', bucket: `bucket-${++lists}` });
    const pendingKeys = async (name: PendingList, afterKey: string | null = null, limit = 10_000) =>
      (await state.loads.readPending(name, { afterKey, limit })).map(({ key }) => key);

    describe('locks', () => {
      test('of 20 that acquire a lock one wins, and the others learn who', async () => {
        const tries = await Promise.all(
          Array.from({ length: 20 }, (_, at) => state.loads.acquireLock(lockOf('raced', `run-${at}`))),
        );
        const winner = tries.findIndex(({ acquired }) => acquired);
        expect(tries.filter(({ acquired }) => acquired).length).toBe(1);
        for (const answer of tries) {
          if (!answer.acquired) expect(answer.heldBy).toEqual(lockOf('raced', `run-${winner}`));
        }
        expect(await state.loads.readLock('raced')).toEqual(lockOf('raced', `run-${winner}`));
      });

      test('a lock is freed by its run only, and can be taken again', async () => {
        expect(await state.loads.readLock('freed')).toBeNull();
        await state.loads.releaseLock('freed', 'run-1');
        expect(await state.loads.acquireLock(lockOf('freed', 'run-1'))).toEqual({ acquired: true });
        await state.loads.releaseLock('freed', 'run-2');
        expect(await state.loads.acquireLock(lockOf('freed', 'run-2'))).toEqual({
          acquired: false,
          heldBy: lockOf('freed', 'run-1'),
        });
        await state.loads.releaseLock('freed', 'run-1');
        expect(await state.loads.readLock('freed')).toBeNull();
        expect(await state.loads.acquireLock(lockOf('freed', 'run-2'))).toEqual({ acquired: true });
      });

      test('locks are listed in one request, and nothing else with them', async () => {
        const own = countRequests();
        const fresh = await makeState({ onRequest: own.onRequest });
        // Names that could be taken for rows of another load.
        for (const load of ['locks', 'schedule', 'b', 'a'])
          await fresh.loads.acquireLock(lockOf(load, `${load}-1`));
        await fresh.loads.writeSchedule('locks', { setAt: AT, checkedUntil: AT, waiting: null, etag: null });
        await fresh.loads.addUnsettled(unsettledOf('locks', 'a'));
        await fresh.loads.releaseLock('b', 'b-1');
        own.take();
        expect(await fresh.loads.listLocks()).toEqual(
          ['a', 'locks', 'schedule'].map((load) => lockOf(load, `${load}-1`)),
        );
        expect(own.take()).toEqual({ 'table query': 1 });
      });
    });

    describe('idempotency keys', () => {
      test('of 20 that claim a key one is new, and all learn the same run', async () => {
        const claims = await Promise.all(
          Array.from({ length: 20 }, (_, at) =>
            state.loads.claimIdempotencyKey({
              load: 'a',
              idempotencyKey: 'k',
              runId: `run-${at}`,
              fingerprint: `f-${at}`,
            }),
          ),
        );
        expect(claims.filter(({ isNew }) => isNew).length).toBe(1);
        expect(new Set(claims.map(({ runId, fingerprint }) => `${runId} ${fingerprint}`)).size).toBe(1);
        const winner = claims.findIndex(({ isNew }) => isNew);
        expect(claims[0]).toMatchObject({ runId: `run-${winner}`, fingerprint: `f-${winner}` });
      });

      test('a key is of any text, belongs to its load, and can be given back', async () => {
        const claim = (load: string, idempotencyKey: string, runId: string) =>
          state.loads.claimIdempotencyKey({ load, idempotencyKey, runId, fingerprint: 'f' });
        const keys = [...AWKWARD_KEYS, 'x'.repeat(100_000)];
        for (const key of keys) expect((await claim('b', key, 'run-1')).isNew).toBe(true);
        expect(await claim('b', keys[0]!, 'run-2')).toEqual({
          runId: 'run-1',
          fingerprint: 'f',
          isNew: false,
        });
        expect((await claim('c', keys[0]!, 'run-3')).isNew).toBe(true);
        await state.loads.dropIdempotencyKey('b', keys[0]!);
        await state.loads.dropIdempotencyKey('b', keys[0]!);
        expect(await claim('b', keys[0]!, 'run-4')).toEqual({
          runId: 'run-4',
          fingerprint: 'f',
          isNew: true,
        });
        expect((await claim('b', keys[1]!, 'run-4')).runId).toBe('run-1');
      });

      test('keys of runs that are forgotten are forgotten, those of other runs and loads not', async () => {
        const claim = async (load: string, idempotencyKey: string, runId: string) =>
          (await state.loads.claimIdempotencyKey({ load, idempotencyKey, runId, fingerprint: 'f' })).isNew;
        for (const load of ['d', 'e']) {
          for (let at = 0; at < 40; at += 1) await claim(load, `k${at}`, at % 2 === 0 ? 'old' : 'new');
        }
        await state.loads.writeSchedule('d', { setAt: 'x', checkedUntil: 'x', waiting: null, etag: null });
        expect(await state.loads.dropIdempotencyKeys('d', (runId) => runId === 'old')).toBe(20);
        expect(await state.loads.dropIdempotencyKeys('d', (runId) => runId === 'old')).toBe(0);
        expect([await claim('d', 'k0', 'z'), await claim('d', 'k1', 'z')]).toEqual([true, false]);
        expect(await claim('e', 'k0', 'z')).toBe(false);
        expect(await state.loads.readSchedule('d')).not.toBeNull();
      });
    });

    test('a load that is gone is forgotten but for its lock; one that is there again by then is not', async () => {
      await state.loads.acquireLock(lockOf('gone', 'r'));
      const claim = () =>
        state.loads.claimIdempotencyKey({ load: 'gone', idempotencyKey: 'k', runId: 'r', fingerprint: 'f' });
      await claim();
      await state.loads.writeSchedule('gone', { setAt: AT, checkedUntil: AT, waiting: null, etag: null });
      await state.loads.addUnsettled(unsettledOf('gone', 'r'));
      await state.loads.addUnsettled(unsettledOf('goner', 'r'));
      await state.loads.forgetLoad('gone', async () => false);
      expect(await state.loads.listUnsettled('gone')).toHaveLength(1);
      await state.loads.forgetLoad('gone', async () => {
        // Written anew meanwhile: it stays.
        await state.loads.addUnsettled({ ...unsettledOf('gone', 'r'), objects: 2 });
        return true;
      });
      expect(await state.loads.listUnsettled('gone')).toMatchObject([{ objects: 2 }]);
      expect(await state.loads.readSchedule('gone')).toBeNull();
      expect((await claim()).isNew).toBe(true);
      await state.loads.forgetLoad('gone', async () => true);
      await state.loads.forgetLoad('gone', async () => true);
      expect(await state.loads.listUnsettled('gone')).toEqual([]);
      expect(await state.loads.listUnsettled('goner')).toHaveLength(1);
      expect(await state.loads.readLock('gone')).not.toBeNull();
    });

    test('a schedule is written by one at a time', async () => {
      expect(await state.loads.readSchedule('s')).toBeNull();
      const firsts = await Promise.all(
        Array.from({ length: 5 }, () =>
          state.loads.writeSchedule('s', { setAt: AT, checkedUntil: AT, waiting: null, etag: null }),
        ),
      );
      expect(firsts.filter((written) => written).length).toBe(1);
      const read = (await state.loads.readSchedule('s'))!;
      expect(read).toEqual({ setAt: AT, checkedUntil: AT, waiting: null, etag: read.etag });
      expect(await state.loads.writeSchedule('s', { ...read, waiting: AT })).toBe(true);
      expect(await state.loads.writeSchedule('s', { ...read, waiting: null })).toBe(false);
      const again = (await state.loads.readSchedule('s'))!;
      expect(again.waiting).toBe(AT);
      expect(await state.loads.writeSchedule('s', { ...again, waiting: null })).toBe(true);
      expect((await state.loads.readSchedule('s'))!.waiting).toBeNull();
      expect(await state.loads.writeSchedule('t', { ...again })).toBe(false);
    });

    test('unsettled objects are kept by load and run', async () => {
      const [a, b] = [
        unsettledOf('u', 'u-20261124T035218Z-aaaa'),
        unsettledOf('u', 'u-20261124T035218Z-bbbb'),
      ];
      await state.loads.addUnsettled(b);
      await state.loads.addUnsettled(a);
      await state.loads.addUnsettled({ ...a, objects: 3 });
      await state.loads.addUnsettled(unsettledOf('uu', 'x'));
      expect(await state.loads.listUnsettled('u')).toEqual([{ ...a, objects: 3 }, b]);
      await state.loads.removeUnsettled(a);
      await state.loads.removeUnsettled(a);
      expect(await state.loads.listUnsettled('u')).toEqual([b]);
      expect(await state.loads.listUnsettled('absent')).toEqual([]);
    });

    describe('pending objects', () => {
      test('are read in the order of their keys, and by page', async () => {
        const name = newList();
        await state.loads.addPending(name, ['c', 'a/1', 'a-1', 'a', 'b', 'é', 'Z', 'a/1']);
        const sorted = ['Z', 'a', 'a-1', 'a/1', 'b', 'c', 'é'];
        expect(await pendingKeys(name)).toEqual(sorted);
        expect(await pendingKeys(name, null, 3)).toEqual(sorted.slice(0, 3));
        expect(await pendingKeys(name, 'a-1', 3)).toEqual(sorted.slice(3, 6));
        expect(await pendingKeys(name, 'é')).toEqual([]);
        expect(await pendingKeys(newList())).toEqual([]);
      });

      test('may have keys of every kind, and none is lost between pages', async () => {
        await fc.assert(
          fc.asyncProperty(fc.uniqueArray(anyKey, { minLength: 1, maxLength: 10 }), async (some) => {
            const name = newList();
            const keys = [...new Set([...some, ...AWKWARD_KEYS])];
            await state.loads.addPending(name, keys);
            const read: string[] = [];
            for (let afterKey: string | null = null; ; afterKey = read.at(-1)!) {
              const page = await pendingKeys(name, afterKey, 9);
              read.push(...page);
              if (page.length < 9) break;
            }
            expect(new Set(read)).toEqual(new Set(keys));
            expect(read.length).toBe(keys.length);
            const short = read.filter((key) => Buffer.byteLength(key) < 140);
            expect(short).toEqual(short.toSorted(compareBytes));
            await state.loads.removePending(
              name,
              await state.loads.readPending(name, { afterKey: null, limit: 100 }),
            );
            expect(await pendingKeys(name)).toEqual([]);
          }),
          { numRuns: 5 },
        );
      });

      test('stay when they were renewed since they were read', async () => {
        const name = newList();
        await state.loads.addPending(name, ['a', 'b', 'c', 'd']);
        const read = await state.loads.readPending(name, { afterKey: null, limit: 10 });
        await state.loads.addPending(name, ['b', 'c']);
        await state.loads.removePending(name, read);
        expect(await pendingKeys(name)).toEqual(['b', 'c']);
        await state.loads.removePending(name, read);
        expect(await pendingKeys(name)).toEqual(['b', 'c']);
        const [b] = await state.loads.readPending(name, { afterKey: null, limit: 1 });
        await state.loads.removePending(name, [b!]);
        expect(await pendingKeys(name)).toEqual(['c']);
      });

      test('may be more than one answer holds', async () => {
        const name = newList();
        const keys = Array.from({ length: 1_250 }, (_, at) => `part-${String(at).padStart(5, '0')}`);
        requests.take();
        await state.loads.addPending(name, keys);
        expect(requests.take()).toEqual({ 'table transaction': 13 });
        expect(await pendingKeys(name)).toEqual(keys);
        expect(await pendingKeys(name, keys[99]!, 1_100)).toEqual(keys.slice(100, 1_200));
        await state.loads.removePending(
          name,
          await state.loads.readPending(name, { afterKey: null, limit: 1_201 }),
        );
        expect(await pendingKeys(name)).toEqual(keys.slice(1_201));
      });
    });
  });
}
