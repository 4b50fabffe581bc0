import type { DurableStore, TimerRow } from './store.ts';

/** Longest delay that setTimeout takes. */
const longestDelayMs = 2 ** 31 - 1;

/** Wakes up for the earliest timer in the store. */
export class DurableTimers {
  readonly #store: DurableStore;
  readonly #onDue: (timers: readonly TimerRow[]) => Promise<void>;
  #timeout: NodeJS.Timeout | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #isStopped = false;

  /** @param onDue must take the timers out of the store */
  constructor(store: DurableStore, onDue: (timers: readonly TimerRow[]) => Promise<void>) {
    this.#store = store;
    this.#onDue = onDue;
  }

  /** Arms for the earliest stored timer; called once at start. */
  start(): void {
    const nextMs = this.#store.readNextTimerMs();
    if (nextMs !== null) this.arm(nextMs);
  }

  /** Sees to it that a timer that is in the store fires at its time. */
  arm(fireAtMs: number): void {
    if (this.#isStopped || fireAtMs >= this.#wakeAtMs) return;
    clearTimeout(this.#timeout);
    this.#wakeAtMs = fireAtMs;
    const delayMs = Math.min(Math.max(0, fireAtMs - Date.now()), longestDelayMs);
    this.#timeout = setTimeout(() => void this.#wake(), delayMs);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timeout);
  }

  async #wake(): Promise<void> {
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.#store.flush();
    const due = this.#store.readDueTimers(Date.now());
    if (due.length > 0) await this.#onDue(due);
    if (this.#isStopped) return;
    const nextMs = this.#store.readNextTimerMs();
    if (nextMs !== null) this.arm(nextMs);
  }
}
