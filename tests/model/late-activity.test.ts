import { expect, test } from 'vitest';
import { NO_OPTIONS } from '../../shared/domain/run-record.ts';
import { ingestUnit } from '../../shared/usecases/ingest-unit.ts';
import { putLoad } from '../../shared/usecases/load-catalog.ts';
import { planPage } from '../../shared/usecases/plan-page.ts';
import { startRun } from '../../shared/usecases/start-run.ts';
import { takeShard } from '../../shared/usecases/take-shard.ts';
import { createMemoryOrchestrations } from '../fakes/memory-orchestrations.ts';
import { driveRun, runLoad } from '../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../fakes/test-loader.ts';

test('an activity that sleeps through the end of its run posts nothing over what the next run has loaded', async () => {
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
  await planPage(loader, { ...ref, page: 0, attempt: 0 });
  const taken = await takeShard(loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error('There is no shard');
  // The twin falls asleep where it is about to read the ledger.
  const awake = Promise.withResolvers<void>();
  const asleep = Promise.withResolvers<void>();
  const sleepy = {
    ...loader.ledger,
    readKeys: async (...args: Parameters<typeof loader.ledger.readKeys>) => {
      asleep.resolve();
      await awake.promise;
      return loader.ledger.readKeys(...args);
    },
  };
  const twin = ingestUnit({ ...loader, ledger: sleepy }, { ...ref, shard: taken.shard, unit: 0 });
  await asleep.promise;
  await driveRun(test_, orchestrations, runId);
  source.put({ key: 'in/1', sizeBytes: 22 });
  await runLoad(test_, orchestrations);
  awake.resolve();
  await twin;
  expect(ingestion.messages.map(({ rawSizeBytes }) => rawSizeBytes)).toEqual([11, 11, 22]);
});
