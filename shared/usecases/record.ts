import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Recorder } from '../ports/recorder.ts';
import type { Loader } from './loader.ts';

/** Tells all recorders; one that fails is logged, and keeps neither the others nor the run. */
export async function record(
  { recorders, logger }: Loader,
  runId: string,
  tell: (recorder: Recorder) => Promise<void>,
): Promise<void> {
  await Promise.all(
    recorders.map(async (recorder) => {
      try {
        await tell(recorder);
      } catch (thrown) {
        events.notRecorded(logger, { runId, recorder: recorder.name, error: toLoaderError(thrown) });
      }
    }),
  );
}
