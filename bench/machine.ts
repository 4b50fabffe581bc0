import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly node: string;
  /** Versions of the packages whose cost is measured. */
  readonly packages: Readonly<Record<string, string>>;
}

const PACKAGES = [
  '@azure/functions',
  'durable-functions',
  '@aws-sdk/client-s3',
  '@azure/data-tables',
  '@azure/storage-queue',
  'azure-kusto-ingest',
  'azurite',
  'rolldown',
];

/** Describes this machine and the installed packages. */
export function describeMachine(): Machine {
  const root = path.dirname(import.meta.dirname);
  const versionOf = (name: string) => {
    const manifest = readFileSync(path.join(root, 'node_modules', name, 'package.json'), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
  };
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    platform: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
  };
}
