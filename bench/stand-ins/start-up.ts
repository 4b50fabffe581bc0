import path from 'node:path';

import { startStack } from '../../dev/stack.ts';
import type { BenchRun, Figure } from '../bench.ts';
import { buildApp } from '../build-app.ts';

const ROUNDS = 3;

/** The whole stack with the product on it, from nothing to a host that answers, in fresh folders; the files are in the cache. */
export async function startUpFigures(run: BenchRun): Promise<readonly Figure[]> {
  const appFolder = path.join(run.folder, 'app');
  await buildApp(appFolder);
  let leastMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    run.say('start of the whole stack');
    const startedAt = performance.now();
    const stack = await run.start(() =>
      startStack({
        folder: path.join(run.folder, `stack-${round}`),
        settings: { LOADER_LOADS_FOLDER: 'no-such-folder' },
        host: { appFolder, logLevel: 'error' },
      }),
    );
    leastMs = Math.min(leastMs, performance.now() - startedAt);
    await stack.stop();
  }
  return [{ name: 'stack: start, warm', value: leastMs, unit: 'ms' }];
}
