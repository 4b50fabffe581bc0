import type { Retention } from '../config/settings.ts';
import type { LoadDefinition } from '../contracts/load-definition.ts';
import type { Timing } from '../domain/settle-timing.ts';
import type { Documents } from '../ports/documents.ts';
import type { Ingestion } from '../ports/ingestion.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { LoadState } from '../ports/load-state.ts';
import type { Logger } from '../ports/logger.ts';
import type { Recorder } from '../ports/recorder.ts';
import type { RunStore } from '../ports/run-store.ts';
import type { Source } from '../ports/source.ts';

/** All that the use cases need from outside; the composition root makes one per process. */
export interface Loader {
  readonly appId: string;
  readonly timing: Timing;
  /** Divides the short pauses between two questions of an idle part; 1 but in tests. */
  readonly timeScale: number;
  readonly takeoverAfterMs: number;
  readonly retention: Retention;
  /** Objects of one bucket that all runs together may have in flight; `null`: as many as each load says. */
  readonly maxInFlightPerBucket: number | null;
  readonly documents: Documents;
  readonly ledger: Ledger;
  readonly runs: RunStore;
  readonly loads: LoadState;
  readonly logger: Logger;
  /** Where runs are told, beside the log. */
  readonly recorders: readonly Recorder[];
  readonly now: () => Date;
  /** Four characters that tell the runs of one second apart. */
  readonly randomSuffix: () => string;
  /** 0 inclusive to 1 exclusive; spreads pauses. */
  readonly random: () => number;
  /** When this process began: a host that was away gives its own instances time to go on before it takes a run over. */
  readonly startedAt: Date;
  /** @throws {LoaderError} `credentialsNotFound`. */
  source(definition: LoadDefinition['source']): Promise<Source>;
  ingestion(cluster: string): Promise<Ingestion>;
}
