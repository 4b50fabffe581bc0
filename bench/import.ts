import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type InputOptions, rolldown } from 'rolldown';

import { formatBytes, formatCount } from '../cli/format.ts';
import config from '../rolldown.config.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { buildApp } from './build-app.ts';

const ROOT = path.dirname(import.meta.dirname);
const LOADER = fileURLToPath(new URL('import-app/load.mjs', import.meta.url));

/** The least of so many fresh processes counts: what other processes do only ever adds. */
const ROUNDS = 15;
const MOST_OF_UNBUNDLED = 0.35;

/** What `import-app/load.mjs` prints. */
interface Loaded {
  /** Functions that were registered. */
  readonly functions: number;
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly files: { readonly count: number; readonly bytes: number };
}

/**
 * What a worker pays before its first function can run: the app as it is deployed, beside the same app file
 * by file.
 */
export async function importApp(run: BenchRun): Promise<BenchResult> {
  run.say('building');
  const bundledEntry = await buildApp(path.join(run.folder, 'bundled'));
  const unbundledEntry = await buildUnbundled(path.join(run.folder, 'unbundled'));
  const bundled: Loaded[] = [];
  const unbundled: Loaded[] = [];
  // The first round fills the disk cache. Taking turns lets both meet the same disturbances.
  for (let round = 0; round <= ROUNDS; round += 1) {
    if (round % 5 === 1) run.say(`round ${round} of ${ROUNDS}`);
    const pair = [await load(run, bundledEntry), await load(run, unbundledEntry)] as const;
    if (round === 0) continue;
    bundled.push(pair[0]);
    unbundled.push(pair[1]);
  }
  const cpuMs = { bundled: leastOf(bundled, 'cpuMs'), unbundled: leastOf(unbundled, 'cpuMs') };
  return {
    figures: [
      { name: 'CPU, bundled', value: cpuMs.bundled, unit: 'ms' },
      { name: 'CPU, unbundled', value: cpuMs.unbundled, unit: 'ms' },
      { name: 'wall, bundled', value: leastOf(bundled, 'wallMs'), unit: 'ms' },
      { name: 'wall, unbundled', value: leastOf(unbundled, 'wallMs'), unit: 'ms' },
      {
        name: 'CPU, bundled : unbundled',
        value: cpuMs.bundled / cpuMs.unbundled,
        unit: 'ratio',
        most: MOST_OF_UNBUNDLED,
      },
    ],
    notes: [
      `Least of ${ROUNDS} fresh processes each, without the start of Node itself. Unbundled: each source file compiled by itself, packages as they lie in node_modules.`,
      await eagerText(run, bundledEntry, unbundledEntry),
      'Lazy in both: use cases, settings, adapters, and with them the SDKs of S3, storage, identity and Kusto. Lazy in the bundle alone: the packages that rolldown.config.ts puts off.',
    ],
  };
}

/** Compiles the app file by file, as it would be deployed with its node_modules. Returns the entry. */
async function buildUnbundled(folder: string): Promise<string> {
  const { input } = config as { readonly input: InputOptions['input'] & {} };
  await mkdir(folder);
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const isPackage = (id: string) => !id.startsWith('.') && !path.isAbsolute(id);
  const bundle = await rolldown({ input, cwd: ROOT, platform: 'node', external: isPackage });
  const { output } = await bundle.write({ dir: folder, format: 'esm', preserveModules: true });
  await bundle.close();
  const entry = output.find((file) => file.type === 'chunk' && file.isEntry)!;
  return path.join(folder, entry.fileName);
}

/** @throws when the app registered nothing: then it was not loaded as a worker loads it. */
async function load(run: BenchRun, entry: string, ...options: readonly string[]): Promise<Loaded> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [LOADER, pathToFileURL(entry).href, ...options],
    { signal: run.signal, env: plainEnvironment() },
  );
  // What the app says while it loads comes before.
  const loaded = JSON.parse(stdout.trim().split('\n').at(-1)!) as Loaded;
  if (loaded.functions === 0) throw new Error(`${entry} registered no functions.`);
  return loaded;
}

/**
 * Without what changes how Node loads: options, and a cache of compiled code, which a new instance has not
 * got.
 */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_COMPILE_CACHE: _cache, NODE_PATH: _path, ...rest } = process.env;
  return rest;
}

async function eagerText(run: BenchRun, bundled: string, unbundled: string): Promise<string> {
  const textOf = async (entry: string) => {
    const { files } = await load(run, entry, '--files');
    return `${formatCount(files.count)} files, ${formatBytes(files.bytes)}`;
  };
  return `Eager: bundled ${await textOf(bundled)}; unbundled ${await textOf(unbundled)}: triggers, orchestrators, activities, @azure/functions, durable-functions.`;
}

function leastOf(rounds: readonly Loaded[], time: 'cpuMs' | 'wallMs'): number {
  return Math.min(...rounds.map((loaded) => loaded[time]));
}
