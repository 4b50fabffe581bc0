import { createMemoryState } from '../../shared/adapters/state/memory-state.ts';
import type { StateAnswer, StateCall } from './outside-state.ts';

type Method = (...args: readonly unknown[]) => Promise<unknown>;

/** Answers the calls of outside-state.ts, and ends with the process that has started it. */
const state = createMemoryState();

process.on('message', async (message) => {
  const { id, port, method, args } = message as StateCall;
  const answer = (what: StateAnswer) => process.send!(what);
  try {
    answer({ id, value: await (state[port] as unknown as Record<string, Method>)[method]!(...args) });
  } catch (error) {
    answer({ id, error: String(error) });
  }
});
process.once('disconnect', () => process.exit());
