import type { Documents } from '../../ports/documents.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { LoadState } from '../../ports/load-state.ts';
import type { RunStore } from '../../ports/run-store.ts';

/** Everything durable that the loader keeps. */
export interface State {
  readonly documents: Documents;
  readonly ledger: Ledger;
  readonly runs: RunStore;
  readonly loads: LoadState;
  /** Makes the tables and the container that are missing: once, however often it is called; after a failure, again. */
  ensureCreated(): Promise<void>;
}
