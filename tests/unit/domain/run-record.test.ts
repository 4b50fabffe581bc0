import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  CUT_SHORT,
  chooseForLane,
  chooseForSettler,
  isWorkLeft,
  type PartRow,
  partOf,
  runState,
  SETTLER_HOLD_MS,
  SHARD_ATTEMPTS,
  type ShardRow,
  silentPartSince,
} from '../../../shared/domain/run-record.ts';
import { partRow, runView, shardRow } from './samples.ts';

const at = (minutes: number) => new Date(Date.UTC(2026, 2, 1, 0, minutes)).toISOString();
const ENDED = { endedAt: at(5) };

describe('runState', () => {
  test.each<[string, Parameters<typeof runView>[0], string]>([
    ['no part has begun', {}, 'starting'],
    ['only parts of an earlier epoch', { run: { epoch: 2 }, parts: [partRow('planner')] }, 'starting'],
    ['the planner is at work', { parts: [partRow('planner')] }, 'planning'],
    ['planning has ended', { parts: [partRow('planner', ENDED)] }, 'running'],
    ['a stop was asked for', { parts: [partRow('planner')], control: { stop: 'cancel' } }, 'cancelling'],
    ['it is suspended', { parts: [partRow('planner')], control: { suspendedAt: at(1) } }, 'suspended'],
    ['it is suspended before it began', { control: { suspendedAt: at(1) } }, 'suspended'],
    ['it was cancelled while suspended', { control: { suspendedAt: at(1), stop: 'cancel' } }, 'cancelling'],
    ['a policy stopped it', { control: { stop: 'onError' } }, 'cancelling'],
    ['it has ended', { run: { finalState: 'completed' }, control: { stop: 'cancel' } }, 'completed'],
  ])('%s', (_, rows, expected) => {
    expect(runState(runView(rows))).toBe(expected);
  });
});

test('partOf finds a part of the present epoch only', () => {
  const view = runView({
    run: { epoch: 2 },
    parts: [partRow('lane-0'), partRow('lane-0', { epoch: 2, turn: 7 }), partRow('lane-1')],
  });
  expect(partOf(view, 'lane-0')?.value.turn).toBe(7);
  expect(partOf(view, 'lane-1')).toBe(null);
});

