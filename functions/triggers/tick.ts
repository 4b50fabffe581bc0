import { app } from '@azure/functions';
import * as df from 'durable-functions';

import { orchestrationsOf } from '../durable-orchestrations.ts';
import { loaderFor } from '../runtime.ts';

/** Once a minute; only tests want it more often. */
const SCHEDULE = process.env['LOADER_TICK_SCHEDULE'] ?? '0 * * * * *';

app.timer('tick', {
  schedule: SCHEDULE,
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const { tick } = await import('../../shared/usecases/tick.ts');
    await tick(await loaderFor(context), orchestrationsOf(context));
  },
});
