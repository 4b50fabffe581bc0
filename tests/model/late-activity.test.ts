import { expect, test } from 'vitest';
import { NO_OPTIONS } from '../../shared/domain/run-record.ts';
import { ingestUnit } from '../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../shared/usecases/load-catalog.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { settleShard } from '../../shared/usecases/settle-shard.ts';
import { startRun } from '../../shared/usecases/start-run.ts';
import { createMemoryOrchestrations } from '../fakes/memory-orchestrations.ts';
import { postShard, settleAndFinish, takeFirstShard } from '../fakes/run-by-hand.ts';
import { driveRun, runLoad } from '../fakes/run-load.ts';
import { sleepingPlace } from '../fakes/sleeping-place.ts';
import { createTestLoader, definitionOf } from '../fakes/test-loader.ts';

const MINUTE = 60_000;

/**
 * An activity of a run that retries falls asleep before it reads the ledger, and wakes up when the next run has loaded a newer
 * version of the key.
 *
 * @returns sizes of what was posted.
 */
async function sleepThroughEnd(change: (loader: Loader) => Loader): Promise<readonly number[]> {
  const test_ = createTestLoader();
  const { loader, source, ingestion } = test_;
  const orchestrations = createMemoryOrchestrations();
  await putLoad(loader, 'flights', definitionOf({ changed: 'reload' }));
  source.put({ key: 'in/1', sizeBytes: 11 });
  const fail = { status: 'Failed', errorCode: 'BadRequest_EmptyBlob', failureStatus: 'Permanent' } as const;
  await runLoad(test_, orchestrations, { whenIdle: () => void ingestion.settleAll(fail) });

  const options = { ...NO_OPTIONS, retryFailed: true };
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual', options });
  const ref = { v: 1, runId, epoch: 1 } as const;
  const work = await takeFirstShard(test_, ref);
  const { sleepy, asleep, awake } = sleepingBeforeLedger(loader);
  const twin = ingestUnit(change(sleepy), work);
  await asleep;
  await driveRun(test_, orchestrations, runId);
  source.put({ key: 'in/1', sizeBytes: 22 });
  await runLoad(test_, orchestrations);
  awake();
  await twin;
  return ingestion.messages.map(({ rawSizeBytes }) => rawSizeBytes);
}

test('an activity that sleeps through the end of its run posts nothing over what the next run has loaded', async () => {
  expect(await sleepThroughEnd((loader) => loader)).toEqual([11, 11, 22]);
});

test('an activity that asked only before it read the ledger whether its run goes on would post over it', async () => {
  const posted = await sleepThroughEnd((loader) => {
    let asked: ReturnType<Loader['runs']['readControl']> | null = null;
    const readControl = (runId: string) => (asked ??= loader.runs.readControl(runId));
    return { ...loader, runs: { ...loader.runs, readControl } };
  });
  expect(posted).toEqual([11, 11, 22, 11]);
});

test('an activity that sleeps until its run has loaded another version than was planned does not load that one again', async () => {
  const test_ = createTestLoader();
  const { loader, source, ingestion, clock } = test_;
  const orchestrations = createMemoryOrchestrations();
  await putLoad(loader, 'flights', definitionOf({ changed: 'reload', concurrency: { lanes: 1 } }));
  source.put({ key: 'in/1', sizeBytes: 11 });
  await runLoad(test_, orchestrations);
  source.put({ key: 'in/1', sizeBytes: 22 });
  const { runId } = await startRun(loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  const work = await takeFirstShard(test_, ref);
  // Rewritten between plan and post: ADX reads this one, and the ledger comes to say so.
  clock.advance(MINUTE);
  source.put({ key: 'in/1', sizeBytes: 33 });
  clock.advance(MINUTE);
  const { sleepy, asleep, awake } = sleepingBeforeLedger(loader);
  const twin = ingestUnit(sleepy, work);
  await asleep;
  await postShard(test_, work);
  ingestion.settleAll();
  let isAwake = false;
  await settleAndFinish(test_, ref, {
    settle: async (...args) => {
      const answer = await settleShard(...args);
      if (!isAwake) awake();
      isAwake = true;
      await twin;
      return answer;
    },
  });
  expect(ingestion.messages).toHaveLength(2);
  expect(await runLoad(test_, orchestrations)).toMatchObject({ plan: { skipped: { unchanged: 1 } } });
});

/** A loader whose work falls asleep where it is about to read the ledger. */
function sleepingBeforeLedger(loader: Loader) {
  const { sleep, ...place } = sleepingPlace();
  const ledger = {
    ...loader.ledger,
    readKeys: async (...args: Parameters<typeof loader.ledger.readKeys>) => {
      await sleep();
      return loader.ledger.readKeys(...args);
    },
  };
  return { sleepy: { ...loader, ledger }, ...place };
}
