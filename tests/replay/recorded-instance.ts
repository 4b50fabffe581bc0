import type { HistoryEvent } from '../../dev/functions-host/durable/wire-v3.ts';

/** What Durable Functions keeps of one execution of an instance. */
export interface RecordedInstance {
  readonly name: string;
  readonly id: string;
  readonly status: string;
  readonly input: unknown;
  /** Events of each turn in order: what came in, and what the orchestrator decided then. */
  readonly turns: readonly (readonly HistoryEvent[])[];
}
