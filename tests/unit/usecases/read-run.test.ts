import { expect, test } from 'vitest';

import { createMemoryState } from '../../../shared/adapters/state/memory-state.ts';
import type { RunWrite } from '../../../shared/ports/run-store.ts';
import { readRunStatus } from '../../../shared/usecases/read-run.ts';
import { partOfRun, runOf, shardOf } from '../../contract/state/samples.ts';
import { createTestLoader } from '../../fakes/test-loader.ts';

/** A shard that is settled is two operations of a transaction. */
const WRITES_OF_A_COMMIT = 45;

/** What the storage is asked for the status of a run with so many settled shards and one under way. */
async function askedFor({ settled, ended }: { readonly settled: number; readonly ended: boolean }) {
  let asked: string[] = [];
  const state = createMemoryState({
    onRequest: (kind, operation) => void asked.push(`${kind} ${operation}`),
  });
  const loader = { ...createTestLoader().loader, ...state };
  const runId = `run-${settled}-${ended}`;
  await state.runs.createRun(runOf(runId));
  const names = Array.from({ length: settled }, (_, index) => `0000-${String(index).padStart(3, '0')}`);
  const commit = async (writes: readonly RunWrite[]) => {
    for (let at = 0; at < writes.length; at += WRITES_OF_A_COMMIT)
      expect(await state.runs.commit(runId, writes.slice(at, at + WRITES_OF_A_COMMIT))).toBe(true);
  };
  const parts = ['planner', 'lane-0', 'lane-1', 'settler-0'].map((part) => partOfRun(part));
  await commit(parts.map((value) => ({ value, etag: null })));
  await commit([...names, '0001-000'].map((name) => ({ value: shardOf(name), etag: null })));
  const view = (await state.runs.readRun(runId))!;
  await commit(
    view.shards
      .filter(({ value }) => names.includes(value.shard))
      .map(({ value, etag }) => ({ value: { ...value, state: 'settled' }, etag })),
  );
  if (ended) {
    await commit([{ value: { ...view.run.value, finalState: 'completed' }, etag: view.run.etag }]);
    await state.documents.put(`runs/${runId}/summary.json`, '{}', 'always');
  }
  asked = [];
  const status = await readRunStatus(loader, runId);
  expect(status.state).toBe(ended ? 'completed' : 'planning');
  return asked;
}

test.each([false, true])(
  'a status asks as much of a run with 10 settled shards as of one with 1,000 (ended: %s)',
  async (ended) => {
    const few = await askedFor({ settled: 10, ended });
    expect(few.length).toBeGreaterThan(0);
    expect(few.length).toBeLessThanOrEqual(2);
    expect(await askedFor({ settled: 1000, ended })).toEqual(few);
  },
);
