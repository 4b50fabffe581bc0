import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';

import { startFunctionsHost } from '../../../dev/functions-host/index.ts';
import config from '../../../rolldown.config.ts';
import { makePackage, type PackageReport } from '../../../scripts/make-package.ts';
import { ROOT } from './compiled.ts';

/** Bounds of what is uploaded and unpacked at each cold start; scripts/check-bundle.ts bounds the parts. */
const ZIP_BUDGET_BYTES = 1_500_000;

interface HostJson {
  readonly extensions: { readonly durableTask: { readonly storageProvider: unknown } };
}

let folder: string;
let first: Awaited<ReturnType<typeof buildAndPack>>;
let second: Awaited<ReturnType<typeof buildAndPack>>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'package-test-'));
  [first, second] = await Promise.all([buildAndPack('first'), buildAndPack('second')]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** From the sources to the zip, as `npm run package` does it. */
async function buildAndPack(name: string): Promise<PackageReport & { readonly modules: readonly string[] }> {
  const dist = path.join(folder, name, 'dist');
  const { output, ...input } = config;
  const bundle = await rolldown({ ...input, cwd: ROOT });
  const written = await bundle.write({ ...(Array.isArray(output) ? output[0] : output), dir: dist });
  await bundle.close();
  const modules = written.output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []));
  const report = await makePackage({
    root: ROOT,
    dist,
    outFolder: path.join(folder, name, 'out'),
    zipFile: path.join(folder, name, 'package.zip'),
  });
  return {
    ...report,
    modules: modules.map((module) => path.relative(ROOT, module).split(path.sep).join('/')),
  };
}

