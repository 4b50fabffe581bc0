import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type AdvanceOperationOutput,
  type OperationInput,
} from '../../shared/contracts/durable.ts';
import { callActivity, type Orchestration, sleep, TURNS_PER_EXECUTION } from './steps.ts';

/** Takes an undo or a reset a step further until it has ended; where it stands is in its document. */
export function* operation(context: OrchestrationContext): Orchestration<void> {
  const { v, operationId, attempt } = context.df.getInput<OperationInput>()!;
  const input: OperationInput = { v, operationId, attempt };
  for (let turn = 0; turn < TURNS_PER_EXECUTION; turn += 1) {
    const answer = yield* callActivity<AdvanceOperationOutput>(context, ACTIVITIES.advanceOperation, input);
    if (answer.kind === 'stop') return;
    yield* sleep(context, answer.waitMs);
  }
  context.df.continueAsNew(input);
}