describe('chooseForLane', () => {
  const choose = (rows: Parameters<typeof runView>[0], maxInFlight = 100, lanes = 8) => {
    const choice = chooseForLane(runView(rows), 'lane-0', { maxInFlight, lanes }, new Date(at(50)));
    return choice.choice === 'shard' ? choice.shard.value.shard : choice.choice;
  };
  const planner = partRow('planner');
  const plannerEnded = partRow('planner', ENDED);

  test.each<[string, Parameters<typeof runView>[0], string]>([
    ['nothing is planned yet', {}, 'wait'],
    ['the planner is ahead of its first shard', { parts: [planner] }, 'wait'],
    ['planning has ended without a shard', { parts: [plannerEnded] }, 'stop'],
    ['the planner of an earlier epoch has ended', { run: { epoch: 2 }, parts: [plannerEnded] }, 'wait'],
    ['a shard is planned', { parts: [planner], shards: [shardRow('a'), shardRow('b')] }, 'a'],
    ['the run is stopped', { shards: [shardRow('a')], control: { stop: 'onError' } }, 'stop'],
    ['the run is suspended', { shards: [shardRow('a')], control: { suspendedAt: at(1) } }, 'wait'],
    [
      'the run is suspended and nothing is left to post',
      { parts: [plannerEnded], control: { suspendedAt: at(1) } },
      'wait',
    ],
    [
      'the run was cancelled while suspended',
      { shards: [shardRow('a')], control: { suspendedAt: at(1), stop: 'cancel' } },
      'stop',
    ],
    [
      'a shard was cut short by a suspension, however large it is',
      {
        shards: [
          shardRow('a', { state: 'posted', code: CUT_SHORT, objects: 100 }),
          shardRow('b', { state: 'posted' }),
        ],
        parts: [plannerEnded],
      },
      'wait',
    ],
    [
      'only shards that were cut short are left',
      {
        shards: [
          shardRow('a', { state: 'posted', code: CUT_SHORT, objects: 100 }),
          shardRow('b', { state: 'posted', code: CUT_SHORT, objects: 100 }),
        ],
        parts: [plannerEnded],
      },
      'a',
    ],
    [
      'its own shard was not worked through',
      { shards: [shardRow('a'), shardRow('b', { state: 'claimed', heldBy: 'lane-0', attempt: 1 })] },
      'b',
    ],
    [
      'its own shard may be tried again later',
      { shards: [shardRow('b', { state: 'claimed', heldBy: 'lane-0', attempt: 1, lookAt: at(51) })] },
      'wait',
    ],
    [
      'its own shard was tried often enough',
      {
        shards: [shardRow('b', { state: 'claimed', heldBy: 'lane-0', attempt: SHARD_ATTEMPTS })],
        parts: [plannerEnded],
      },
      'stop',
    ],
    [
      'another lane holds the shard',
      { shards: [shardRow('b', { state: 'claimed', heldBy: 'lane-1', attempt: 1 })], parts: [plannerEnded] },
      'stop',
    ],
    [
      'an earlier epoch left a shard behind',
      { run: { epoch: 2 }, shards: [shardRow('b', { state: 'claimed', heldBy: 'lane-1', attempt: 3 })] },
      'b',
    ],
    [
      'shards are posted only',
      { shards: [shardRow('a', { state: 'posted' })], parts: [plannerEnded] },
      'stop',
    ],
  ])('%s', (_, rows, expected) => {
    expect(choose(rows)).toBe(expected);
  });

  test('keeps to the bound of objects in flight, but for a shard that is larger by itself', () => {
    const posted = shardRow('a', { state: 'posted', objects: 90, settledObjects: 0 });
    const next = shardRow('b', { objects: 20 });
    expect(choose({ shards: [posted, next] }, 100)).toBe('wait');
    expect(choose({ shards: [posted, next] }, 110)).toBe('b');
    expect(choose({ shards: [{ ...posted, settledObjects: 10 }, next] }, 100)).toBe('b');
    expect(
      choose({ shards: [shardRow('c', { state: 'claimed', heldBy: 'lane-1', objects: 90 }), next] }, 100),
    ).toBe('wait');
    expect(choose({ shards: [next] }, 1)).toBe('b');
  });

  test('leaves room for what is due to be posted once more', () => {
    const again = shardRow('ar1', { objects: 90, lookAt: at(50) });
    const next = shardRow('b', { objects: 20 });
    expect(choose({ shards: [again, next] }, 100)).toBe('wait');
    expect(choose({ shards: [again, next] }, 110)).toBe('b');
    expect(choose({ shards: [{ ...again, lookAt: at(51) }, next] }, 100)).toBe('b');
    const ofBefore = { ...again, state: 'claimed', heldBy: 'settler-0', epoch: 1 } as const;
    expect(choose({ run: { epoch: 2 }, shards: [ofBefore, { ...next, epoch: 2 }] }, 100)).toBe('wait');
  });

  test('a shard that it has tried often enough keeps no lane busy', () => {
    const given = shardRow('a', { state: 'claimed', heldBy: 'lane-0', attempt: SHARD_ATTEMPTS, objects: 1 });
    expect(choose({ shards: [given, shardRow('b')] }, 100_000, 1)).toBe('b');
    expect(choose({ shards: [{ ...given, heldBy: 'lane-1' }, shardRow('b')] }, 100_000, 1)).toBe('wait');
  });

  test('never hands out more than the bound, for any shards', () => {
    const shards = fc.array(
      fc.record({
        objects: fc.integer({ min: 1, max: 50 }),
        state: fc.constantFrom<ShardRow['state']>('planned', 'claimed', 'posted'),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(shards, fc.integer({ min: 1, max: 200 }), (list, maxInFlight) => {
        const view = runView({
          shards: list.map((shard, index) => shardRow(String(index), { ...shard, heldBy: 'lane-1' })),
        });
        const choice = chooseForLane(view, 'lane-0', { maxInFlight, lanes: 100 }, new Date(at(50)));
        if (choice.choice !== 'shard') return;
        expect(choice.shard.value.state).toBe('planned');
        const inFlight = list
          .filter(({ state }) => state !== 'planned')
          .reduce((sum, { objects }) => sum + objects, 0);
        expect(inFlight === 0 || inFlight + choice.shard.value.objects <= maxInFlight).toBe(true);
      }),
    );
  });
});

describe('chooseForSettler', () => {
  const now = new Date(at(10));
  const choose = (rows: Parameters<typeof runView>[0], when = now, maxInFlight = 100_000) => {
    const choice = chooseForSettler(runView(rows), 'settler-0', { maxInFlight }, when);
    if (choice.choice === 'settle') return choice.shard.value.shard;
    if (choice.choice === 'load') return `load ${choice.shard.value.shard}`;
    return choice.choice === 'wait'
      ? `wait until ${choice.until?.toISOString() ?? 'asked again'}`
      : choice.choice;
  };
  const posted = (shard: string, changes: Partial<ShardRow> = {}) =>
    shardRow(shard, { state: 'posted', postedAt: at(1), lookAt: at(9), ...changes });
  const lane = (changes: Partial<PartRow> = {}) => partRow('lane-0', changes);

  test.each<[string, Parameters<typeof runView>[0], string]>([
    ['no lane has begun', {}, 'wait until asked again'],
    ['nothing is posted yet', { parts: [lane()] }, 'wait until asked again'],
    ['all is settled and the lanes have ended', { parts: [lane(ENDED)] }, 'stop'],
    ['one of the lanes is at work', { parts: [lane(ENDED), partRow('lane-1')] }, 'wait until asked again'],
    [
      'only lanes of an earlier epoch have ended',
      { run: { epoch: 2 }, parts: [lane(ENDED)] },
      'wait until asked again',
    ],
    [
      'the shard that is due soonest',
      { shards: [posted('a', { lookAt: at(8) }), posted('b', { lookAt: at(7) })] },
      'b',
    ],
    [
      'none is due yet',
      { shards: [posted('a', { lookAt: at(12) }), posted('b', { lookAt: at(11) })] },
      `wait until ${at(11)}`,
    ],
    [
      'another settler holds it',
      { shards: [posted('a', { heldBy: 'settler-1' })] },
      'wait until asked again',
    ],
    [
      'another settler holds the first',
      { shards: [posted('a', { heldBy: 'settler-1', lookAt: at(7) }), posted('b')] },
      'b',
    ],
    [
      'another settler did not come back',
      { shards: [posted('a', { heldBy: 'settler-1', lookAt: at(5) })] },
      'a',
    ],
    ['it holds the shard itself', { shards: [posted('a', { heldBy: 'settler-0' })] }, 'a'],
    [
      'a settler of an earlier epoch held it',
      { run: { epoch: 2 }, shards: [posted('a', { heldBy: 'settler-1' })] },
      'a',
    ],
    [
      'a shard is claimed and lanes are at work',
      { parts: [lane()], shards: [shardRow('a', { state: 'claimed', heldBy: 'lane-0' })] },
      'wait until asked again',
    ],
    [
      'a claimed shard is left when the lanes have ended',
      { parts: [lane(ENDED)], shards: [shardRow('a', { state: 'claimed', heldBy: 'lane-0' })] },
      'a',
    ],
    ['planned shards are nothing to settle', { parts: [lane(ENDED)], shards: [shardRow('a')] }, 'stop'],
  ])('%s', (_, rows, expected) => {
    expect(choose(rows)).toBe(expected);
  });

  test('posts once more only what the bound of objects in flight has room for, but for a shard that is larger by itself', () => {
    const again = shardRow('br1', { objects: 20, lookAt: at(9) });
    const before = posted('a', { objects: 90, lookAt: at(12) });
    const loads = (shards: readonly ShardRow[], most: number) => choose({ shards: [...shards] }, now, most);
    expect(loads([before, again], 100)).toBe(`wait until ${at(12)}`);
    expect(loads([before, again], 110)).toBe('load br1');
    expect(loads([{ ...before, settledObjects: 10 }, again], 100)).toBe('load br1');
    expect(loads([shardRow('c', { state: 'claimed', heldBy: 'lane-0', objects: 90 }), again], 100)).toBe(
      'wait until asked again',
    );
    expect(loads([again], 1)).toBe('load br1');
    const cutShort = { ...again, state: 'posted', code: CUT_SHORT, settledObjects: 15 } as const;
    expect(loads([before, cutShort], 95)).toBe('load br1');
    // A due report goes before it, and makes room.
    expect(loads([{ ...before, lookAt: at(10) }, again], 100)).toBe('a');
  });

  test('goes on with what it is at work on, whatever the bound is by now', () => {
    const mine = shardRow('br1', { state: 'claimed', heldBy: 'settler-0', objects: 20, lookAt: at(9) });
    expect(choose({ shards: [posted('a', { objects: 90 }), mine] }, now, 1)).toBe('a');
    expect(choose({ shards: [posted('a', { objects: 90, lookAt: at(12) }), mine] }, now, 1)).toBe('load br1');
  });

  test('takes a shard over exactly when its settler has been away for the time it may hold it', () => {
    const shards = [posted('a', { heldBy: 'settler-1' })];
    const free = new Date(Date.parse(at(9)) + SETTLER_HOLD_MS);
    expect(choose({ shards }, new Date(free.getTime() - 1))).toBe('wait until asked again');
    expect(choose({ shards }, free)).toBe('a');
  });
});

describe('isWorkLeft', () => {
  const STOPPED = { control: { stop: 'cancel' } } as const;
  const planned = partRow('planner', ENDED);
  const claimed = shardRow('a', { state: 'claimed' });
  const posted = shardRow('a', { state: 'posted' });

  test.each<[string, Parameters<typeof runView>[0], boolean]>([
    ['no part yet', {}, true],
    ['planning has not ended', { parts: [partRow('planner')] }, true],
    ['planning had ended in an earlier epoch only', { run: { epoch: 2 }, parts: [planned] }, true],
    ['a shard is planned', { parts: [planned], shards: [shardRow('a')] }, true],
    ['a shard is claimed', { parts: [planned], shards: [claimed] }, true],
    ['a shard is posted', { parts: [planned], shards: [posted] }, true],
    ['a part has no end, and nothing is left to do', { parts: [planned, partRow('settler-0')] }, false],
    ['stopped before the first part', STOPPED, false],
    ['stopped in the middle of planning', { ...STOPPED, parts: [partRow('planner')] }, false],
    ['stopped with a planned shard', { ...STOPPED, parts: [planned], shards: [shardRow('a')] }, false],
    ['stopped with a claimed shard', { ...STOPPED, parts: [planned], shards: [claimed] }, true],
    ['stopped with a posted shard', { ...STOPPED, parts: [planned], shards: [posted] }, true],
    [
      'stopped with objects that wait to be posted once more',
      { ...STOPPED, parts: [planned], shards: [shardRow('0000-000r1')] },
      true,
    ],
    [
      'suspended with a planned shard',
      { control: { suspendedAt: at(1) }, parts: [planned], shards: [shardRow('a')] },
      true,
    ],
  ])('%s', (_, rows, expected) => {
    expect(isWorkLeft(runView(rows))).toBe(expected);
  });
});

describe('silentPartSince', () => {
  const since = (rows: Parameters<typeof runView>[0]) => silentPartSince(runView(rows)).toISOString();
  const part = (name: string, heartbeat: number, changes: Partial<PartRow> = {}) =>
    partRow(name, { heartbeatAt: at(heartbeat), ...changes });

  test.each<[string, Parameters<typeof runView>[0], string]>([
    ['no part yet: the start of the epoch', { run: { epochAt: at(2), partCount: 6 } }, at(2)],
    ['the most silent part', { parts: [part('planner', 9), part('lane-0', 3), part('settler-0', 8)] }, at(3)],
    [
      'parts that have ended are not silent',
      { parts: [part('planner', 1, ENDED), part('lane-0', 8)] },
      at(8),
    ],
    [
      'parts of an earlier epoch do not count',
      { run: { epoch: 2 }, parts: [part('lane-0', 1), part('lane-0', 8, { epoch: 2 })] },
      at(8),
    ],
    [
      'only parts of an earlier epoch',
      { run: { epoch: 2, epochAt: at(2), partCount: 6 }, parts: [part('lane-0', 7)] },
      at(2),
    ],
    [
      'a lane without a row: the start of the epoch',
      {
        run: { epochAt: at(2), partCount: 3 },
        parts: [part('planner', 1, { endedAt: at(1) }), part('settler-0', 9)],
      },
      at(2),
    ],
    [
      'all have ended: the latest end',
      { parts: [part('planner', 1, { endedAt: at(6) }), part('lane-0', 1, { endedAt: at(7) })] },
      at(7),
    ],
  ])('%s', (_, rows, expected) => {
    expect(since(rows)).toBe(expected);
  });
});