describe('the package', () => {
  test('has the same bytes whenever it is made', async () => {
    expect(second).toEqual(first);
    const [a, b] = await Promise.all(
      ['first', 'second'].map((name) => readFile(path.join(folder, name, 'package.zip'))),
    );
    expect(a!.equals(b!)).toBe(true);
    expect(a!.length).toBe(first.zipBytes);
  });

  test('holds the build, host.json, package.json and loads, and nothing else', () => {
    const names = first.files.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['dist/main.js', 'host.json', 'package.json']));
    expect(
      names.filter(
        (name) => !/^(dist\/(main|chunks\/[\w.-]+)\.js|host\.json|package\.json|loads\/.+\.json)$/.test(name),
      ),
    ).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  test('for the Durable Task Scheduler has another storage provider in host.json, and else the same', async () => {
    const outFolder = path.join(folder, 'scheduler', 'out');
    await makePackage({
      root: ROOT,
      dist: path.join(folder, 'first', 'dist'),
      outFolder,
      zipFile: path.join(folder, 'scheduler', 'package.zip'),
      durableTaskScheduler: true,
    });
    const read = async (file: string) => JSON.parse(await readFile(file, 'utf8')) as HostJson;
    const [scheduler, storage] = await Promise.all([
      read(path.join(outFolder, 'host.json')),
      read(path.join(ROOT, 'host.json')),
    ]);
    // Named as infra/main.bicep names the setting.
    const connectionStringName = 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING';
    expect(scheduler.extensions.durableTask.storageProvider).toEqual({
      type: 'azureManaged',
      connectionStringName,
    });
    expect(await readFile(path.join(ROOT, 'infra', 'main.bicep'), 'utf8')).toContain(
      `${connectionStringName}:`,
    );
    const withoutProvider = ({ extensions, ...host }: HostJson) => ({
      ...host,
      extensions: { ...extensions, durableTask: { ...extensions.durableTask, storageProvider: null } },
    });
    expect(withoutProvider(scheduler)).toEqual(withoutProvider(storage));
  });

  test('is built of the product and of packages that it depends on, not of those of development', async () => {
    const { packages } = JSON.parse(await readFile(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
    };
    const packageOf = (module: string) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(module)?.[0];
    const [fromPackages, own] = [true, false].map((wanted) =>
      first.modules.filter((module) => module.includes('node_modules/') === wanted),
    );
    expect(fromPackages!.length).toBeGreaterThan(100);
    const names = [...new Set(fromPackages!.map((module) => packageOf(module) ?? module))];
    expect(names.filter((name) => packages[name] === undefined || packages[name].dev === true)).toEqual([]);
    // Modules of the bundler itself have names that are no paths.
    expect(own!.filter((module) => !/^(functions|shared)\/|\0|rolldown/.test(module))).toEqual([]);
  });

  test('has a package.json by which nothing is installed', async () => {
    const deployed = JSON.parse(
      await readFile(path.join(folder, 'first', 'out', 'package.json'), 'utf8'),
    ) as Record<string, unknown>;
    const own = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(deployed).toEqual({
      name: own['name'],
      version: own['version'],
      private: true,
      type: 'module',
      main: 'dist/main.js',
    });
  });

  test('starts where nothing is installed', async () => {
    const host = await startFunctionsHost({
      // In a folder for temporary files: there is no node_modules above it.
      appFolder: path.join(folder, 'first', 'out'),
      stateFile: path.join(folder, 'host.db'),
      env: { FUNCTIONS_WORKER_RUNTIME: 'node', AzureWebJobsStorage: 'UseDevelopmentStorage=true' },
    });
    onTestFinished(() => host.stop());
    const health = await fetch(`${host.url}/api/health`);
    expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
  });

  test('is the same as files and as zip, and small', async () => {
    const out = path.join(folder, 'first', 'out');
    const files = (await readdir(out, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(out, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'));
    expect(files.sort()).toEqual(first.files.map(({ name }) => name).sort());
    expect(first.zipBytes).toBeLessThan(ZIP_BUDGET_BYTES);
  });
});

describe('azure.yaml', () => {
  interface AzureYaml {
    readonly infra: { readonly provider: string; readonly path: string; readonly module: string };
    readonly services: Readonly<
      Record<
        string,
        {
          readonly host: string;
          readonly language: string;
          readonly project: string;
          readonly dist: string;
          readonly remoteBuild: boolean;
        }
      >
    >;
    readonly hooks: Readonly<Record<string, readonly { readonly shell: string; readonly run: string }[]>>;
  }
  let azureYaml: AzureYaml;
  beforeAll(async () => {
    azureYaml = parse(await readFile(path.join(ROOT, 'azure.yaml'), 'utf8')) as AzureYaml;
  });

  test('deploys what the build of the service makes, as it is', async () => {
    expect(azureYaml.services).toEqual({
      loader: { host: 'function', language: 'js', project: 'infra/package', dist: 'out', remoteBuild: false },
    });
    const project = path.join(ROOT, 'infra', 'package');
    const { scripts, ...rest } = JSON.parse(await readFile(path.join(project, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    expect(scripts).toEqual({ build: 'npm --prefix ../.. run --silent package' });
    expect(rest).not.toHaveProperty('dependencies');
    // With a .funcignore that leaves out node_modules, azd refuses `remoteBuild: false`.
    expect(existsSync(path.join(project, '.funcignore'))).toBe(false);
  });

  test('names files that exist', () => {
    const { provider, path: folderName, module } = azureYaml.infra;
    expect(provider).toBe('bicep');
    for (const extension of ['bicep', 'bicepparam'])
      expect(existsSync(path.join(ROOT, folderName, `${module}.${extension}`))).toBe(true);
    const commands = Object.values(azureYaml.hooks)
      .flat()
      .map(({ run }) => run);
    expect(commands.length).toBe(5);
    for (const command of commands) {
      const [, program, script] = /^node (\S+) (\S+)(?: register| remove)?$/.exec(command) ?? [];
      for (const file of [program, script]) expect(existsSync(path.join(ROOT, file ?? '?'))).toBe(true);
    }
  });
});
