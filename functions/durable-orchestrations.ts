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

  async function start(orchestrator: string, instanceId: string, input: unknown): Promise<boolean> {
    if ((await status(instanceId)) !== 'absent') return false;
    try {
      await client.startNew(orchestrator, { instanceId, input });
      return true;
    } catch (error) {
      // Somebody else has started it in between.
      if ((await status(instanceId)) !== 'absent') return false;
      throw error;
    }
  }

  return {
    status,
    startRun: (instanceId, input) => start(ORCHESTRATORS.loadRun, instanceId, input),
    startOperation: (instanceId, input) => start(ORCHESTRATORS.operation, instanceId, input),
    purge: async (createdBefore) => {
      const { instancesDeleted } = await client.purgeInstanceHistoryBy({
        createdTimeFrom: new Date(0),
        createdTimeTo: createdBefore,
        runtimeStatus: [...ENDED_STATUSES],
      });
      return instancesDeleted;
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

const ENDED_STATUSES = [
  df.OrchestrationRuntimeStatus.Completed,
  df.OrchestrationRuntimeStatus.Failed,
  df.OrchestrationRuntimeStatus.Terminated,
  df.OrchestrationRuntimeStatus.Canceled,
];
const ENDED: ReadonlySet<string> = new Set(ENDED_STATUSES);
