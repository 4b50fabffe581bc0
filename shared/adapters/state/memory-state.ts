import type { RequestHook } from './entity-table.ts';
import { ledgerTable } from './ledger-table.ts';
import { loadTable } from './load-table.ts';
import { memoryDocuments } from './memory-documents.ts';
import { memoryEntityTable } from './memory-entity-table.ts';
import { runTable } from './run-table.ts';
import type { State } from './state.ts';

/** State in memory, with the logic of the real one over other drivers. For tests and models. */
export function createMemoryState(options: { readonly onRequest?: RequestHook } = {}): State {
  const makeTable = () => memoryEntityTable(options.onRequest);
  return {
    documents: memoryDocuments(options.onRequest),
    ledger: ledgerTable(makeTable()),
    runs: runTable(makeTable()),
    loads: loadTable({ loads: makeTable(), pending: makeTable() }),
    ensureCreated: async () => undefined,
  };
}
