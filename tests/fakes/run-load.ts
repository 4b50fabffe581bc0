import type { RunOptions, RunTrigger } from '../../shared/domain/run-record.ts';
import type { RunSummary } from '../../shared/domain/run-summary.ts';
import { startRun } from '../../shared/usecases/start-run.ts';
import { type DriveOptions, drive, type MemoryOrchestrations } from './memory-orchestrations.ts';
import type { TestLoader } from './test-loader.ts';

export interface RunLoadOptions extends DriveOptions {
  /** Default `flights`. */
  readonly load?: string;
  /** Default `manual`. */
  readonly trigger?: RunTrigger;
  readonly options?: RunOptions;
}

/** Starts a run a second after whatever was before, and carries it out. ADX reports success at once unless told otherwise. */
export async function runLoad(
  test: TestLoader,
  orchestrations: MemoryOrchestrations,
  { load = 'flights', trigger = 'manual', options, ...driving }: RunLoadOptions = {},
): Promise<RunSummary> {
  test.clock.advance(1000);
  const { runId } = await startRun(test.loader, orchestrations, {
    load,
    trigger,
    ...(options === undefined ? {} : { options }),
  });
  return driveRun(test, orchestrations, runId, driving);
}

/** Carries out the first epoch of a run that was started. @throws when there is no such run. */
export async function driveRun(
  { loader, clock, ingestion }: TestLoader,
  orchestrations: MemoryOrchestrations,
  runId: string,
  options: DriveOptions = {},
): Promise<RunSummary> {
  const input = orchestrations.started.get(`${runId}-e1`);
  if (input === undefined) throw new Error(`The run ${runId} was not started`);
  const summary = await drive(loader, clock, input, {
    whenIdle: () => void ingestion.settleAll(),
    ...options,
  });
  return summary!;
}
