import path from 'node:path';

import { formatCount } from '../../cli/format.ts';
import { startFunctionsHost } from '../../dev/functions-host/index.ts';
import type { BenchRun, Figure } from '../bench.ts';
import { runToEnd } from '../host-runs.ts';

const APP = path.join(import.meta.dirname, '../stand-ins-app');
const HUNDREDS = 100;
const ROUNDS = 3;

/** Activities that do nothing, 100 to a sub-orchestration. */
export async function hostFigures(run: BenchRun): Promise<readonly Figure[]> {
  const host = await run.start(() =>
    startFunctionsHost({
      appFolder: APP,
      stateFile: path.join(run.folder, 'stand-ins-host.sqlite'),
      logLevel: 'error',
    }),
  );
  const runActivities = async (hundreds: number) => {
    const startedAt = performance.now();
    await runToEnd(run, host, `start/${hundreds}`);
    return performance.now() - startedAt;
  };
  run.say(`host: ${formatCount(HUNDREDS * 100)} activities`);
  // The first ones pay for compiling the code.
  await runActivities(5);
  let leastMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) leastMs = Math.min(leastMs, await runActivities(HUNDREDS));
  await host.stop();
  return [
    {
      name: `host: activities, ${formatCount(HUNDREDS * 100)} that do nothing`,
      value: (HUNDREDS * 100 * 1000) / leastMs,
      unit: 'per second',
    },
  ];
}
