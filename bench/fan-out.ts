import path from 'node:path';

import { formatBytes, formatCount, formatDuration } from '../cli/format.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { buildFanOutApp } from './fan-out-app/build.ts';
import { leastOf, type Measured, measureRun, WARM_UP_OBJECTS } from './fan-out-run.ts';
import { besideNaive } from './naive-fan-out.ts';

const SIZES = [100, 1000, 10_000] as const;
/** Objects an activity: strictly one, and as many as the definition allows. */
const SHAPES = [
  { name: 'one an activity', objectsPerActivity: 1 },
  { name: 'packed', objectsPerActivity: 100 },
] as const;

/** The least of so many measurements counts: what other processes do only ever adds. */
const ROUNDS = 3;
/**
 * Node collects garbage late where memory is plentiful: without a limit the peak shows what a process takes,
 * and on another machine it takes another amount. With one it shows what it needs. The limit is the same for
 * all sizes.
 */
const HEAP_LIMIT = '--max-old-space-size=96 --max-semi-space-size=4';

const MOST_CPU_GROWTH = 1.3;
const MOST_MEMORY_GROWTH = 1.5;

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
        const measured = await measureRun(run, {
          appFolder,
          folder,
          objects,
          ...shape,
          nodeOptions: HEAP_LIMIT,
        });
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
  const beside = await besideNaive(run);
  figures.push(...beside.figures);
  return {
    figures,
    table,
    notes: [
      beside.note,
      `Each size in a host of its own, after a run of ${WARM_UP_OBJECTS} objects; the least CPU and the least peak of ${ROUNDS}. Bucket, cluster and state are in memory.`,
      `The hosts run with ${HEAP_LIMIT}, so that the peak shows what they need. It holds the state as well, which lies outside in production and grows with the objects: at most 20 MB at 10,000.`,
      "orchestrators: the app's generators; library: durable-functions around them (replay); host: all else of the process.",
    ],
  };
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
