import type { RunOptions, RunTrigger } from '../../shared/domain/run-record.ts';
import type { RunSummary } from '../../shared/domain/run-summary.ts';
import { receiveEvent } from '../../shared/usecases/receive-event.ts';
import { startRun } from '../../shared/usecases/start-run.ts';
import { tick } from '../../shared/usecases/tick.ts';
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

/** Ticks once and returns the run that it started, if any. */
export async function tickLoads(
  { loader }: TestLoader,
  orchestrations: MemoryOrchestrations,
): Promise<string | null> {
  const before = orchestrations.started.size;
  await tick(loader, orchestrations);
  return orchestrations.started.size === before
    ? null
    : [...orchestrations.started.keys()].at(-1)!.replace(/-e1$/, '');
}

/** Delivers one S3 event notification of these keys. */
export async function announceKeys(
  { loader }: Pick<TestLoader, 'loader'>,
  keys: readonly string[],
): Promise<void> {
  await receiveEvent(loader, {
    Records: keys.map((key) => ({
      eventSource: 'aws:s3',
      eventName: 'ObjectCreated:Put',
      s3: { bucket: { name: 'memory-bucket' }, object: { key, size: 1, eTag: 'x' } },
    })),
  });
}

/** Puts so many objects `in/000` and so on. */
export function putObjects({ source }: TestLoader, count: number): void {
  for (let index = 0; index < count; index += 1) source.put({ key: `in/${String(index).padStart(3, '0')}` });
}

/** Ticks each minute for so many hours and carries out what that starts. Returns how many runs there were. */
export async function tickHours(
  test: TestLoader,
  orchestrations: MemoryOrchestrations,
  hours: number,
): Promise<number> {
  let runs = 0;
  for (let minute = 0; minute < 60 * hours; minute += 1) {
    test.clock.advance(60_000);
    const runId = await tickLoads(test, orchestrations);
    if (runId === null) continue;
    runs += 1;
    await driveRun(test, orchestrations, runId);
  }
  return runs;
}
