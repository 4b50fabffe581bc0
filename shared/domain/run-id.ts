import { retryNumber } from './retry-shard.ts';

/**
 * Ids of runs and of the Durable instances that carry them out.
 *
 * A run id is at most 85 characters (a load name has 63), so that every instance id below stays within the
 * 100 printable characters that the Durable Task Scheduler allows.
 */

/** Compact UTC time with seconds: `20261124T035218Z`. */
function compactInstant(instant: Date): string {
  return `${instant.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

/** Id of a run that somebody started; `suffix` (4 characters) tells runs of the same second apart. */
export function manualRunId(load: string, startedAt: Date, suffix: string): string {
  return `${load}-${compactInstant(startedAt)}-${suffix}`;
}

/** When the run of this id was started, to the second; `null` for what is no id of a run. */
export function startedAtOf(runId: string): Date | null {
  const [, date, time] = /-(\d{8})T(\d{6})Z-[^-]+$/.exec(runId) ?? [];
  if (date === undefined || time === undefined) return null;
  const parts = `${date.replace(/(....)(..)/, '$1-$2-')}T${time.replace(/(..)(..)/, '$1:$2:')}Z`;
  return new Date(parts);
}

/** Id of a scheduled run, made of load and scheduled instant: a schedule can't start it twice. */
export function scheduledRunId(load: string, scheduledFor: Date): string {
  return `${load}-${compactInstant(scheduledFor)}-cron`;
}

export interface RunEpoch {
  readonly runId: string;
  readonly epoch: number;
}

/** Instance id of the orchestration of a run in one epoch. */
export function runInstanceId({ runId, epoch }: RunEpoch): string {
  return `${runId}-e${epoch}`;
}

/** Instance id of a part (`planner`, `lane-0`, `settler-0`) of a run in one epoch. */
export function partInstanceId({ runId, epoch, part }: RunEpoch & { readonly part: string }): string {
  return `${runInstanceId({ runId, epoch })}-${part}`;
}

/** Id of an operation on a load, at most 91 characters. */
export function operationId(kind: 'undo' | 'reset', load: string, startedAt: Date, suffix: string): string {
  return `${kind}-${manualRunId(load, startedAt, suffix)}`;
}

/** Instance id of the `attempt`-th orchestration that carries an operation out. */
export function operationInstanceId({
  operationId,
  attempt,
}: {
  readonly operationId: string;
  readonly attempt: number;
}): string {
  return `${operationId}-a${attempt}`;
}

/**
 * Instance id of the `attempt`-th orchestration that works through a shard. The letter tells the retries of a shard from
 * the shard itself: `s0003-001a1`, and `s0003-001b1` for `0003-001r1`.
 */
export function shardInstanceId(
  input: RunEpoch & { readonly shard: string; readonly attempt: number },
): string {
  const retry = retryNumber(input.shard);
  const planned = retry === 0 ? input.shard : input.shard.slice(0, -`r${retry}`.length);
  return `${runInstanceId(input)}-s${planned}${String.fromCharCode(97 + retry)}${input.attempt}`;
}
