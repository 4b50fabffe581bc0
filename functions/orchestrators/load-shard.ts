import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type FinishedShard,
  type IngestUnitInput,
  type IngestUnitOutput,
  type LoadShardInput,
} from '../../shared/contracts/durable.ts';
import { CUT_SHORT } from '../../shared/domain/run-record.ts';
import type { Orchestration } from './steps.ts';

/** How a shard fared. That it was cut short by a suspension counts most: then all of it is tried again. */
export function finishedShard(shard: string, outputs: readonly IngestUnitOutput[]): FinishedShard {
  const codes = outputs.flatMap((output) => (output.ok ? [] : [output.code]));
  const code = codes.find((one) => one === CUT_SHORT) ?? codes[0] ?? null;
  return { shard, ok: code === null, code };
}

/** One activity per unit, all at the same time, at most 100 of them. */
export function* loadShard(context: OrchestrationContext): Orchestration<FinishedShard> {
  const { v, runId, epoch, shard, units } = context.df.getInput<LoadShardInput>()!;
  if (units === 0) return { shard, ok: true, code: null };
  const tasks = Array.from({ length: units }, (_, unit) =>
    context.df.callActivity(ACTIVITIES.ingestUnit, {
      v,
      runId,
      epoch,
      shard,
      unit,
    } satisfies IngestUnitInput),
  );
  try {
    return finishedShard(shard, (yield context.df.Task.all(tasks)) as IngestUnitOutput[]);
  } catch {
    // The host could not carry an activity out. Nothing is scheduled after this: the lane takes the shard again.
    return { shard, ok: false, code: 'internal' };
  }
}
