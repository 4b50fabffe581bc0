/**
 * Makes the package that is deployed, from a finished build:
 *
 *   npm run package [-- --durable-task-scheduler]
 *
 * With the option, or with LOADER_DURABLE_TASK_SCHEDULER=true in the environment, as azd sets it, host.json is the one for
 * the Durable Task Scheduler.
 *
 * - `infra/package/out/`: the files, for `azd`, which zips them itself
 * - `infra/package/s3-adx-loader.zip`: the same files; the same sources give the same bytes
 *
 * Prints the files with their sizes, and the SHA-256 of the zip.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';

import { ZipFile } from 'yazl';

import { PACKAGED, packagedFiles } from './check-bundle.ts';

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly main: string;
}

export interface PackageOptions {
  /** Root of the repository. */
  readonly root: string;
  /** Folder of the build. */
  readonly dist: string;
  /** Folder that is made anew, for the files. */
  readonly outFolder: string;
  readonly zipFile: string;
  /** host.json is the one for the Durable Task Scheduler. Default false: for Azure Storage. */
  readonly durableTaskScheduler?: boolean;
}

export interface PackageReport {
  /** In the order of the zip; paths with `/`. */
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
  readonly zipBytes: number;
  readonly sha256: string;
}

/** The first instant that a zip can name, in the time zone of the machine: zips name local times. */
const NO_TIME = new Date(1980, 0, 1);
/** A regular file that everybody may read. */
const FILE_MODE = 0o100_644;

export async function makePackage(options: PackageOptions): Promise<PackageReport> {
  const { outFolder, zipFile } = options;
  const files = await contentsOf(options);
  await rm(outFolder, { recursive: true, force: true });
  for (const [name, content] of files) {
    await mkdir(path.dirname(path.join(outFolder, name)), { recursive: true });
    await writeFile(path.join(outFolder, name), content);
  }
  const zip = await zipOf(files);
  await writeFile(zipFile, zip);
  return {
    files: files.map(([name, content]) => ({ name, sizeBytes: content.length })),
    zipBytes: zip.length,
    sha256: createHash('sha256').update(zip).digest('hex'),
  };
}

async function contentsOf({
  root,
  dist,
  durableTaskScheduler = false,
}: PackageOptions): Promise<readonly (readonly [string, Buffer])[]> {
  const scratch = packagedFiles(root).filter((file) => {
    const [top = ''] = file.split(path.sep);
    return PACKAGED.has(top) && top !== 'dist' && top !== 'package.json';
  });
  const read = async (folder: string, file: string, prefix = '') =>
    [prefix + file.split(path.sep).join('/'), await readFile(path.join(folder, file))] as const;
  const hostFile = durableTaskScheduler ? 'infra/host.durable-task-scheduler.json' : 'host.json';
  const built = packagedFiles(dist, new Set());
  const files = [
    ...(await Promise.all(scratch.filter((file) => file !== 'host.json').map((file) => read(root, file)))),
    ['host.json', await readFile(path.join(root, hostFile))] as const,
    ...(await Promise.all(built.map((file) => read(dist, file, 'dist/')))),
    ['package.json', await deployedPackageJson(root)] as const,
  ];
  return files.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What the worker reads, and nothing that would have somebody install packages: the build holds them. */
async function deployedPackageJson(root: string): Promise<Buffer> {
  const { name, version, type, main } = JSON.parse(
    await readFile(path.join(root, 'package.json'), 'utf8'),
  ) as PackageJson;
  return Buffer.from(`${JSON.stringify({ name, version, private: true, type, main }, null, 2)}\n`);
}

async function zipOf(files: readonly (readonly [string, Buffer])[]): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, content] of files)
    zip.addBuffer(content, name, { mtime: NO_TIME, mode: FILE_MODE, forceDosTimestamp: true });
  zip.end();
  return buffer(zip.outputStream);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { 'durable-task-scheduler': { type: 'boolean' } } });
  const root = path.dirname(import.meta.dirname);
  const folder = path.join(root, 'infra', 'package');
  const zipFile = path.join(folder, 's3-adx-loader.zip');
  const { files, zipBytes, sha256 } = await makePackage({
    root,
    dist: path.join(root, 'dist'),
    outFolder: path.join(folder, 'out'),
    zipFile,
    durableTaskScheduler:
      values['durable-task-scheduler'] ?? process.env['LOADER_DURABLE_TASK_SCHEDULER'] === 'true',
  });
  for (const { name, sizeBytes } of files) console.log(`${String(sizeBytes).padStart(9)} ${name}`);
  console.log(`${String(zipBytes).padStart(9)} ${path.relative(process.cwd(), zipFile)} sha256 ${sha256}`);
}
