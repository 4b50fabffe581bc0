import type { RequestHook } from '../../../shared/adapters/state/entity-table.ts';
import type { State } from '../../../shared/adapters/state/state.ts';

/** Makes a state of its own for a test: empty, and created. */
export type MakeState = (options?: { readonly onRequest?: RequestHook }) => Promise<State>;

/** Counts requests by kind and operation, such as `table query`. */
export function countRequests(): { readonly onRequest: RequestHook; take(): Record<string, number> } {
  let counts: Record<string, number> = {};
  return {
    onRequest: (kind, operation) => {
      const name = `${kind} ${operation}`;
      counts[name] = (counts[name] ?? 0) + 1;
    },
    take: () => {
      const taken = counts;
      counts = {};
      return taken;
    },
  };
}
