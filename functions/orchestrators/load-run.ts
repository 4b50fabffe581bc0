import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type LaneInput,
  type LoadRunInput,
  ORCHESTRATORS,
  type PlannerInput,
  type SettlerInput,
} from '../../shared/contracts/durable.ts';
import { partInstanceId } from '../../shared/domain/run-id.ts';
import type { RunSummary } from '../../shared/domain/run-summary.ts';
import { callActivity, type Orchestration } from './steps.ts';

/**
 * A run: one planner, some lanes and some settlers side by side, and the finish when all have ended. The parts don't
 * throw: how they fared stands in the run's rows, by which the finish leaves a run with work left to the tick.
 */
export function* loadRun(context: OrchestrationContext): Orchestration<RunSummary | null> {
  const { v, runId, epoch, lanes, settlers } = context.df.getInput<LoadRunInput>()!;
  const ref = { v, runId, epoch };
  const start = (name: string, part: string, input: PlannerInput | LaneInput | SettlerInput) =>
    context.df.callSubOrchestrator(name, input, partInstanceId({ runId, epoch, part }));

  yield context.df.Task.all([
    start(ORCHESTRATORS.planner, 'planner', { ...ref, page: 0 }),
    ...range(lanes).map((lane) =>
      start(ORCHESTRATORS.lane, `lane-${lane}`, { ...ref, lane, turn: 0, finished: null }),
    ),
    ...range(settlers).map((settler) =>
      start(ORCHESTRATORS.settler, `settler-${settler}`, { ...ref, settler, turn: 0 }),
    ),
  ]);
  return yield* callActivity<RunSummary | null>(context, ACTIVITIES.finishRun, ref);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
