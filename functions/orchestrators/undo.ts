import type { OrchestrationContext } from 'durable-functions';

import { ACTIVITIES, type AdvanceUndoOutput, type UndoInput } from '../../shared/contracts/durable.ts';
import { callActivity, type Orchestration, sleep, TURNS_PER_EXECUTION } from './steps.ts';

/** Takes an undo a step further until it has ended; where it stands is in its document. */
export function* undo(context: OrchestrationContext): Orchestration<void> {
  const { v, operationId, attempt } = context.df.getInput<UndoInput>()!;
  const input: UndoInput = { v, operationId, attempt };
  for (let turn = 0; turn < TURNS_PER_EXECUTION; turn += 1) {
    const answer = yield* callActivity<AdvanceUndoOutput>(context, ACTIVITIES.advanceUndo, input);
    if (answer.kind === 'stop') return;
    yield* sleep(context, answer.waitMs);
  }
  context.df.continueAsNew(input);
}
