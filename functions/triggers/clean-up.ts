import { app } from '@azure/functions';
import * as df from 'durable-functions';

import { orchestrationsOf } from '../durable-orchestrations.ts';
import { loaderFor } from '../runtime.ts';

/** Once an hour, beside the full hour at which schedules are due; only tests want it more often. */
const SCHEDULE = process.env['LOADER_CLEAN_UP_SCHEDULE'] ?? '0 17 * * * *';

app.timer('cleanUp', {
  schedule: SCHEDULE,
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const { cleanUp } = await import('../../shared/usecases/clean-up.ts');
    await cleanUp(await loaderFor(context), orchestrationsOf(context));
  },
});
