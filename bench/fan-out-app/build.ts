import path from 'node:path';

import { buildApp } from '../build-app.ts';

const FUNCTIONS = path.resolve(import.meta.dirname, '../../functions');

/**
 * Builds the app into `folder` with another composition root: `functions/runtime.ts` gives way to one whose
 * bucket, cluster and state are in memory. Orchestrators, activities, triggers and use cases are the
 * product's.
 */
export async function buildFanOutApp(folder: string): Promise<void> {
  await buildApp(folder, {
    plugins: [
      {
        name: 'runtime-in-memory',
        resolveId: (source, importer) =>
          source.endsWith('/runtime.ts') && importer?.startsWith(FUNCTIONS)
            ? path.join(import.meta.dirname, 'runtime.ts')
            : null,
      },
    ],
  });
}
