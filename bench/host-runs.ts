import type { FunctionsHost } from '../dev/functions-host/index.ts';
import type { BenchRun } from './bench.ts';

const POLL_MS = 50;

/** What a functions host has counted since its start, as far as the benches look at it. */
export interface HostMetrics {
  readonly cpuMs: number;
  readonly orchestratorCpuMs: number;
  readonly orchestratorLibraryCpuMs: number;
  readonly peakRssBytes: number;
  readonly durable: {
    readonly turns: number;
    readonly activitiesScheduled: number;
    /** Of one execution. */
    readonly longestHistoryBytes: number;
    readonly longestPayloadBytes: number;
  };
}

export async function readHostMetrics({ url, masterKey }: FunctionsHost): Promise<HostMetrics> {
  const response = await fetch(`${url}/admin/host/metrics`, { headers: { 'x-functions-key': masterKey } });
  if (!response.ok) throw new Error(`The host's metrics can't be read: ${response.status}`);
  return (await response.json()) as HostMetrics;
}

/** Starts an orchestration by a route of the app that answers its instance id, and waits for its end. */
export async function runToEnd(run: BenchRun, host: FunctionsHost, startPath: string): Promise<void> {
  const { url, systemKey } = host;
  const started = await fetch(`${url}/api/${startPath}`, { method: 'POST' });
  const id = (await started.json()) as string;
  for (;;) {
    run.signal.throwIfAborted();
    const answer = await fetch(`${url}/runtime/webhooks/durabletask/instances/${id}?code=${systemKey}`);
    const { runtimeStatus } = (await answer.json()) as { readonly runtimeStatus: string };
    if (runtimeStatus === 'Completed') return;
    if (runtimeStatus !== 'Running' && runtimeStatus !== 'Pending')
      throw new Error(`The instance is ${runtimeStatus}.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
