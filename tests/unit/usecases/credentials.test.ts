import { beforeEach, describe, expect, test } from 'vitest';

import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, putObjects, runLoad, tickLoads } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

const MINUTE = 60_000;
const SILENT = { whenIdle: () => undefined };

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

function begin(batchingMinutes: number): void {
  const batchingWindowMs = batchingMinutes * MINUTE;
  test_ = createTestLoader({ tables: { 'db/T': { batchingWindowMs } } });
  orchestrations = createMemoryOrchestrations();
}

const keysEndIn = (minutes: number) =>
  test_.source.endCredentialsAt(new Date(test_.clock.now().getTime() + minutes * MINUTE));

beforeEach(() => begin(5));

describe('keys whose end is known', () => {
  test.each([
    ['half an hour is left', 5, 30, false],
    ['more is left', 5, 31, true],
    ['three batching times are left', 20, 60, false],
    ['more than these is left', 20, 61, true],
  ])('%s: a run begins only where URLs live long enough', async (_name, batching, minutes, begins) => {
    begin(batching);
    putObjects(test_, 3);
    await putLoad(test_.loader, 'flights', definitionOf());
    keysEndIn(minutes);
    const summary = await runLoad(test_, orchestrations);
    expect([summary.state, summary.objects.ingested]).toEqual(begins ? ['completed', 3] : ['failed', 0]);
    if (!begins) expect(JSON.stringify(summary)).toContain('credentialsEndTooSoon');
    expect(test_.ingestion.attempts).toHaveLength(begins ? 3 : 0);
    expect(test_.source.callCounts.listPage > 0).toBe(begins);
  });

  test('that end while the run goes on sign nothing more, and the next run loads the rest', async () => {
    putObjects(test_, 2);
    await putLoad(test_.loader, 'flights', definitionOf());
    keysEndIn(60);
    const { listPage } = test_.source;
    test_.source.listPage = (input) => {
      keysEndIn(10);
      return listPage(input);
    };
    const cut = await runLoad(test_, orchestrations);
    expect(cut).toMatchObject({ state: 'completedWithFailures', objects: { failed: 2 } });
    expect(JSON.stringify(cut.failures)).toContain('end before ADX');
    expect(test_.ingestion.attempts).toHaveLength(0);
    test_.source.listPage = listPage;
    keysEndIn(60);
    expect(await runLoad(test_, orchestrations)).toMatchObject({
      state: 'completed',
      objects: { ingested: 2 },
    });
  });

  test('do not keep a run that only settles from what ADX has reported', async () => {
    putObjects(test_, 2);
    await putLoad(test_.loader, 'flights', definitionOf());
    await runLoad(test_, orchestrations, SILENT);
    test_.ingestion.settleAll();
    test_.clock.advance(8 * 60 * MINUTE);
    keysEndIn(1);
    const settling = await tickLoads(test_, orchestrations);
    expect(await driveRun(test_, orchestrations, settling!)).toMatchObject({
      trigger: 'settle',
      objects: { ingested: 2 },
    });
  });
});
