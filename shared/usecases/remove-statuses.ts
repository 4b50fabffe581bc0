import { setTimeout as sleep } from 'node:timers/promises';

import { LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Ingestion } from '../ports/ingestion.ts';
import type { Loader } from './loader.ts';
import {
  listOutcomes,
  readOutcomes,
  readSnapshot,
  readStatusesRemoved,
  writeStatusesRemoved,
} from './run-documents.ts';

/** Ids of one question to the cluster. */
const IDS_AT_ONCE = 1000;
/** A cluster that does not answer one question for so long is away. */
const MOST_WAIT_MS = 20_000;
/** Shards in a row of whose status entities none is there: the cluster has begun another table since. */
const MOST_SHARDS_IN_VAIN = 2;

/** What one pass of the clean-up spends on status entities. */
export interface StatusPass {
  /** An instant, milliseconds: nothing is asked behind it. */
  readonly until: number;
  /** Clusters that have not answered in this pass. */
  readonly away: Set<string>;
}

/**
 * Removes the status entities in the cluster's table of a run that has ended: those of the last messages of its objects,
 * without objects of open fate, for what ADX may yet report of them must be found. Where it has come to is noted behind
 * each shard, so that the next pass goes on there; all else of the run stays as it is.
 *
 * @returns `false` where there is more to do: the pass is over, or the cluster is away.
 */
export async function removeStatuses(loader: Loader, runId: string, pass: StatusPass): Promise<boolean> {
  const shards = await listOutcomes(loader, runId);
  const from = await readStatusesRemoved(loader, runId);
  if (from >= shards.length) return true;
  const cluster = await findCluster(loader, runId);
  if (cluster === null) return true;
  let inVain = 0;
  for (let index = from; index < shards.length; index += 1) {
    if (loader.now().getTime() >= pass.until || pass.away.has(cluster)) return false;
    const ids = await settledIds(loader, runId, shards[index]!);
    if (ids.length > 0) {
      const removed = await ask(loader, runId, cluster, ids, pass);
      if (removed === 'away') return false;
      if (removed === 'not permitted') return true;
      inVain = removed === 0 ? inVain + 1 : 0;
      if (inVain >= MOST_SHARDS_IN_VAIN) return true;
    }
    await writeStatusesRemoved(loader, runId, index + 1);
  }
  return true;
}

/** `null` where the run's snapshot is gone: an earlier pass was cut off behind it. */
async function findCluster(loader: Loader, runId: string): Promise<string | null> {
  try {
    return (await readSnapshot(loader, runId)).definition.destination.cluster;
  } catch (error) {
    if (error instanceof LoaderError && error.code === 'runNotFound') return null;
    throw error;
  }
}

async function settledIds(loader: Loader, runId: string, shard: string): Promise<readonly string[]> {
  const outcomes = (await readOutcomes(loader, runId, shard)) ?? [];
  return outcomes.flatMap(({ sourceId, state }) =>
    sourceId === null || state === 'unknown' || state === 'deferred' ? [] : [sourceId],
  );
}

/** How many were there. */
async function ask(
  loader: Loader,
  runId: string,
  name: string,
  ids: readonly string[],
  { away }: StatusPass,
): Promise<number | 'away' | 'not permitted'> {
  let found = 0;
  try {
    const cluster = await loader.ingestion(name);
    for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
      const removed = await inTime(cluster, ids.slice(from, from + IDS_AT_ONCE));
      if (removed === null) return 'not permitted';
      found += removed;
    }
    return found;
  } catch (thrown) {
    away.add(name);
    events.statusesLeft(loader.logger, { runId, error: toLoaderError(thrown) });
    return 'away';
  }
}

async function inTime(cluster: Ingestion, ids: readonly string[]): Promise<number | null> {
  const waiting = new AbortController();
  try {
    return await Promise.race([
      cluster.removeStatuses(ids),
      sleep(MOST_WAIT_MS, null, { signal: waiting.signal, ref: false }).then(() => {
        throw new LoaderError('clusterUnavailable', 'The cluster has not answered in time.');
      }),
    ]);
  } finally {
    waiting.abort();
  }
}
