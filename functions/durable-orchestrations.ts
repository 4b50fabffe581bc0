import type { InvocationContext } from '@azure/functions';
import * as df from 'durable-functions';

import { ORCHESTRATORS } from '../shared/contracts/durable.ts';
import type { Orchestrations } from '../shared/ports/orchestrations.ts';

/** The Durable client of an invocation, as the product sees it. The function needs the `durableClient` input. */
export function orchestrationsOf(context: InvocationContext): Orchestrations {
  const client = df.getClient(context);

  async function status(instanceId: string): ReturnType<Orchestrations['status']> {
    try {
      const { runtimeStatus } = await client.getStatus(instanceId);
      return ENDED.has(runtimeStatus) ? 'ended' : 'active';
    } catch (error) {
      // durable-functions 3.5 has no other way to tell an unknown instance from a failed request.
      if (error instanceof Error && error.message.includes('HTTP 404')) return 'absent';
      throw error;
    }
  }

  return {
    status,
    startRun: async (instanceId, input) => {
      if ((await status(instanceId)) !== 'absent') return false;
      try {
        await client.startNew(ORCHESTRATORS.loadRun, { instanceId, input });
        return true;
      } catch (error) {
        // Somebody else has started it in between.
        if ((await status(instanceId)) !== 'absent') return false;
        throw error;
      }
    },
    terminate: async (instanceId, reason) => {
      if ((await status(instanceId)) !== 'active') return;
      try {
        await client.terminate(instanceId, reason);
      } catch (error) {
        // It has ended in between.
        if ((await status(instanceId)) === 'active') throw error;
      }
    },
  };
}

const ENDED: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Terminated', 'Canceled']);
