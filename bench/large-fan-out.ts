import path from 'node:path';

import { formatBytes, formatCount, formatDuration } from '../cli/format.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { buildFanOutApp } from './fan-out-app/build.ts';
import { appCpuMsOf, type FanOutTask, HEAP_LIMIT, type Measured, measureRun } from './fan-out-run.ts';

const SIZES = [1000, 10_000, 100_000, 1_000_000] as const;
const MEMORY_SIZES = [1000, 1_000_000] as const;
const MOST_GROWTH = 1.2;
const MOST_MEMORY_GROWTH = 1.3;
/** All of a history is read and replayed at every turn. */
const MOST_HISTORY_BYTES = 1_000_000;
const MOST_PAYLOAD_BYTES = 16 * 1024;
/** The state of a million objects is in the process that is measured. */
const NODE_OPTIONS = '--max-old-space-size=12000';

/** CPU and memory of runs up to a million objects, packed, one after the other. */
export async function largeFanOut(run: BenchRun): Promise<BenchResult> {
  const appFolder = path.join(run.folder, 'app');
  await buildFanOutApp(appFolder);
  const measure = async (
    sizes: readonly number[],
    options: Pick<FanOutTask, 'state' | 'nodeOptions' | 'repeats'>,
  ) => {
    const measured = new Map<number, Measured>();
    for (const objects of sizes) {
      const name = `${formatCount(objects)} objects, state ${options.state}`;
      run.say(name);
      const folder = path.join(run.folder, name.replaceAll(/\W+/g, '-'));
      const task = { appFolder, folder, objects, objectsPerActivity: 100, ...options };
      measured.set(objects, await measureRun(run, task));
    }
    return measured;
  };
  const measured = await measure(SIZES, { state: 'inside', nodeOptions: NODE_OPTIONS });
  const peaks = await measure(MEMORY_SIZES, { state: 'outside', repeats: true });
  return {
    table: [
      [
        ...['objects', 'wall', 'CPU', 'CPU an object', 'orchestrators', 'library', 'activities', 'host'],
        ...['turns', 'longest history', 'longest payload'],
      ],
      ...[...measured].map(([objects, one]) => [
        formatCount(objects),
        ...[one.wallMs, one.cpuMs].map(formatDuration),
        `${(one.cpuMs / objects).toFixed(3)} ms`,
        ...[one.orchestratorCpuMs, one.libraryCpuMs, one.activityCpuMs, one.hostCpuMs].map(formatDuration),
        formatCount(one.turns),
        ...[one.longestHistoryBytes, one.longestPayloadBytes].map(formatBytes),
      ]),
    ],
    figures: [
      ...cpuFigures('CPU an object', measured, ({ cpuMs }) => cpuMs),
      ...cpuFigures('CPU of the app an object', measured, appCpuMsOf),
      ...[...measured].flatMap(([objects, one]) => durableFigures(objects, one)),
      ...memoryFigures('peak memory', peaks, ({ peakBytes }) => peakBytes, MOST_MEMORY_GROWTH),
      ...memoryFigures(
        'peak memory of a repeat',
        peaks,
        ({ repeatPeakBytes }) => repeatPeakBytes!,
        MOST_MEMORY_GROWTH,
      ),
    ],
    notes: [
      'CPU: of the process, so of host and app; of the app: activities, orchestrators and library. One run of each, after one of 100 objects. Bucket, cluster and state are in memory.',
      `Memory is that of further hosts, with ${HEAP_LIMIT}, whose state is in a process of its own.`,
      'A repeat is a second run on the same host that finds all objects unchanged; its peak is counted anew where /proc allows it.',
      'longest history: all events of one execution of an orchestration; longest payload: one input, output or result of an orchestration or an activity. Both as UTF-8, as the host has counted them.',
    ],
  };
}

function cpuFigures(
  name: string,
  measured: ReadonlyMap<number, Measured>,
  of: (measured: Measured) => number,
): readonly Figure[] {
  const cpuOf = (objects: number) => of(measured.get(objects)!) / objects;
  return [
    ...SIZES.map(
      (objects): Figure => ({ name: `${name}, ${formatCount(objects)}`, value: cpuOf(objects), unit: 'ms' }),
    ),
    ...[1000, 100_000].map(
      (objects): Figure => ({
        name: `${name}, 1,000,000 : ${formatCount(objects)}`,
        value: cpuOf(1_000_000) / cpuOf(objects),
        unit: 'ratio',
        most: MOST_GROWTH,
      }),
    ),
  ];
}

function durableFigures(
  objects: number,
  { longestHistoryBytes, longestPayloadBytes }: Measured,
): readonly Figure[] {
  return [
    {
      name: `longest history, ${formatCount(objects)}`,
      value: longestHistoryBytes,
      unit: 'bytes',
      most: MOST_HISTORY_BYTES,
    },
    {
      name: `longest payload, ${formatCount(objects)}`,
      value: longestPayloadBytes,
      unit: 'bytes',
      most: MOST_PAYLOAD_BYTES,
    },
  ];
}

function memoryFigures(
  name: string,
  peaks: ReadonlyMap<number, Measured>,
  of: (measured: Measured) => number,
  most: number,
): readonly Figure[] {
  const peakOf = (objects: number) => of(peaks.get(objects)!);
  return [
    ...MEMORY_SIZES.map(
      (objects): Figure => ({
        name: `${name}, ${formatCount(objects)}`,
        value: peakOf(objects),
        unit: 'bytes',
      }),
    ),
    {
      name: `${name}, 1,000,000 : 1,000`,
      value: peakOf(1_000_000) / peakOf(1000),
      unit: 'ratio',
      most,
    },
  ];
}
