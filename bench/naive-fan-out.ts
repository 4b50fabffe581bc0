import path from 'node:path';

import { type FunctionsHost, startFunctionsHost } from '../dev/functions-host/index.ts';
import type { BenchRun } from './bench.ts';

const APP = path.join(import.meta.dirname, 'stand-ins-app');
const WARM_UP_ACTIVITIES = 100;
const POLL_MS = 50;

/** CPU of a host, in milliseconds, for one orchestrator that fans out to so many activities which do nothing. */
export async function measureNaive(run: BenchRun, folder: string, activities: number): Promise<number> {
  const host = await run.start(() =>
    startFunctionsHost({
      appFolder: APP,
      stateFile: `${folder}.sqlite`,
      logLevel: 'error',
      env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    }),
  );
  try {
    await runNaive(run, host, WARM_UP_ACTIVITIES);
    const before = await readCpu(host);
    await runNaive(run, host, activities);
    return (await readCpu(host)) - before;
  } finally {
    await host.stop();
  }
}

async function runNaive(run: BenchRun, { url }: FunctionsHost, activities: number): Promise<void> {
  const started = await fetch(`${url}/api/naive/${activities}`, { method: 'POST' });
  const id = (await started.json()) as string;
  for (;;) {
    run.signal.throwIfAborted();
    const status = await (await fetch(`${url}/api/status/${id}`)).json();
    if (status === 'Completed') return;
    if (status !== 'Running' && status !== 'Pending') throw new Error(`The instance is ${status}.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function readCpu({ url, masterKey }: FunctionsHost): Promise<number> {
  const response = await fetch(`${url}/admin/host/metrics`, { headers: { 'x-functions-key': masterKey } });
  if (!response.ok) throw new Error(`The host's metrics can't be read: ${response.status}`);
  return ((await response.json()) as { cpuMs: number }).cpuMs;
}
