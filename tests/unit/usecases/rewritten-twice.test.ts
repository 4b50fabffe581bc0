import { beforeEach, describe, expect, test } from 'vitest';

import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { createMemoryOrchestrations, type MemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { runLoad } from '../../fakes/run-load.ts';
import { undoRun } from '../../fakes/run-operation.ts';
import { createTestLoader, definitionOf, type TestLoader } from '../../fakes/test-loader.ts';

let test_: TestLoader;
let orchestrations: MemoryOrchestrations;

beforeEach(async () => {
  test_ = createTestLoader();
  orchestrations = createMemoryOrchestrations();
  await putLoad(test_.loader, 'flights', definitionOf({ changed: 'reload' }));
});

const run = () => runLoad(test_, orchestrations);

async function entryOf(key: string) {
  const entries = await test_.loader.ledger.readKeys({ load: 'flights', generation: 1 }, [key]);
  return entries.get(key)!.value;
}

/** Once, before the key is looked at again, something happens to it. */
function beforeNextLook(happen: (key: string) => void): void {
  const { head } = test_.source;
  test_.source.head = (key) => {
    test_.source.head = head;
    happen(key);
    return head(key);
  };
}

describe.each([
  { fate: 'deleted', state: 'gone', code: 'objectGone', last: 'completed' },
  { fate: 'rewritten once more', state: 'changed', code: 'objectChanged', last: 'completedWithDiscrepancy' },
])('a key that was rewritten while it was loaded, and is $fate before its new version is posted', (row) => {
  async function runTwice() {
    const { version } = test_.source.put({ key: 'in/1' });
    const first = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        if (test_.ingestion.messages.length > 0) test_.source.put({ key: 'in/1', sizeBytes: 55 });
        test_.ingestion.settleAll();
      },
    });
    beforeNextLook((key) =>
      row.fate === 'deleted' ? test_.source.remove(key) : void test_.source.put({ key, sizeBytes: 66 }),
    );
    return { version, first, second: await run() };
  }

  test('is not posted, and what ADX has ingested stays ingested', async () => {
    const { version, first, second } = await runTwice();
    expect(first).toMatchObject({ state: 'completedWithDiscrepancy', objects: { changed: 1 } });
    expect(second).toMatchObject({
      state: row.last,
      objects: { ingested: 0, failed: 0, [row.state]: 1 },
      failures: { [row.code]: { count: 1 } },
    });
    expect(test_.ingestion.messages).toHaveLength(1);
    expect(await entryOf('in/1')).toMatchObject({
      state: 'ingested',
      version,
      tag: first.tag,
      errorCode: row.code,
      fateUnknown: false,
    });
  });

  test('is loaded by the next run that finds it, which says that its rows may be there already', async () => {
    await runTwice();
    test_.source.put({ key: 'in/1', sizeBytes: 77 });
    expect(await run()).toMatchObject({ objects: { ingested: 1 }, repostedUnproven: ['in/1'] });
  });

  test('is not loaded again in its first version', async () => {
    const { version } = await runTwice();
    test_.source.put({ key: 'in/1', version });
    expect(await run()).toMatchObject({ plan: { selected: 0, skipped: { unchanged: 1 } } });
  });

  test('is undone with the run that loaded it', async () => {
    const { first } = await runTwice();
    const undone = await undoRun(test_.loader, test_.clock, orchestrations, first.runId);
    expect(undone).toMatchObject({ state: 'succeeded', objects: 1, rows: 1 });
    expect(await entryOf('in/1')).toMatchObject({ state: 'undone' });
  });
});
