import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import type { FunctionRunner } from './function-runner.ts';
import type { RegisteredFunction } from './functions-core.ts';
import { describeError, type Logger } from './log.ts';
import type { RetryPolicy } from './rpc.ts';
import type { StateFile } from './state-file.ts';
import { readSchedule, type TimerSchedule } from './timer-schedule.ts';

const longestDelayMs = 2 ** 31 - 1;
/** Shorter intervals are not monitored, as in the real host. */
const shortestMonitoredMs = 60_000;

interface ScheduleStatus {
  readonly Last: string;
  readonly Next: string;
  readonly LastUpdated: string;
}

/** Makes the table of monitored timers. */
export function createTimerTable(database: DatabaseSync): void {
  database.exec('CREATE TABLE IF NOT EXISTS timer_trigger(name TEXT PRIMARY KEY, status TEXT NOT NULL)');
}

/** Runs one timer function at its times, never beside itself. */
export class TimerTrigger {
  readonly #fn: RegisteredFunction;
  readonly #runner: FunctionRunner;
  readonly #state: StateFile;
  readonly #logger: Logger;
  readonly #schedule: TimerSchedule;
  readonly #isMonitored: boolean;
  #timeout: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isRunning = false;

  /** @throws when the schedule can't be read */
  constructor(params: { fn: RegisteredFunction; runner: FunctionRunner; state: StateFile; logger: Logger }) {
    this.#fn = params.fn;
    this.#runner = params.runner;
    this.#state = params.state;
    this.#logger = params.logger;
    const { trigger, name } = params.fn;
    this.#schedule = readSchedule(String(trigger.schedule ?? ''), name);
    const first = this.#schedule.nextAfter(Date.now());
    const intervalMs = this.#schedule.nextAfter(first) - first;
    this.#isMonitored = trigger.useMonitor !== false && intervalMs >= shortestMonitoredMs;
  }

  start(): void {
    const status = this.#readStatus();
    const nowMs = Date.now();
    const isMissed = status !== null && Date.parse(status.Next) < nowMs;
    if (isMissed) void this.#tick({ dueMs: Date.parse(status.Next), isPastDue: true });
    else if (this.#fn.trigger.runOnStartup === true) void this.#tick({ dueMs: nowMs, isPastDue: false });
    else {
      const nextMs = this.#schedule.nextAfter(nowMs);
      if (status === null) this.#writeStatus({ lastMs: null, nextMs });
      this.#arm(
        status !== null && !this.#schedule.isInterval ? Math.min(Date.parse(status.Next), nextMs) : nextMs,
      );
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timeout);
  }

  /** Runs the function now, as the admin endpoint asks. */
  async runOnce(): Promise<void> {
    await this.#invoke(false);
  }

  #arm(dueMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timeout);
    const delayMs = Math.max(0, dueMs - Date.now());
    this.#timeout = setTimeout(
      () => (delayMs > longestDelayMs ? this.#arm(dueMs) : void this.#tick({ dueMs, isPastDue: false })),
      Math.min(delayMs, longestDelayMs),
    );
  }

  async #tick(params: { dueMs: number; isPastDue: boolean }): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      await this.#invoke(params.isPastDue);
    } catch (error) {
      const message = `Executed '${this.#fn.name}' (Failed): ${describeError(error)}`;
      this.#logger.log({ level: 'error', category: `function.${this.#fn.name}`, message });
    } finally {
      this.#isRunning = false;
    }
    if (this.#isStopped) return;
    // Ticks that fell due while the function ran are one late tick, not many.
    const nextMs = this.#schedule.nextAfter(Math.max(params.dueMs, Date.now()));
    this.#writeStatus({ lastMs: params.dueMs, nextMs });
    this.#arm(nextMs);
  }

  async #invoke(isPastDue: boolean): Promise<void> {
    const json = JSON.stringify({
      Schedule: { AdjustForDST: true },
      ScheduleStatus: this.#readStatus(),
      IsPastDue: isPastDue,
    });
    const retry = this.#fn.retry;
    for (let retryCount = 0; ; retryCount += 1) {
      const retryContext =
        retry === undefined ? {} : { retryContext: { retryCount, maxRetryCount: retry.maxRetryCount } };
      try {
        await this.#runner.run(this.#fn, { triggerData: { json }, ...retryContext });
        return;
      } catch (error) {
        if (this.#isStopped || retry === undefined || isLastAttempt(retry, retryCount)) throw error;
        await wait(retryDelayMs(retry, retryCount));
      }
    }
  }

  #readStatus(): ScheduleStatus | null {
    if (!this.#isMonitored) return null;
    this.#state.flush();
    const row = this.#state.database
      .prepare('SELECT status FROM timer_trigger WHERE name = ?')
      .get(this.#fn.name);
    return typeof row?.status === 'string' ? (JSON.parse(row.status) as ScheduleStatus) : null;
  }

  #writeStatus(params: { lastMs: number | null; nextMs: number }): void {
    if (!this.#isMonitored) return;
    const status: ScheduleStatus = {
      // The year 1 stands for "never", as in .NET.
      Last: params.lastMs === null ? '0001-01-01T00:00:00.000Z' : new Date(params.lastMs).toISOString(),
      Next: new Date(params.nextMs).toISOString(),
      LastUpdated: new Date().toISOString(),
    };
    void this.#state.write(() => {
      const sql = 'INSERT OR REPLACE INTO timer_trigger(name, status) VALUES (?, ?)';
      this.#state.database.prepare(sql).run(this.#fn.name, JSON.stringify(status));
    });
  }
}

function isLastAttempt(retry: RetryPolicy, retryCount: number): boolean {
  return retry.maxRetryCount >= 0 && retryCount >= retry.maxRetryCount;
}

function retryDelayMs(retry: RetryPolicy, retryCount: number): number {
  if (retry.retryStrategy !== 'exponentialBackoff') return (retry.delayInterval?.seconds ?? 0) * 1000;
  const leastMs = (retry.minimumInterval?.seconds ?? 1) * 1000;
  const mostMs = (retry.maximumInterval?.seconds ?? 60) * 1000;
  return Math.min(mostMs, leastMs * 2 ** retryCount);
}
