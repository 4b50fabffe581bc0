import type { OrchestrationContext } from 'durable-functions';

import {
  ACTIVITIES,
  type FinishedShard,
  type IngestUnitInput,
  type IngestUnitOutput,
  type LoadShardInput,
} from '../../shared/contracts/durable.ts';
import type { Orchestration } from './steps.ts';

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
    const outputs = (yield context.df.Task.all(tasks)) as IngestUnitOutput[];
    const failed = outputs.find((output) => !output.ok);
    return { shard, ok: failed === undefined, code: failed === undefined || failed.ok ? null : failed.code };
  } catch {
    // The host could not carry an activity out. Nothing is scheduled after this: the lane takes the shard again.
    return { shard, ok: false, code: 'internal' };
  }
}
