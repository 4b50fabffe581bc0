import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type PlannerInput,
  type PlanPageInput,
  type PlanPageOutput,
} from '../../shared/contracts/durable.ts';
import { callActivity, type Orchestration, sleep, TURNS_PER_EXECUTION } from './steps.ts';

/** Plans page after page until planning has ended, one way or the other. */
export function* planner(context: OrchestrationContext): Orchestration<void> {
  const { v, runId, epoch, page: firstPage } = context.df.getInput<PlannerInput>()!;
  let page = firstPage;
  let attempt = 0;
  for (let turn = 0; turn < TURNS_PER_EXECUTION; turn += 1) {
    const input: PlanPageInput = { v, runId, epoch, page, attempt };
    const answer = yield* callActivity<PlanPageOutput>(context, ACTIVITIES.planPage, input);
    switch (answer.kind) {
      case 'stop':
        return;
      case 'page':
        page = answer.next;
        attempt = 0;
        break;
      case 'wait':
        yield* sleep(context, answer.waitMs);
        break;
      case 'retry':
        attempt += 1;
        yield* sleep(context, answer.waitMs);
        break;
    }
  }
  context.df.continueAsNew({ v, runId, epoch, page } satisfies PlannerInput);
}
