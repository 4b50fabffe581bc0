import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Ingestion } from '../ports/ingestion.ts';
import type { IndexedRun } from '../ports/run-store.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import { listOutcomes, readOutcomes, readSnapshot, removeOutcomes } from './run-documents.ts';

/** Shards in a row of whose status entities none is there: the cluster has begun another table since. */
const MOST_SHARDS_IN_VAIN = 2;

/** What was removed, and whether that was all. */
export interface RemovedRun {
  readonly isDone: boolean;
  /** Status entities of its messages. */
  readonly statuses: number;
}

/**
 * Removes a run with all that was written for it: the status entities in the cluster's table of its objects' last messages,
 * shard by shard, then its documents, its rows, and last its name, by which the next pass finds what is left.
 *
 * The entities are the cluster's: where it does not answer, permits no removal or has another table by now, they stay, and
 * the run goes all the same.
 *
 * @param until - an instant, milliseconds: no further shard is begun behind it.
 */
export async function removeRun(loader: Loader, run: IndexedRun, until: number): Promise<RemovedRun> {
  const { runId } = run;
  const shards = await listOutcomes(loader, runId);
  const cluster = shards.length === 0 ? null : await findCluster(loader, runId);
  let statuses = 0;
  let inVain = 0;
  for (const shard of shards) {
    if (loader.now().getTime() >= until) return { isDone: false, statuses };
    const ids =
      cluster === null || inVain >= MOST_SHARDS_IN_VAIN ? [] : await settledIds(loader, runId, shard);
    if (ids.length > 0) {
      const removed = await removeStatuses(loader, cluster!, runId, ids);
      statuses += removed ?? 0;
      inVain = removed === null ? MOST_SHARDS_IN_VAIN : removed === 0 ? inVain + 1 : 0;
    }
    await removeOutcomes(loader, runId, shard);
  }
  const paths = await loader.documents.list(`runs/${runId}/`);
  await allOf(paths, 16, (path) => loader.documents.delete(path));
  await loader.runs.deleteRun(run);
  return { isDone: true, statuses };
}

/** `null` where the run's snapshot is gone: an earlier pass was cut off behind it. */
async function findCluster(loader: Loader, runId: string): Promise<Ingestion | null> {
  try {
    const { definition } = await readSnapshot(loader, runId);
    return await loader.ingestion(definition.destination.cluster);
  } catch (thrown) {
    const error = toLoaderError(thrown);
    if (error.code !== 'runNotFound') events.statusesLeft(loader.logger, { runId, error });
    return null;
  }
}

/** Of objects whose fate is known: what ADX may yet report of the others must be found. */
async function settledIds(loader: Loader, runId: string, shard: string): Promise<readonly string[]> {
  const outcomes = (await readOutcomes(loader, runId, shard)) ?? [];
  return outcomes.flatMap(({ sourceId, state }) =>
    sourceId === null || state === 'unknown' || state === 'deferred' ? [] : [sourceId],
  );
}

async function removeStatuses(
  loader: Loader,
  cluster: Ingestion,
  runId: string,
  ids: readonly string[],
): Promise<number | null> {
  try {
    return await cluster.removeStatuses(ids);
  } catch (thrown) {
    events.statusesLeft(loader.logger, { runId, error: toLoaderError(thrown) });
    return null;
  }
}
