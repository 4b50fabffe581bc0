import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { formatBytes, formatCount, formatDuration } from '../cli/format.ts';
import { createAppClient } from '../dev/app-client.ts';
import { type FunctionsHost, startFunctionsHost } from '../dev/functions-host/index.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { BENCH_DEFINITION } from './bench-loader.ts';
import type { ActivityCpu } from './fan-out-app/activity-cpu.ts';
import { buildFanOutApp } from './fan-out-app/build.ts';

const SIZES = [100, 1000, 10_000] as const;
/** Objects an activity: strictly one, and as many as the definition allows. */
const SHAPES = [
  { name: 'one an activity', objectsPerActivity: 1 },
  { name: 'packed', objectsPerActivity: 100 },
] as const;

/** The least of so many measurements counts: what other processes do only ever adds. */
const ROUNDS = 3;
/** The first runs of a process pay for compiling its code; they are not what grows with a run. */
const WARM_UP_OBJECTS = 100;

/**
 * Node collects garbage late where memory is plentiful: without a limit the peak shows what a process takes,
 * and on another machine it takes another amount. With one it shows what it needs. The limit is the same for
 * all sizes.
 */
const HEAP_LIMIT = '--max-old-space-size=96 --max-semi-space-size=4';

const POLL_MS = 100;
const TIMEOUT_MS = 10 * 60_000;
const MOST_CPU_GROWTH = 1.3;
const MOST_MEMORY_GROWTH = 1.5;

interface Measured {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly activityCpuMs: number;
  readonly orchestratorCpuMs: number;
  readonly libraryCpuMs: number;
  readonly hostCpuMs: number;
  readonly turns: number;
  /** Highest memory of the process since it started. */
  readonly peakBytes: number;
}

/**
 * How the cost of a run grows with its objects, on the local functions host with the product's own
 * orchestrations.
 */
export async function fanOut(run: BenchRun): Promise<BenchResult> {
  const appFolder = path.join(run.folder, 'app');
  await buildFanOutApp(appFolder);
  const table = [
    [
      'objects',
      'activities',
      'wall',
      'CPU',
      'CPU an object',
      'orchestrators',
      'library',
      'activities',
      'host',
      'turns',
      'peak memory',
    ],
  ];
  const figures: Figure[] = [];
  for (const shape of SHAPES) {
    const rounds = new Map<number, readonly Measured[]>(SIZES.map((size) => [size, []]));
    // Taking turns lets all sizes meet the same disturbances.
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const objects of SIZES) {
        run.say(`${formatCount(objects)} objects, ${shape.name}, ${round} of ${ROUNDS}`);
        const folder = path.join(run.folder, `${shape.objectsPerActivity}-${objects}-${round}`);
        const measured = await measure(run, { appFolder, folder, objects, ...shape });
        rounds.set(objects, [...rounds.get(objects)!, measured]);
      }
    }
    const bySize = new Map([...rounds].map(([objects, all]) => [objects, leastOf(all)]));
    for (const [objects, measured] of bySize) {
      table.push(rowOf(objects, shape.name, measured));
      figures.push({
        name: `CPU an object, ${formatCount(objects)}, ${shape.name}`,
        value: measured.cpuMs / objects,
        unit: 'ms',
      });
      figures.push({
        name: `peak memory, ${formatCount(objects)}, ${shape.name}`,
        value: measured.peakBytes,
        unit: 'bytes',
      });
    }
    figures.push(...growthOf(shape.name, bySize));
  }
  return {
    figures,
    table,
    notes: [
      `Each size in a host of its own, after a run of ${WARM_UP_OBJECTS} objects; the least CPU and the least peak of ${ROUNDS}. Bucket, cluster and state are in memory.`,
      `The hosts run with ${HEAP_LIMIT}, so that the peak shows what they need. It holds the state as well, which lies outside in production and grows with the objects: at most 20 MB at 10,000.`,
      "orchestrators: the app's generators; library: durable-functions around them (replay); host: all else of the process.",
    ],
  };
}

/** The round of the least CPU, with the least peak of any. */
function leastOf(rounds: readonly Measured[]): Measured {
  const least = rounds.reduce((a, b) => (b.cpuMs < a.cpuMs ? b : a));
  return { ...least, peakBytes: Math.min(...rounds.map(({ peakBytes }) => peakBytes)) };
}

