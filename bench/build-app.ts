import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type InputOptions, type OutputOptions, type Plugin, rolldown } from 'rolldown';

import config from '../rolldown.config.ts';

const ROOT = path.dirname(import.meta.dirname);

export interface BuildAppOptions {
  /** They come after those of the product's own build. */
  readonly plugins?: readonly Plugin[];
  /** Default: the product's. */
  readonly entry?: string;
}

/**
 * Builds the app into `folder` as it is deployed, from the sources as they are: `dist/` may be older.
 *
 * @returns the entry file
 */
export async function buildApp(
  folder: string,
  { plugins = [], entry }: BuildAppOptions = {},
): Promise<string> {
  const dist = path.join(folder, 'dist');
  await mkdir(dist, { recursive: true });
  const { output, ...input } = config as InputOptions & { readonly output: OutputOptions };
  const bundle = await rolldown({
    ...input,
    ...(entry === undefined ? {} : { input: { main: entry } }),
    cwd: ROOT,
    plugins: [input.plugins, ...plugins],
  });
  await bundle.write({ ...output, dir: dist });
  await bundle.close();
  await copyFile(path.join(ROOT, 'host.json'), path.join(folder, 'host.json'));
  await writeFile(
    path.join(folder, 'package.json'),
    JSON.stringify({ type: 'module', main: 'dist/main.js' }),
  );
  return path.join(dist, 'main.js');
}
