import type { FunctionRunner } from '../function-runner.ts';
import type { RegisteredFunction } from '../functions-core.ts';
import type { ActivityRow } from './store.ts';
import { eventTypes, toActivityData, toResultText, toTaskFailure } from './wire-v3.ts';

/** Runs queued activities, oldest first, a limited number at a time. */
export class ActivityDispatcher {
  readonly #runner: FunctionRunner;
  readonly #functions: ReadonlyMap<string, RegisteredFunction>;
  readonly #limit: number;
  readonly #runsTwice: boolean;
  readonly #onResult: (row: ActivityRow, event: string) => Promise<void>;
  readonly #onFailure: (row: ActivityRow, error: unknown) => void;
  readonly #onDifference: (row: ActivityRow, results: readonly (string | null)[]) => void;
  #queue: ActivityRow[] = [];
  #head = 0;
  #running = 0;
  #isStopped = false;

  /**
   * @param params.limit most activities at a time
   * @param params.runsTwice runs each activity twice at the same time, as on two workers with the limit each; the
   *   first to end gives the result, the other one goes on beside what follows
   * @param params.onResult must store the event (JSON text of a completion) and forget the activity
   * @param params.onDifference hears of two runs of an activity that have ended with different results
   */
  constructor(params: {
    runner: FunctionRunner;
    functions: ReadonlyMap<string, RegisteredFunction>;
    limit: number;
    runsTwice: boolean;
    onResult: (row: ActivityRow, event: string) => Promise<void>;
    onFailure: (row: ActivityRow, error: unknown) => void;
    onDifference: (row: ActivityRow, results: readonly (string | null)[]) => void;
  }) {
    this.#runner = params.runner;
    this.#functions = params.functions;
    this.#limit = params.limit;
    this.#runsTwice = params.runsTwice;
    this.#onResult = params.onResult;
    this.#onFailure = params.onFailure;
    this.#onDifference = params.onDifference;
  }

  enqueue(rows: readonly ActivityRow[]): void {
    for (const row of rows) this.#queue.push(row);
    this.#pump();
  }

  stop(): void {
    this.#isStopped = true;
  }

  #pump(): void {
    while (!this.#isStopped && this.#running < this.#limit && this.#head < this.#queue.length) {
      const row = this.#queue[this.#head] as ActivityRow;
      this.#head += 1;
      // Taking from the front by index keeps a long queue linear; the taken part goes in one cut.
      if (this.#head > 1_024 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      this.#running += 1;
      void this.#run(row);
    }
  }

  async #run(row: ActivityRow): Promise<void> {
    try {
      if (this.#runsTwice) await this.#runTwice(row);
      else await this.#onResult(row, await this.#eventOf(row, this.#invoke(row)));
    } finally {
      this.#running -= 1;
      this.#pump();
    }
  }

  /** The first result counts, as with the host of Azure; both are waited for. */
  async #runTwice(row: ActivityRow): Promise<void> {
    const runs = [this.#invoke(row), this.#invoke(row)];
    try {
      await this.#onResult(row, await this.#eventOf(row, Promise.race(runs)));
    } finally {
      const ends = await Promise.allSettled(runs);
      const results = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
      if (new Set(results).size > 1) this.#onDifference(row, results);
    }
  }

  async #eventOf(row: ActivityRow, result: Promise<string | null>): Promise<string> {
    try {
      return renderCompletion(row, { EventType: eventTypes.taskCompleted, Result: await result });
    } catch (error) {
      this.#onFailure(row, error);
      return renderCompletion(row, { EventType: eventTypes.taskFailed, ...toTaskFailure(row.name, error) });
    }
  }

  async #invoke(row: ActivityRow): Promise<string | null> {
    const fn = this.#functions.get(row.name);
    if (fn === undefined) throw new Error(`No activity function named '${row.name}' is registered.`);
    const input: unknown = row.input === null ? null : JSON.parse(row.input);
    const { response } = await this.#runner.run(fn, {
      triggerData: toActivityData(input),
      triggerMetadata: { instanceId: idData(row.instanceId) },
    });
    return toResultText(response.returnValue);
  }
}

function renderCompletion(row: ActivityRow, event: { EventType: number; [field: string]: unknown }): string {
  const { EventType, ...fields } = event;
  return JSON.stringify({ EventType, EventId: -1, TaskScheduledId: row.taskId, ...fields });
}

/** What may be JSON: an object, a list, a text, a number, or one of three words. */
const MAY_BE_JSON = /^(?:[\s{["]|true$|false$|null$|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$)/i;

/**
 * The library tries to parse each text as JSON, and one that is none costs more than all the rest of an activity that does
 * nothing. Written as JSON it gives the same.
 */
function idData(id: string): { readonly string: string } | { readonly json: string } {
  return MAY_BE_JSON.test(id) ? { string: id } : { json: JSON.stringify(id) };
}
