import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type InputOptions, type OutputOptions, rolldown } from 'rolldown';

import config from '../../rolldown.config.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/**
 * Builds the app into `folder` as the product is built, but for the composition root: `functions/runtime.ts` gives way
 * to one whose bucket, cluster and state are in memory. Orchestrators, activities, triggers and use cases are the product's.
 */
export async function buildFanOutApp(folder: string): Promise<void> {
  const dist = path.join(folder, 'dist');
  await mkdir(dist, { recursive: true });
  const { output, ...input } = config as InputOptions & { output: OutputOptions };
  const bundle = await rolldown({
    ...input,
    cwd: ROOT,
    plugins: [
      ...[input.plugins].flat(),
      {
        name: 'runtime-in-memory',
        resolveId: (source, importer) =>
          source.endsWith('/runtime.ts') && importer?.startsWith(path.join(ROOT, 'functions'))
            ? path.join(import.meta.dirname, 'runtime.ts')
            : null,
      },
    ],
  });
  await bundle.write({ ...output, dir: dist });
  await bundle.close();
  await copyFile(path.join(ROOT, 'host.json'), path.join(folder, 'host.json'));
  await writeFile(
    path.join(folder, 'package.json'),
    JSON.stringify({ type: 'module', main: 'dist/main.js' }),
  );
}
