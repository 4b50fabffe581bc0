import { readAll } from '../../shared/adapters/state/entity-table.ts';
import { memoryEntityTable } from '../../shared/adapters/state/memory-entity-table.ts';
import { createMemoryState } from '../../shared/adapters/state/memory-state.ts';
import type { StateAnswer, StateCall, StateParts } from './outside-state.ts';

type Method = (...args: readonly unknown[]) => Promise<unknown>;

/** Answers the calls of outside-state.ts, and ends with the process that has started it. */
const { documents, runs, loads } = createMemoryState();
const ledger = memoryEntityTable();
const parts: StateParts = {
  documents,
  runs,
  loads,
  ledgerTable: { ...ledger, page: (range) => readAll(ledger, range) },
};

process.on('message', async (message) => {
  const { id, part, method, args } = message as StateCall;
  const answer = (what: StateAnswer) => process.send!(what);
  try {
    answer({ id, value: await (parts[part] as unknown as Record<string, Method>)[method]!(...args) });
  } catch (error) {
    answer({ id, error: String(error) });
  }
});
process.once('disconnect', () => process.exit());
