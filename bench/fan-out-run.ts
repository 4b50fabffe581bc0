import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { formatDuration } from '../cli/format.ts';
import { createAppClient } from '../dev/app-client.ts';
import { type FunctionsHost, startFunctionsHost } from '../dev/functions-host/index.ts';
import type { BenchRun } from './bench.ts';
import { BENCH_DEFINITION } from './bench-loader.ts';
import type { ActivityCpu } from './fan-out-app/activity-cpu.ts';
import { type HostMetrics, readHostMetrics } from './host-runs.ts';

/** The first runs of a process pay for compiling its code; they are not what grows with a run. */
export const WARM_UP_OBJECTS = 100;

/**
 * Of runs whose memory is looked at. Node collects garbage late where memory is plentiful: without a limit the peak shows
 * what a process takes, and on another machine it takes another amount. With one it shows what it needs; a run that needs
 * more ends the process. The limit is the same for all sizes.
 */
export const HEAP_LIMIT = '--max-old-space-size=56 --max-semi-space-size=4';

const STATE_PROCESS = path.join(import.meta.dirname, 'fan-out-app/state-process.ts');

const POLL_MS = 100;
const TIMEOUT_MS = 60 * 60_000;

/** What a run cost the process that carried it out. */
export interface Measured {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly activityCpuMs: number;
  readonly orchestratorCpuMs: number;
  readonly libraryCpuMs: number;
  readonly hostCpuMs: number;
  readonly turns: number;
  /** Highest memory of the process since it started. */
  readonly peakBytes: number;
  /** Of any execution of an orchestration. */
  readonly longestHistoryBytes: number;
  readonly longestPayloadBytes: number;
  /** Highest memory during a second run, that finds all objects unchanged; `null` when there was none. */
  readonly repeatPeakBytes: number | null;
}

/** What the app itself took: activities, orchestrators, and the library that runs them again at every turn. */
export function appCpuMsOf({ activityCpuMs, orchestratorCpuMs, libraryCpuMs }: Measured): number {
  return activityCpuMs + orchestratorCpuMs + libraryCpuMs;
}

/** What other processes do only ever adds. */
export function leastOf(rounds: readonly Measured[], of: (measured: Measured) => number): Measured {
  return rounds.reduce((a, b) => (of(b) < of(a) ? b : a));
}

export interface FanOutTask {
  readonly appFolder: string;
  readonly folder: string;
  readonly objects: number;
  readonly objectsPerActivity: number;
  /**
   * Where the state is kept: in the host's process, whose memory then grows with it, or in one of its own, which costs the
   * app CPU; that is for runs whose memory is looked at, and the heap is limited.
   */
  readonly state: 'inside' | 'outside';
  /** Options of Node for the host. Default: `HEAP_LIMIT` where the state is outside, else none. */
  readonly nodeOptions?: string;
  /** Runs the load once more at the end, which finds all objects unchanged. */
  readonly repeats?: boolean;
}

