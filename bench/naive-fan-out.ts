import path from 'node:path';

import { formatCount } from '../cli/format.ts';
import { startFunctionsHost } from '../dev/functions-host/index.ts';
import type { BenchRun, Figure } from './bench.ts';
import { buildApp } from './build-app.ts';
import { readHostMetrics, runToEnd } from './host-runs.ts';

const OBJECTS = 5000;
/** Enough for the code to be compiled: the cost of that is a process's, and not a run's. */
const WARM_UP_OBJECTS = 1000;
const ROUNDS = 3;

/**
 * The product's orchestrations by objects an activity, and what they may cost beside the naive one. With one object an
 * activity two thirds of it is what an activity costs the host by itself, which the naive one pays as well.
 */
const SHAPES = [
  { name: 'one an activity', objectsPerActivity: 1, mostOfNaive: 1 / 5 },
  { name: 'packed', objectsPerActivity: 100, mostOfNaive: 1 / 20 },
] as const;

interface FanOut {
  readonly appFolder: string;
  /** Where a run of so many objects is started. */
  readonly startPath: (objects: number) => string;
  /** Activities that the measured run calls at least. */
  readonly activities: number;
}

/**
 * What fanning out in shards costs host and orchestrators, beside one orchestrator with an activity for each object.
 * The activities of both return at once.
 */
export async function besideNaive(
  run: BenchRun,
): Promise<{ readonly figures: readonly Figure[]; readonly note: string }> {
  const sharded = path.join(run.folder, 'orchestrations-app');
  await buildApp(sharded, { entry: path.join(import.meta.dirname, 'orchestrations-app/orchestrations.ts') });
  const fanOuts: readonly (FanOut & { readonly name: string })[] = [
    {
      name: 'naive',
      appFolder: path.join(import.meta.dirname, 'stand-ins-app'),
      startPath: (objects) => `naive/${objects}`,
      activities: OBJECTS,
    },
    ...SHAPES.map(({ name, objectsPerActivity }) => ({
      name,
      appFolder: sharded,
      startPath: (objects: number) => `start/${objects}/${objectsPerActivity}`,
      activities: OBJECTS / objectsPerActivity,
    })),
  ];
  const least = new Map<string, number>();
  for (let round = 1; round <= ROUNDS; round += 1) {
    run.say(`${formatCount(OBJECTS)} objects beside a naive fan-out, ${round} of ${ROUNDS}`);
    for (const [index, { name, ...fanOut }] of fanOuts.entries()) {
      const cpuMs = await measure(run, fanOut, path.join(run.folder, `beside-${index}-${round}.sqlite`));
      least.set(name, Math.min(cpuMs, least.get(name) ?? cpuMs));
    }
  }
  const figures: readonly Figure[] = [
    { name: `CPU of a naive fan-out, ${formatCount(OBJECTS)}`, value: least.get('naive')!, unit: 'ms' },
    ...SHAPES.map(
      ({ name, mostOfNaive }): Figure => ({
        name: `CPU of the fan-out : naive, ${formatCount(OBJECTS)}, ${name}`,
        value: least.get(name)! / least.get('naive')!,
        unit: 'ratio',
        most: mostOfNaive,
      }),
    ),
  ];
  return {
    figures,
    note: `naive: one orchestrator that fans out to ${formatCount(OBJECTS)} activities, on the same host with 32 events a turn; the orchestrations of the app run as many objects. The activities of both return at once; the least of ${ROUNDS}.`,
  };
}

/** CPU of a host, in milliseconds, for one run, after a smaller one. */
async function measure(
  run: BenchRun,
  { appFolder, startPath, activities }: FanOut,
  stateFile: string,
): Promise<number> {
  const host = await run.start(() =>
    startFunctionsHost({
      appFolder,
      stateFile,
      logLevel: 'error',
      env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    }),
  );
  try {
    await runToEnd(run, host, startPath(WARM_UP_OBJECTS));
    const before = await readHostMetrics(host);
    await runToEnd(run, host, startPath(OBJECTS));
    const after = await readHostMetrics(host);
    const scheduled = after.durable.activitiesScheduled - before.durable.activitiesScheduled;
    if (scheduled < activities) throw new Error(`Only ${scheduled} of ${activities} activities were called.`);
    return after.cpuMs - before.cpuMs;
  } finally {
    await host.stop();
  }
}
