import { beforeAll, describe, expect, test } from 'vitest';
import type { State } from '../../../shared/adapters/state/state.ts';
import type { ControlRow } from '../../../shared/domain/run-record.ts';
import type { OutcomeDigest } from '../../../shared/domain/run-summary.ts';
import { EMPTY_DIGEST, EMPTY_PLAN } from '../../../shared/domain/run-summary.ts';
import { AT, partOfRun, runOf, shardOf } from './samples.ts';
import { countRequests, type MakeState } from './state-under-test.ts';

const shardName = (at: number) => `${String(at).padStart(6, '0')}-00`;

const PACE = { share: 0.25, since: AT, slowdowns: 3, lowestShare: 0.125 };

export function runStoreSuite(makeState: MakeState): void {
  describe('RunStore', () => {
    let state: State;
    let runs = 0;
    const requests = countRequests();
    beforeAll(async () => {
      state = await makeState({ onRequest: requests.onRequest });
    });
    const newRun = async (): Promise<string> => {
      const runId = `daily-20261124T035218Z-${String(++runs).padStart(4, '0')}`;
      expect(await state.runs.createRun(runOf(runId))).toBe(true);
      return runId;
    };

    test('a new run has its control row, and can be created once', async () => {
      const runId = await newRun();
      const view = (await state.runs.readRun(runId))!;
      expect(view.run.value).toEqual(runOf(runId));
      expect(view.control.value).toEqual({
        row: 'control',
        stop: null,
        stopAt: null,
        suspendedAt: null,
        pace: null,
      });
      expect([view.parts, view.shards]).toEqual([[], []]);
      expect(await state.runs.createRun(runOf(runId, { epoch: 9 }))).toBe(false);
      expect((await state.runs.readRun(runId))!.run).toEqual(view.run);
      expect(await state.runs.readControl(runId)).toEqual({ run: view.run, control: view.control });
    });

    test('of many that create a run one is told that it did', async () => {
      const created = await Promise.all(
        Array.from({ length: 8 }, () => state.runs.createRun(runOf('race-1'))),
      );
      expect(created.filter((was) => was).length).toBe(1);
    });

    test('there is no run where none was created', async () => {
      expect(await state.runs.readRun('absent')).toBeNull();
      expect(await state.runs.readControl('absent')).toBeNull();
      expect(await state.runs.settledShards('absent')).toEqual([]);
    });

    test('rows of every kind read back as they were written, in order', async () => {
      const runId = await newRun();
      const digest: OutcomeDigest = {
        ...EMPTY_DIGEST,
        bytesIngested: 2 ** 40,
        slowest: [{ key: "it's 日本語 \u{1f600}", durationMs: 12 }],
      };
      const parts = [
        partOfRun('lane-0', { epoch: 2 }),
        partOfRun('lane-0', { progress: { plan: { ...EMPTY_PLAN, listed: 7 }, digest } }),
        partOfRun('planner', {
          holds: 'page-3',
          endedAt: AT,
          cursor: 'a/b\\c#?%\u2028',
          problem: { code: 'bucketNotFound', message: 'no "bucket"' },
        }),
      ];
      const shards = [
        shardOf('000002-00'),
        shardOf('000001-00r1', { state: 'posted', code: 'queueRefused', lookAt: AT }),
      ];
      const control = (await state.runs.readRun(runId))!.control;
      expect(
        await state.runs.commit(runId, [
          ...[...parts, ...shards].map((value) => ({ value, etag: null })),
          {
            value: { ...control.value, stop: 'cancel', stopAt: AT, suspendedAt: AT, pace: PACE },
            etag: control.etag,
          },
        ]),
      ).toBe(true);
      const view = (await state.runs.readRun(runId))!;
      expect(view.parts.map(({ value }) => value)).toEqual([parts[1], parts[2], parts[0]]);
      expect(view.shards.map(({ value }) => value)).toEqual([shards[1], shards[0]]);
      expect(view.control.value).toEqual({
        row: 'control',
        stop: 'cancel',
        stopAt: AT,
        suspendedAt: AT,
        pace: PACE,
      });
    });

    test('a control row of a version that knew no suspension is one of a run that is not suspended', async () => {
      const runId = await newRun();
      const { etag } = (await state.runs.readRun(runId))!.control;
      const old = { row: 'control', stop: null, stopAt: null } as ControlRow;
      expect(await state.runs.commit(runId, [{ value: old, etag }])).toBe(true);
      expect((await state.runs.readControl(runId))!.control.value).toMatchObject({
        suspendedAt: null,
        pace: null,
      });
    });

    test('progress longer than a property holds is kept whole', async () => {
      const runId = await newRun();
      // Pairs of UTF-16 units at odd and even offsets, so that a cut would fall into one of them.
      const keys = Array.from(
        { length: 20 },
        (_, at) => `${'-'.repeat(at % 2)}${'\u{1f600}'.repeat(1_999)}${at}`,
      );
      const part = partOfRun('lane-0', {
        progress: { plan: EMPTY_PLAN, digest: { ...EMPTY_DIGEST, repostedUnproven: keys } },
      });
      expect(JSON.stringify(part.progress).length).toBeGreaterThan(60_000);
      expect(await state.runs.commit(runId, [{ value: part, etag: null }])).toBe(true);
      const stored = (await state.runs.readRun(runId))!.parts[0]!;
      expect(stored.value).toEqual(part);
      // A shorter text leaves nothing of the longer one.
      expect(await state.runs.commit(runId, [{ value: partOfRun('lane-0'), etag: stored.etag }])).toBe(true);
      expect((await state.runs.readRun(runId))!.parts[0]!.value).toEqual(partOfRun('lane-0'));
    });

    test('a commit is all or nothing', async () => {
      const runId = await newRun();
      const shards = Array.from({ length: 10 }, (_, at) => shardOf(shardName(at)));
      await state.runs.commit(
        runId,
        shards.map((value) => ({ value, etag: null })),
      );
      const before = (await state.runs.readRun(runId))!;
      const claim = (at: number) => ({
        value: { ...before.shards[at]!.value, state: 'claimed' as const, heldBy: 'lane-0' },
        etag: before.shards[at]!.etag,
      });
      expect(await state.runs.commit(runId, [claim(4)])).toBe(true);
      for (const writes of [
        [claim(3), { value: partOfRun('lane-0'), etag: null }, claim(4)],
        [{ value: shardOf(shardName(9)), etag: null }, claim(3)],
        [claim(3), { value: shardOf('000099-00'), etag: before.shards[0]!.etag }],
      ]) {
        expect(await state.runs.commit(runId, writes)).toBe(false);
      }
      const after = (await state.runs.readRun(runId))!;
      expect(after.parts).toEqual([]);
      expect(after.shards.length).toBe(10);
      expect(
        after.shards.filter(({ value }) => value.state === 'claimed').map(({ value }) => value.shard),
      ).toEqual([shardName(4)]);
      expect(after.shards[3]).toEqual(before.shards[3]);
    });

    test('of two that claim a shard one gets it, and the same commit a second time fails', async () => {
      const runId = await newRun();
      await state.runs.commit(runId, [{ value: shardOf(shardName(1)), etag: null }]);
      const [shard] = (await state.runs.readRun(runId))!.shards;
      const claim = (lane: string) =>
        state.runs.commit(runId, [
          { value: { ...shard!.value, state: 'claimed', heldBy: lane }, etag: shard!.etag },
          { value: partOfRun(lane, { holds: shardName(1) }), etag: null },
        ]);
      const claims = await Promise.all([claim('lane-0'), claim('lane-1'), claim('lane-2')]);
      expect(claims.filter((won) => won).length).toBe(1);
      const winner = `lane-${claims.indexOf(true)}`;
      expect(await claim(winner)).toBe(false);
      const view = (await state.runs.readRun(runId))!;
      expect(view.shards[0]!.value.heldBy).toBe(winner);
      expect(view.parts.map(({ value }) => value.part)).toEqual([winner]);
    });

    test('a settled shard leaves the live part together with the progress it belongs to', async () => {
      const runId = await newRun();
      await state.runs.commit(runId, [
        { value: shardOf(shardName(1), { state: 'posted' }), etag: null },
        { value: shardOf(shardName(2), { state: 'posted' }), etag: null },
        { value: partOfRun('settler-0'), etag: null },
      ]);
      const stale = (await state.runs.readRun(runId))!.parts[0]!;
      await state.runs.commit(runId, [stale]);
      const { shards, parts } = (await state.runs.readRun(runId))!;
      const settled = { ...shards[0]!.value, state: 'settled' as const, settledObjects: 300 };
      const settle = (partEtag: string) =>
        state.runs.commit(runId, [
          { value: settled, etag: shards[0]!.etag },
          { value: partOfRun('settler-0', { turn: 1 }), etag: partEtag },
        ]);
      expect(await settle(stale.etag)).toBe(false);
      expect((await state.runs.readRun(runId))!.shards.length).toBe(2);
      expect(await state.runs.settledShards(runId)).toEqual([]);
      expect(await settle(parts[0]!.etag)).toBe(true);
      const after = (await state.runs.readRun(runId))!;
      expect(after.shards).toEqual([shards[1]]);
      expect(after.parts[0]!.value.turn).toBe(1);
      expect(await state.runs.settledShards(runId)).toEqual([settled]);
      expect(await settle(after.parts[0]!.etag)).toBe(false);
    });

    test('a shard that changed meanwhile is not settled', async () => {
      const runId = await newRun();
      await state.runs.commit(runId, [{ value: shardOf(shardName(1), { state: 'posted' }), etag: null }]);
      const [shard] = (await state.runs.readRun(runId))!.shards;
      await state.runs.commit(runId, [{ value: { ...shard!.value, looks: 1 }, etag: shard!.etag }]);
      const settled = { ...shard!.value, state: 'settled' as const };
      expect(await state.runs.commit(runId, [{ value: settled, etag: shard!.etag }])).toBe(false);
      expect((await state.runs.readRun(runId))!.shards[0]!.value.looks).toBe(1);
      expect(await state.runs.settledShards(runId)).toEqual([]);
    });

    test('1,200 shards are read whole, settled ones by page, and live ones in one request', async () => {
      const runId = await newRun();
      for (let at = 0; at < 1_200; at += 80) {
        const shards = Array.from({ length: 80 }, (_, more) =>
          shardOf(shardName(at + more), { state: 'posted' }),
        );
        expect(
          await state.runs.commit(
            runId,
            shards.map((value) => ({ value, etag: null })),
          ),
        ).toBe(true);
      }
      const { shards } = (await state.runs.readRun(runId))!;
      expect(shards.map(({ value }) => value.shard)).toEqual(
        Array.from({ length: 1_200 }, (_, at) => shardName(at)),
      );
      for (let at = 0; at < 1_200; at += 40) {
        const writes = shards
          .slice(at, at + 40)
          .map(({ value, etag }) => ({ value: { ...value, state: 'settled' as const }, etag }));
        if (at < 1_080) expect(await state.runs.commit(runId, writes)).toBe(true);
      }
      requests.take();
      expect((await state.runs.readRun(runId))!.shards.length).toBe(120);
      await state.runs.readControl(runId);
      expect(requests.take()).toEqual({ 'table query': 2 });
      expect((await state.runs.settledShards(runId)).length).toBe(1_080);
      const page = await state.runs.settledShards(runId, { after: shardName(999), limit: 3 });
      expect(page.map(({ shard }) => shard)).toEqual([1000, 1001, 1002].map(shardName));
      expect(await state.runs.settledShards(runId, { after: shardName(1_079) })).toEqual([]);
    });

    test('lists runs newest first, by load and by page', async () => {
      const own = await makeState();
      const created = Array.from({ length: 7 }, (_, at) =>
        runOf(`${at % 2 === 0 ? 'even' : 'odd'}-run-${at}`, {
          load: at % 2 === 0 ? 'even' : 'odd',
          createdAt: new Date(Date.parse(AT) + at * 1_000).toISOString(),
        }),
      );
      for (const run of [3, 0, 6, 1, 5, 2, 4].map((at) => created[at]!)) await own.runs.createRun(run);
      const newest = created.toReversed();
      expect(await own.runs.listRuns({ limit: 10 })).toEqual({ runs: newest, next: null });
      expect(await own.runs.listRuns({ load: 'even', limit: 4 })).toEqual({
        runs: newest.filter(({ load }) => load === 'even'),
        next: null,
      });
      expect(await own.runs.listRuns({ load: 'eve', limit: 4 })).toEqual({ runs: [], next: null });
      const first = await own.runs.listRuns({ limit: 3 });
      expect(first.runs).toEqual(newest.slice(0, 3));
      const second = await own.runs.listRuns({ limit: 4, after: first.next });
      expect(second).toEqual({ runs: newest.slice(3), next: null });
      expect((await own.runs.listRuns({ limit: 10, after: "it's no cursor" })).runs).toEqual([]);
      const createdUntil = new Date(newest[2]!.createdAt);
      const older = await own.runs.listRuns({ limit: 2, createdUntil });
      expect(older.runs).toEqual(newest.slice(2, 4));
      expect(await own.runs.listRuns({ limit: 9, createdUntil, after: older.next })).toEqual({
        runs: newest.slice(4),
        next: null,
      });
    });

    test('refuses a commit that is larger than a transaction', async () => {
      const runId = await newRun();
      const writes = Array.from({ length: 101 }, (_, at) => ({ value: shardOf(shardName(at)), etag: null }));
      await expect(state.runs.commit(runId, writes)).rejects.toMatchObject({ code: 'internal' });
      expect(await state.runs.commit(runId, [])).toBe(true);
    });

    test('runs of before an instant are listed newest first, in pages, and a deleted one leaves nothing', async () => {
      const load = `old-${Math.random().toString(36).slice(2, 8)}`;
      const ids: string[] = [];
      for (let day = 1; day <= 3; day += 1) {
        const runId = `${load}-2001010${day}T000000Z-aaaa`;
        ids.unshift(runId);
        await state.runs.createRun(runOf(runId, { load, createdAt: `2001-01-0${day}T00:00:00.000Z` }));
      }
      await state.runs.commit(ids[1]!, [
        { value: partOfRun('planner'), etag: null },
        { value: shardOf('000001-00'), etag: null },
      ]);
      const mine = async (before: string) => {
        const found: string[] = [];
        for (let after: string | null = null; ; ) {
          const page = await state.runs.listCreatedBefore(new Date(before), { limit: 2, after });
          for (const run of page.runs) if (run.load === load) found.push(run.runId);
          if (page.next === null) return found;
          after = page.next;
        }
      };
      expect(await mine('2001-01-03T00:00:00.000Z')).toEqual(ids.slice(1));
      expect(await mine('2001-01-03T00:00:00.001Z')).toEqual(ids);
      const gone = { runId: ids[1]!, load, createdAt: '2001-01-02T00:00:00.000Z' };
      await Promise.all([state.runs.deleteRun(gone), state.runs.deleteRun(gone)]);
      await state.runs.deleteRun(gone);
      expect(await state.runs.readRun(gone.runId)).toBeNull();
      expect(await mine('2002-01-01T00:00:00.000Z')).toEqual([ids[0], ids[2]]);
      expect((await state.runs.listRuns({ load, limit: 9 })).runs.map(({ runId }) => runId)).toEqual([
        ids[0],
        ids[2],
      ]);
    });
  });
}