/** Runs a load on a host of its own, after a small one. */
export async function measureRun(
  run: BenchRun,
  { appFolder, folder, objects, objectsPerActivity, state, nodeOptions, repeats = false }: FanOutTask,
): Promise<Measured> {
  const cpuFile = `${folder}-cpu.json`;
  const host = await run.start(() =>
    startFunctionsHost({
      appFolder,
      stateFile: `${folder}.sqlite`,
      logLevel: 'error',
      onLog: (line) => run.say(line),
      graceMs: 500,
      env: {
        FUNCTIONS_WORKER_RUNTIME: 'node',
        NODE_OPTIONS: nodeOptions ?? (state === 'outside' ? HEAP_LIMIT : ''),
        // A worker in Azure compiles its code itself.
        NODE_DISABLE_COMPILE_CACHE: '1',
        BENCH_CPU_FILE: cpuFile,
        ...(state === 'outside' && { BENCH_STATE_PROCESS: STATE_PROCESS }),
        // They need a storage account, or would run into the measurement.
        'AzureWebJobs.receiveEvents.Disabled': 'true',
        'AzureWebJobs.tick.Disabled': 'true',
        'AzureWebJobs.cleanUp.Disabled': 'true',
      },
    }),
  );
  try {
    await putLoad(host, { objects: WARM_UP_OBJECTS, objectsPerActivity, load: 'warm-up' });
    await runLoad(host, 'warm-up', { ingested: WARM_UP_OBJECTS });
    const before = await readCounters(host, cpuFile);
    const startedAt = performance.now();
    await putLoad(host, { objects, objectsPerActivity, load: 'measured' });
    await runLoad(host, 'measured', { ingested: objects });
    const wallMs = performance.now() - startedAt;
    const after = await readCounters(host, cpuFile);
    const diff = (of: (counters: Counters) => number) => of(after) - of(before);
    const cpu = {
      cpuMs: diff(({ cpuMs }) => cpuMs),
      activityCpuMs: diff(({ activityCpuMs }) => activityCpuMs),
      orchestratorCpuMs: diff(({ orchestratorCpuMs }) => orchestratorCpuMs),
      libraryCpuMs: diff(({ orchestratorLibraryCpuMs }) => orchestratorLibraryCpuMs),
    };
    const hostCpuMs = cpu.cpuMs - cpu.activityCpuMs - cpu.orchestratorCpuMs - cpu.libraryCpuMs;
    const peakBytes = (await readPeakMemory(host.pid)) ?? after.peakRssBytes;
    const { longestHistoryBytes, longestPayloadBytes } = after.durable;
    const turns = diff(({ durable }) => durable.turns);
    const repeatPeakBytes = repeats ? await measureRepeat(host, objects) : null;
    return {
      ...{ wallMs, ...cpu, hostCpuMs, turns },
      ...{ peakBytes, longestHistoryBytes, longestPayloadBytes, repeatPeakBytes },
    };
  } finally {
    await host.stop();
  }
}

/**
 * Most resident memory that the process ever had; `null` where there is no /proc. The `maxRSS` of a process
 * is no substitute on Linux: it begins with the memory of the process that spawned it.
 */
async function readPeakMemory(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => null);
  const kibibytes = status === null ? undefined : /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** Most memory during a run that finds all objects unchanged: a plan page then holds their ledger entries, too. */
async function measureRepeat(host: FunctionsHost, objects: number): Promise<number> {
  // Begins a new peak; where the system knows no such thing, the one of the whole process counts.
  await writeFile(`/proc/${host.pid}/clear_refs`, '5').catch(() => undefined);
  await runLoad(host, 'measured', { unchanged: objects });
  return (await readPeakMemory(host.pid)) ?? (await readHostMetrics(host)).peakRssBytes;
}

interface BenchLoad {
  readonly load: string;
  readonly objects: number;
  readonly objectsPerActivity: number;
}

async function putLoad(host: FunctionsHost, { load, objects, objectsPerActivity }: BenchLoad): Promise<void> {
  const put = await createAppClient(host).request('PUT', `/api/loads/${load}`, {
    source: { bucket: `objects-${objects}` },
    ...BENCH_DEFINITION,
    concurrency: { objectsPerActivity },
  });
  if (put.status !== 201) throw new Error(`PUT ${load}: ${put.status} ${JSON.stringify(put.body)}`);
}

/** Runs a load to its end. @throws when it has not ingested so many objects, or found so many unchanged. */
async function runLoad(
  host: FunctionsHost,
  load: string,
  { ingested = 0, unchanged = 0 }: { readonly ingested?: number; readonly unchanged?: number },
): Promise<void> {
  const app = createAppClient(host);
  const runId = await app.startRun(load);
  const until = Date.now() + TIMEOUT_MS;
  while (Date.now() < until) {
    const { summary } = await app.readRun(runId);
    if (summary !== null) {
      const { state, objects, plan } = summary;
      const isAsExpected = objects.ingested === ingested && (plan.skipped.unchanged ?? 0) === unchanged;
      if (state === 'completed' && isAsExpected) return;
      throw new Error(`The run ended as ${state}: ${JSON.stringify({ objects, plan })}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`The run of ${load} has not ended in ${formatDuration(TIMEOUT_MS)}.`);
}

type Counters = ActivityCpu & HostMetrics;

async function readCounters(host: FunctionsHost, cpuFile: string): Promise<Counters> {
  const activities = JSON.parse(await readFile(cpuFile, 'utf8')) as ActivityCpu;
  return { ...(await readHostMetrics(host)), ...activities };
}
