import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import {
  type FunctionsHost,
  type FunctionsHostOptions,
  startFunctionsHost,
} from '../../../dev/functions-host/index.ts';

/** Folder of one of the fixture apps: of this suite, or of the one that real hosts are held to as well. */
export function appFolder(name: string): string {
  const folder = ['durable', 'http', 'limits', 'queue', 'timer'].includes(name) ? '../../host/apps' : 'apps';
  return fileURLToPath(new URL(`${folder}/${name}`, import.meta.url));
}

/** A temporary folder that goes when the test has finished. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface HostUnderTest {
  readonly host: FunctionsHost;
  readonly log: string[];
}

/** Starts a host on a fixture app; it is gone when the test has finished. */
export async function runHost(
  app: string,
  options: Partial<FunctionsHostOptions> & { stateFile: string },
): Promise<HostUnderTest> {
  const log: string[] = [];
  const host = await startFunctionsHost({
    appFolder: appFolder(app),
    graceMs: 500,
    onLog: (line) => log.push(line),
    ...options,
  });
  onTestFinished(() => host.stop());
  return { host, log };
}

/** Lines that the activities of the durable app left. */
export function readTrace(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}
