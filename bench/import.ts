import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type InputOptions, type OutputOptions, rolldown } from 'rolldown';

import config from '../rolldown.config.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';

const ROOT = path.dirname(import.meta.dirname);
const ROUNDS = 15;
const MOST_OF_UNBUNDLED = 0.35;

/** Loads the app named by the first argument as a worker does at its start, and prints what that took. */
const LOADER = `
const before = process.cpuUsage();
const startedAt = performance.now();
await import(process.argv[2]);
const { user, system } = process.cpuUsage(before);
const wallMs = performance.now() - startedAt;
console.log(JSON.stringify({ cpuMs: (user + system) / 1000, wallMs }));
process.exit(0);
`;

interface Loaded {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** What a worker pays before its first function can run: the built app beside the same app module by module. */
export async function importApp(run: BenchRun): Promise<BenchResult> {
  const unbundled = await buildUnbundled(path.join(run.folder, 'unbundled'));
  const loader = path.join(run.folder, 'load.mjs');
  await writeFile(loader, LOADER);
  const apps = [
    { name: 'bundled', entry: path.join(ROOT, 'dist', 'main.js'), rounds: [] as Loaded[] },
    { name: 'unbundled', entry: unbundled, rounds: [] as Loaded[] },
  ] as const;
  // The first round fills the disk cache. Taking turns lets both meet the same disturbances.
  for (let round = 0; round <= ROUNDS; round += 1) {
    if (round % 5 === 1) run.say(`round ${round} of ${ROUNDS}`);
    for (const app of apps) {
      const loaded = await load(run, loader, app.entry);
      if (round > 0) app.rounds.push(loaded);
    }
  }
  const [bundled, peer] = apps.map(({ rounds }) => leastOf(rounds)) as [Loaded, Loaded];
  const figures: Figure[] = [
    { name: 'CPU, bundled', value: bundled.cpuMs, unit: 'ms' },
    { name: 'CPU, unbundled', value: peer.cpuMs, unit: 'ms' },
    { name: 'wall, bundled', value: bundled.wallMs, unit: 'ms' },
    { name: 'wall, unbundled', value: peer.wallMs, unit: 'ms' },
    {
      name: 'CPU, bundled : unbundled',
      value: bundled.cpuMs / peer.cpuMs,
      unit: 'ratio',
      most: MOST_OF_UNBUNDLED,
    },
  ];
  return {
    figures,
    notes: [
      `Least of ${ROUNDS} fresh processes each, without the start of Node itself. Unbundled: each source file compiled by itself, packages from node_modules.`,
      'Both load the SDKs of S3, storage and Kusto later, with the first activity.',
    ],
  };
}

/** The app compiled file by file, as it would be deployed with its node_modules. Returns the entry. */
async function buildUnbundled(folder: string): Promise<string> {
  const { output, ...input } = config as InputOptions & { output: OutputOptions };
  await mkdir(folder, { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const bundle = await rolldown({
    ...input,
    cwd: ROOT,
    plugins: [],
    external: (id) => !id.startsWith('.') && !path.isAbsolute(id),
  });
  const { sourcemap } = output;
  const written = await bundle.write({
    dir: folder,
    format: 'esm',
    preserveModules: true,
    ...(sourcemap === undefined ? {} : { sourcemap }),
  });
  await bundle.close();
  const entry = written.output.find((chunk) => chunk.type === 'chunk' && chunk.isEntry);
  return path.join(folder, entry!.fileName);
}

async function load(run: BenchRun, loader: string, entry: string): Promise<Loaded> {
  const { stdout } = await promisify(execFile)(process.execPath, [loader, pathToFileURL(entry).href], {
    signal: run.signal,
  });
  // What the app says while it loads comes before.
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Loaded;
}

function leastOf(rounds: readonly Loaded[]): Loaded {
  return {
    cpuMs: Math.min(...rounds.map(({ cpuMs }) => cpuMs)),
    wallMs: Math.min(...rounds.map(({ wallMs }) => wallMs)),
  };
}
