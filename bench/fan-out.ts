import path from 'node:path';

import { formatCount, formatDuration } from '../cli/format.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { buildFanOutApp } from './fan-out-app/build.ts';
import {
  appCpuMsOf,
  type FanOutTask,
  HEAP_LIMIT,
  leastOf,
  type Measured,
  measureRun,
  WARM_UP_OBJECTS,
} from './fan-out-run.ts';
import { besideNaive } from './naive-fan-out.ts';

const SIZES = [100, 1000, 10_000] as const;
/** Objects an activity: strictly one, and as many as the definition allows. */
const SHAPES = [
  { name: 'one an activity', objectsPerActivity: 1 },
  { name: 'packed', objectsPerActivity: 100 },
] as const;

/** Sizes whose memory is compared. */
const MEMORY_SIZES = [1000, 10_000] as const;

const ROUNDS = 3;
const MEMORY_ROUNDS = 2;

const MOST_CPU_GROWTH = 1.3;
const MOST_MEMORY_GROWTH = 1.3;

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
    ],
  ];
  const figures: Figure[] = [];
  for (const shape of SHAPES) {
    // Taking turns lets all sizes meet the same disturbances.
    const measure = async (sizes: readonly number[], rounds: number, state: FanOutTask['state']) => {
      const measured = new Map<number, Measured[]>(sizes.map((size) => [size, []]));
      for (let round = 1; round <= rounds; round += 1) {
        for (const objects of sizes) {
          run.say(`${formatCount(objects)} objects, ${shape.name}, state ${state}, ${round} of ${rounds}`);
          const folder = path.join(run.folder, [shape.objectsPerActivity, objects, state, round].join('-'));
          measured.get(objects)!.push(await measureRun(run, { appFolder, folder, objects, ...shape, state }));
        }
      }
      return measured;
    };
    const rounds = await measure(SIZES, ROUNDS, 'inside');
    const bySize = new Map(
      [...rounds].map(([objects, all]) => [objects, leastOf(all, ({ cpuMs }) => cpuMs)]),
    );
    for (const [objects, measured] of bySize) {
      table.push(rowOf(objects, shape.name, measured));
      figures.push({
        name: `CPU an object, ${formatCount(objects)}, ${shape.name}`,
        value: measured.cpuMs / objects,
        unit: 'ms',
      });
    }
    figures.push(cpuGrowthOf(`CPU an object, 10,000 : 1,000, ${shape.name}`, bySize, ({ cpuMs }) => cpuMs));
    figures.push(cpuGrowthOf(`CPU of the app an object, 10,000 : 1,000, ${shape.name}`, bySize, appCpuMsOf));
    const peaks = await measure(MEMORY_SIZES, MEMORY_ROUNDS, 'outside');
    figures.push(...memoryOf(shape.name, peaks));
  }
  const beside = await besideNaive(run);
  figures.push(...beside.figures);
  return {
    figures,
    table,
    notes: [
      beside.note,
      `Each size in a host of its own, after a run of ${WARM_UP_OBJECTS} objects; the least of ${ROUNDS}. Bucket, cluster and state are in memory.`,
      `Memory is that of further hosts, whose state is in a process of its own, with ${HEAP_LIMIT}, so that the peak shows what they need; the least of ${MEMORY_ROUNDS}.`,
      "orchestrators: the app's generators; library: durable-functions around them (replay); host: all else of the process.",
    ],
  };
}

function cpuGrowthOf(
  name: string,
  bySize: ReadonlyMap<number, Measured>,
  of: (measured: Measured) => number,
): Figure {
  const perObject = (objects: number) => of(bySize.get(objects)!) / objects;
  return {
    name,
    value: perObject(10_000) / perObject(1000),
    unit: 'ratio',
    most: MOST_CPU_GROWTH,
  };
}

function memoryOf(shape: string, rounds: ReadonlyMap<number, readonly Measured[]>): readonly Figure[] {
  const peaks = MEMORY_SIZES.map((size) => {
    const peakOf = ({ peakBytes }: Measured) => peakBytes;
    return peakOf(leastOf(rounds.get(size)!, peakOf));
  });
  return [
    ...MEMORY_SIZES.map((objects, index) => ({
      name: `peak memory, ${formatCount(objects)}, ${shape}`,
      value: peaks[index]!,
      unit: 'bytes' as const,
    })),
    {
      name: `peak memory, 10,000 : 1,000, ${shape}`,
      value: peaks[1]! / peaks[0]!,
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
  ];
}
