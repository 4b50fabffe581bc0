import path from 'node:path';

import { type RunningS3, startS3 } from '../dev/s3/index.ts';
import { type IngestUnitInput, PAYLOAD_VERSION } from '../shared/contracts/durable.ts';
import { putLoad } from '../shared/usecases/load-catalog.ts';
import type { Loader } from '../shared/usecases/loader.ts';
import { startRun } from '../shared/usecases/start-run.ts';
import type { BenchRun } from './bench.ts';
import { BENCH_DEFINITION, createBenchLoader } from './bench-loader.ts';
import { BUCKET, LOAD, NO_ORCHESTRATIONS, objectsOf, plan, sourceOf } from './unchanged-bucket.ts';

/** A bucket of new objects on a local S3 endpoint. */
export async function startBucket(run: BenchRun, objects: number): Promise<RunningS3> {
  const s3 = await run.start(() => startS3({ folder: path.join(run.folder, 's3'), buckets: [BUCKET] }));
  await s3.seedObjects(BUCKET, objectsOf(objects));
  return s3;
}

/**
 * Plans a run over new objects, so that all that is left of it is to post them, through the real S3 adapter.
 *
 * @param postsInFlight - `concurrency.postsInFlight` of the load. Default: its own.
 */
export async function planUnits(
  s3: RunningS3,
  state: Parameters<typeof createBenchLoader>[0]['state'],
  postsInFlight?: number,
): Promise<{ readonly loader: Loader; readonly units: readonly IngestUnitInput[] }> {
  const source = sourceOf(s3.settings);
  const loader = createBenchLoader({ state, source: async () => source, timeScale: 1 });
  // One lane: with more, units would be smaller, so that all lanes have some.
  const concurrency = { lanes: 1, ...(postsInFlight === undefined ? {} : { postsInFlight }) };
  await putLoad(loader, LOAD, { source: { bucket: BUCKET }, ...BENCH_DEFINITION, concurrency });
  const { runId } = await startRun(loader, NO_ORCHESTRATIONS, { load: LOAD, trigger: 'manual' });
  await plan(loader, runId);
  const { shards } = (await loader.runs.readRun(runId))!;
  const units = shards.flatMap(({ value: { shard, units: count } }) =>
    Array.from(
      { length: count },
      (_, unit): IngestUnitInput => ({ v: PAYLOAD_VERSION, runId, epoch: 1, shard, unit }),
    ),
  );
  return { loader, units };
}
