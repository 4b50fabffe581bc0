import type { LoadDefinition } from '../contracts/load-definition.ts';
import { isSameBucket } from '../domain/place.ts';
import type { Loader } from './loader.ts';
import { readSnapshot } from './run-documents.ts';

/**
 * How many objects of a run may be in flight: what its load allows, and its share of what the app grants a bucket
 * (`LOADER_MAX_IN_FLIGHT_PER_BUCKET`). All runs that read the bucket now have the same share, whatever they have in flight
 * from before; none has less than one shard's objects.
 */
export async function mostInFlight(
  loader: Loader,
  { concurrency: { maxInFlight }, source }: Pick<LoadDefinition, 'concurrency' | 'source'>,
): Promise<number> {
  if (loader.maxInFlightPerBucket === null) return maxInFlight;
  const locks = await loader.loads.listLocks();
  const runs = locks.flatMap(({ request }) => ('operation' in request ? [] : [request.runId]));
  const sources = await Promise.all(runs.map((runId) => sourceOf(loader, runId)));
  const others = sources.filter((other) => other !== null && isSameBucket(other, source)).length;
  return Math.min(maxInFlight, Math.max(1, Math.floor(loader.maxInFlightPerBucket / Math.max(1, others))));
}

/** `null` of a run that has just taken its lock. */
async function sourceOf(loader: Loader, runId: string): Promise<LoadDefinition['source'] | null> {
  try {
    return (await readSnapshot(loader, runId)).definition.source;
  } catch {
    return null;
  }
}
