import path from 'node:path';

import { formatCount, formatDuration } from '../cli/format.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { buildFanOutApp } from './fan-out-app/build.ts';
import { type Measured, measureRun } from './fan-out-run.ts';

const SIZES = [1000, 10_000, 100_000, 1_000_000] as const;
const MOST_GROWTH = 1.2;
/** The state of a million objects is in the process that is measured. */
const NODE_OPTIONS = '--max-old-space-size=12000';

/** CPU of runs up to a million objects, packed, one after the other. */
export async function largeFanOut(run: BenchRun): Promise<BenchResult> {
  const appFolder = path.join(run.folder, 'app');
  await buildFanOutApp(appFolder);
  const measured = new Map<number, Measured>();
  for (const objects of SIZES) {
    run.say(`${formatCount(objects)} objects`);
    const folder = path.join(run.folder, String(objects));
    const task = { appFolder, folder, objects, objectsPerActivity: 100, nodeOptions: NODE_OPTIONS };
    measured.set(objects, await measureRun(run, task));
  }
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
    ],
    notes: [
      'One run of each, after one of 100 objects. Bucket, cluster and state are in memory, and the state is in the process: its memory says nothing here.',
    ],
  };
}
