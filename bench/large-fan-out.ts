import path from 'node:path';

import { formatCount, formatDuration } from '../cli/format.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { buildFanOutApp } from './fan-out-app/build.ts';
import { type FanOutTask, HEAP_LIMIT, type Measured, measureRun } from './fan-out-run.ts';

const SIZES = [1000, 10_000, 100_000, 1_000_000] as const;
const MEMORY_SIZES = [1000, 1_000_000] as const;
const MOST_GROWTH = 1.2;
const MOST_MEMORY_GROWTH = 1.3;
/** The state of a million objects is in the process that is measured. */
const NODE_OPTIONS = '--max-old-space-size=12000';

/** CPU and memory of runs up to a million objects, packed, one after the other. */
export async function largeFanOut(run: BenchRun): Promise<BenchResult> {
  const appFolder = path.join(run.folder, 'app');
  await buildFanOutApp(appFolder);
  const measure = async (sizes: readonly number[], options: Pick<FanOutTask, 'state' | 'nodeOptions'>) => {
    const measured = new Map<number, Measured>();
    for (const objects of sizes) {
      run.say(`${formatCount(objects)} objects, state ${options.state}`);
      const folder = path.join(run.folder, `${options.state}-${objects}`);
      const task = { appFolder, folder, objects, objectsPerActivity: 100, ...options };
      measured.set(objects, await measureRun(run, task));
    }
    return measured;
  };
  const measured = await measure(SIZES, { state: 'inside', nodeOptions: NODE_OPTIONS });
  const peaks = await measure(MEMORY_SIZES, { state: 'outside' });
  const peakOf = (objects: number) => peaks.get(objects)!.peakBytes;
  const cpuOf = (objects: number) => measured.get(objects)!.cpuMs / objects;
  return {
    table: [
      ['objects', 'wall', 'CPU', 'CPU an object', 'orchestrators', 'library', 'activities', 'host', 'turns'],
      ...[...measured].map(([objects, one]) => [
        formatCount(objects),
        ...[one.wallMs, one.cpuMs].map(formatDuration),
        `${(one.cpuMs / objects).toFixed(3)} ms`,
        ...[one.orchestratorCpuMs, one.libraryCpuMs, one.activityCpuMs, one.hostCpuMs].map(formatDuration),
        formatCount(one.turns),
      ]),
    ],
    figures: [
      ...SIZES.map((objects) => ({
        name: `CPU an object, ${formatCount(objects)}`,
        value: cpuOf(objects),
        unit: 'ms' as const,
      })),
      {
        name: 'CPU an object, 1,000,000 : 1,000',
        value: cpuOf(1_000_000) / cpuOf(1000),
        unit: 'ratio',
        most: MOST_GROWTH,
      },
      {
        name: 'CPU an object, 1,000,000 : 100,000',
        value: cpuOf(1_000_000) / cpuOf(100_000),
        unit: 'ratio',
        most: MOST_GROWTH,
      },
      ...MEMORY_SIZES.map((objects) => ({
        name: `peak memory, ${formatCount(objects)}`,
        value: peakOf(objects),
        unit: 'bytes' as const,
      })),
      {
        name: 'peak memory, 1,000,000 : 1,000',
        value: peakOf(1_000_000) / peakOf(1000),
        unit: 'ratio',
        most: MOST_MEMORY_GROWTH,
      },
    ],
    notes: [
      'One run of each, after one of 100 objects. Bucket, cluster and state are in memory.',
      `Memory is that of further hosts, with ${HEAP_LIMIT}, whose state is in a process of its own.`,
    ],
  };
}
