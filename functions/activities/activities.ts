import type { InvocationContext } from '@azure/functions';
import * as df from 'durable-functions';

import {
  ACTIVITIES,
  type IngestUnitInput,
  type OperationInput,
  type PlanPageInput,
  type RunRef,
  runOutput,
  type SettleShardInput,
  type TakePostedInput,
  type TakeShardInput,
} from '../../shared/contracts/durable.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { orchestrationsOf } from '../durable-orchestrations.ts';
import { loaderFor } from '../runtime.ts';

/**
 * The activities, each a use case with its ports filled in. Use cases and the SDKs behind them are loaded with the
 * first call: a worker that only runs orchestrators needs none of them.
 */
function activity<Input>(
  name: string,
  run: (loader: Loader, input: Input, context: InvocationContext) => Promise<unknown>,
  options = {},
): void {
  df.app.activity(name, {
    ...options,
    handler: async (input: Input, context: InvocationContext) =>
      run(await loaderFor(context), input, context),
  });
}

activity(ACTIVITIES.planPage, async (loader, input: PlanPageInput) =>
  (await import('../../shared/usecases/plan-page.ts')).planPage(loader, input),
);
activity(ACTIVITIES.takeShard, async (loader, input: TakeShardInput) =>
  (await import('../../shared/usecases/take-shard.ts')).takeShard(loader, input),
);
activity(ACTIVITIES.ingestUnit, async (loader, input: IngestUnitInput) =>
  (await import('../../shared/usecases/ingest-unit.ts')).ingestUnit(loader, input),
);
activity(ACTIVITIES.takePosted, async (loader, input: TakePostedInput) =>
  (await import('../../shared/usecases/take-posted.ts')).takePosted(loader, input),
);
activity(ACTIVITIES.settleShard, async (loader, input: SettleShardInput) =>
  (await import('../../shared/usecases/settle-shard.ts')).settleShard(loader, input),
);

activity(
  ACTIVITIES.advanceOperation,
  async (loader, input: OperationInput, context) => {
    const [{ advanceOperation }, { startWaiting }] = await Promise.all([
      import('../../shared/usecases/advance-operation.ts'),
      import('../../shared/usecases/tick.ts'),
    ]);
    const { answer, freed } = await advanceOperation(loader, input);
    if (freed !== null) await startWaiting(loader, orchestrationsOf(context), freed);
    return answer;
  },
  { extraInputs: [df.input.durableClient()] },
);

activity(
  ACTIVITIES.finishRun,
  async (loader, input: RunRef, context) => {
    const [{ finishRun }, { startWaiting }] = await Promise.all([
      import('../../shared/usecases/finish-run.ts'),
      import('../../shared/usecases/tick.ts'),
    ]);
    const summary = await finishRun(loader, input);
    if (summary !== null) await startWaiting(loader, orchestrationsOf(context), summary.load);
    return summary === null ? null : runOutput(summary);
  },
  { extraInputs: [df.input.durableClient()] },
);
