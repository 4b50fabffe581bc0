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

/** The year 1 stands for "never", as in .NET. */
const never = '0001-01-01T00:00:00.000Z';

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
  #dueMs = 0;
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
    const nowMs = Date.now();
    const nextMs = this.#takeUpStatus(nowMs);
    if (nextMs < nowMs) void this.#tick('pastDue');
    else if (this.#fn.trigger.runOnStartup === true) void this.#tick('startup');
    else this.#arm(nextMs);
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
    this.#dueMs = dueMs;
    const delayMs = Math.max(0, dueMs - Date.now());
    this.#timeout = setTimeout(
      () => (delayMs > longestDelayMs ? this.#arm(dueMs) : void this.#tick('due')),
      Math.min(delayMs, longestDelayMs),
    );
  }

  async #tick(reason: 'due' | 'pastDue' | 'startup'): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const startedMs = Date.now();
    try {
      await this.#invoke(reason === 'pastDue');
    } catch (error) {
      const message = `Executed '${this.#fn.name}' (Failed): ${describeError(error)}`;
      this.#logger.log({ level: 'error', category: `function.${this.#fn.name}`, message });
    } finally {
      this.#isRunning = false;
    }
    if (this.#isStopped) return;
    // A timer that fires a little early must not come again at the same time. Ticks that fell due while the function
    // ran are one tick, right afterwards.
    const lastMs = reason === 'due' ? Math.max(startedMs, this.#dueMs) : startedMs;
    const nextMs = this.#schedule.nextAfter(lastMs);
    this.#writeStatus({ lastMs, nextMs, updatedMs: lastMs });
    this.#arm(nextMs);
  }

  /**
   * Time of the next tick, by what an earlier host has written; in the past when a tick was missed. A schedule that
   * was changed since has missed nothing.
   */
  #takeUpStatus(nowMs: number): number {
    const status = this.#readStatus();
    if (status === null) {
      const nextMs = this.#schedule.nextAfter(nowMs);
      this.#writeStatus({ lastMs: null, nextMs, updatedMs: nowMs });
      return nextMs;
    }
    const baseMs = Date.parse(status.Last === never ? status.LastUpdated : status.Last);
    const expectedMs = this.#schedule.nextAfter(baseMs);
    if (Date.parse(status.Next) === expectedMs) return expectedMs;
    const nextMs = expectedMs < nowMs ? this.#schedule.nextAfter(nowMs) : expectedMs;
    this.#writeStatus({ lastMs: null, nextMs, updatedMs: baseMs });
    return nextMs;
  }

  async #invoke(isPastDue: boolean): Promise<void> {
    const json = JSON.stringify({
      Schedule: { AdjustForDST: !this.#schedule.isInterval },
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

  #writeStatus(params: { lastMs: number | null; nextMs: number; updatedMs: number }): void {
    if (!this.#isMonitored) return;
    const status: ScheduleStatus = {
      Last: params.lastMs === null ? never : new Date(params.lastMs).toISOString(),
      Next: new Date(params.nextMs).toISOString(),
      LastUpdated: new Date(params.updatedMs).toISOString(),
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