function growthOf(shape: string, bySize: ReadonlyMap<number, Measured>): readonly Figure[] {
  const [small, middle, large] = SIZES.map((size) => bySize.get(size)!) as [Measured, Measured, Measured];
  const cpuGrowth = large.cpuMs / SIZES[2] / (middle.cpuMs / SIZES[1]);
  return [
    {
      name: `CPU an object, 10,000 : 1,000, ${shape}`,
      value: cpuGrowth,
      unit: 'ratio',
      most: MOST_CPU_GROWTH,
    },
    {
      name: `peak memory, 10,000 : 100, ${shape}`,
      value: large.peakBytes / small.peakBytes,
      unit: 'ratio',
      most: MOST_MEMORY_GROWTH,
    },
  ];
}

function rowOf(objects: number, shape: string, one: Measured): string[] {
  return [
    formatCount(objects),
    shape,
    ...[one.wallMs, one.cpuMs].map(formatDuration),
    `${(one.cpuMs / objects).toFixed(2)} ms`,
    ...[one.orchestratorCpuMs, one.libraryCpuMs, one.activityCpuMs, one.hostCpuMs].map(formatDuration),
    formatCount(one.turns),
    formatBytes(one.peakBytes),
  ];
}

interface Task {
  readonly appFolder: string;
  readonly folder: string;
  readonly objects: number;
  readonly objectsPerActivity: number;
}

async function measure(
  run: BenchRun,
  { appFolder, folder, objects, objectsPerActivity }: Task,
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
        NODE_OPTIONS: HEAP_LIMIT,
        // A worker in Azure compiles its code itself.
        NODE_DISABLE_COMPILE_CACHE: '1',
        BENCH_CPU_FILE: cpuFile,
        // They need a storage account, or would run into the measurement.
        'AzureWebJobs.receiveEvents.Disabled': 'true',
        'AzureWebJobs.tick.Disabled': 'true',
      },
    }),
  );
  try {
    await runLoad(host, { objects: WARM_UP_OBJECTS, objectsPerActivity, load: 'warm-up' });
    const before = await readCounters(host, cpuFile);
    const startedAt = performance.now();
    await runLoad(host, { objects, objectsPerActivity, load: 'measured' });
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
    return { wallMs, ...cpu, hostCpuMs, turns: diff(({ durable }) => durable.turns), peakBytes };
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

/** Runs a load of so many objects to its end. @throws when not every object was ingested. */
async function runLoad(
  host: FunctionsHost,
  {
    load,
    objects,
    objectsPerActivity,
  }: { readonly load: string; readonly objects: number; readonly objectsPerActivity: number },
): Promise<void> {
  const app = createAppClient(host);
  const put = await app.request('PUT', `/api/loads/${load}`, {
    source: { bucket: `objects-${objects}` },
    ...BENCH_DEFINITION,
    concurrency: { objectsPerActivity },
  });
  if (put.status !== 201) throw new Error(`PUT ${load}: ${put.status} ${JSON.stringify(put.body)}`);
  const runId = await app.startRun(load);
  const until = Date.now() + TIMEOUT_MS;
  while (Date.now() < until) {
    const { summary } = await app.readRun(runId);
    if (summary !== null) {
      if (summary.state === 'completed' && summary.objects.ingested === objects) return;
      throw new Error(
        `The run of ${objects} objects ended as ${summary.state}: ${JSON.stringify(summary.objects)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`The run of ${objects} objects has not ended in ${formatDuration(TIMEOUT_MS)}.`);
}

interface Counters extends ActivityCpu {
  readonly cpuMs: number;
  readonly orchestratorCpuMs: number;
  readonly orchestratorLibraryCpuMs: number;
  readonly peakRssBytes: number;
  readonly durable: { readonly turns: number };
}

async function readCounters({ url, masterKey }: FunctionsHost, cpuFile: string): Promise<Counters> {
  const response = await fetch(`${url}/admin/host/metrics`, { headers: { 'x-functions-key': masterKey } });
  if (!response.ok) throw new Error(`The host's metrics can't be read: ${response.status}`);
  const activities = JSON.parse(await readFile(cpuFile, 'utf8')) as ActivityCpu;
  return { ...((await response.json()) as Omit<Counters, keyof ActivityCpu>), ...activities };
}
