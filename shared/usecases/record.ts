import type { ObjectOutcome } from '../domain/run-summary.ts';
import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Recorder } from '../ports/recorder.ts';
import { inTime } from './ask-service.ts';
import type { Loader } from './loader.ts';
import type { RunSnapshot } from './run-documents.ts';

/** A recorder that takes longer keeps the run no more. */
const LONGEST_MS = 60_000;

/** Tells all recorders; one that fails, or does not answer for a minute, is logged, and keeps neither the others nor the run. */
export async function record(
  { recorders, logger }: Loader,
  runId: string,
  tell: (recorder: Recorder) => Promise<void>,
): Promise<void> {
  await Promise.all(
    recorders.map(async (recorder) => {
      try {
        await inTime({ noAnswer: 'internal', timeoutMs: LONGEST_MS }, () => tell(recorder));
      } catch (thrown) {
        events.notRecorded(logger, { runId, recorder: recorder.name, error: toLoaderError(thrown) });
      }
    }),
  );
}

/** Tells all recorders how the objects of a shard have ended. */
export async function recordShard(
  loader: Loader,
  { request: { runId, load }, definition }: RunSnapshot,
  shard: string,
  outcomes: readonly ObjectOutcome[],
): Promise<void> {
  const { bucket } = definition.source;
  const ended = { runId, load, bucket, shard, endedAt: loader.now(), outcomes };
  await record(loader, runId, (recorder) => recorder.shardEnded(ended));
}
