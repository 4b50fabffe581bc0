import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { LOAD_NAME } from '../../../shared/contracts/load-definition.ts';
import {
  manualRunId,
  partInstanceId,
  runInstanceId,
  scheduledRunId,
  shardInstanceId,
  startedAtOf,
} from '../../../shared/domain/run-id.ts';

const loads = fc.stringMatching(LOAD_NAME);
const instants = fc.date({
  min: new Date('2020-01-01T00:00:00Z'),
  max: new Date('2100-01-01T00:00:00Z'),
  noInvalidDate: true,
});

/** Every id that a run has, with the longest parts and the most epochs, shards and attempts. */
function idsOf(runId: string): readonly string[] {
  const epoch = 9;
  return [
    runId,
    runInstanceId({ runId, epoch }),
    ...['planner', 'lane-31', 'settler-7'].map((part) => partInstanceId({ runId, epoch, part })),
    shardInstanceId({ runId, epoch, shard: '9999-999', attempt: 9 }),
  ];
}

describe('ids of runs', () => {
  test('say load and instant', () => {
    const at = new Date('2026-11-24T03:52:18.999Z');
    expect(manualRunId('flights', at, 'ab12')).toBe('flights-20261124T035218Z-ab12');
    expect(scheduledRunId('flights', at)).toBe('flights-20261124T035218Z-cron');
    expect(shardInstanceId({ runId: 'r', epoch: 2, shard: '0003-014', attempt: 1 })).toBe('r-e2-s0003-014a1');
  });

  test('have at most 100 characters that every back end allows', () => {
    fc.assert(
      fc.property(fc.oneof(loads, fc.constant('a'.repeat(63))), instants, (load, at) => {
        for (const runId of [manualRunId(load, at, 'ffff'), scheduledRunId(load, at)]) {
          expect(startedAtOf(runId)?.getTime()).toBe(Math.floor(at.getTime() / 1000) * 1000);
          expect(runId.length).toBeLessThanOrEqual(85);
          for (const id of idsOf(runId)) {
            expect(id.length).toBeLessThanOrEqual(100);
            expect(id).toMatch(/^[A-Za-z0-9-]+$/);
          }
        }
      }),
    );
    expect(
      shardInstanceId({
        runId: manualRunId('a'.repeat(63), new Date(), 'ffff'),
        epoch: 9,
        shard: '9999-999',
        attempt: 9,
      }),
    ).toHaveLength(100);
  });

  test('differ where load, second, suffix, epoch, part, shard or attempt differ', () => {
    const at = new Date('2026-11-24T03:52:18Z');
    const runIds = [
      manualRunId('a', at, '0000'),
      manualRunId('a', at, '0001'),
      manualRunId('b', at, '0000'),
      manualRunId('a', new Date(at.getTime() + 1000), '0000'),
      scheduledRunId('a', at),
    ];
    const all = runIds.flatMap((runId) => [
      ...idsOf(runId),
      runInstanceId({ runId, epoch: 1 }),
      shardInstanceId({ runId, epoch: 9, shard: '0000-001', attempt: 1 }),
      shardInstanceId({ runId, epoch: 9, shard: '0000-001', attempt: 2 }),
    ]);
    expect(new Set(all).size).toBe(all.length);
  });

  test('of a schedule are the same whenever they are made', () => {
    fc.assert(
      fc.property(loads, instants, (load, at) => {
        expect(scheduledRunId(load, new Date(at.toISOString()))).toBe(scheduledRunId(load, at));
      }),
    );
  });
});
