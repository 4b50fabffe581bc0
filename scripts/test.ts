import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/**
 * Runs the tests: all of them, or those whose path holds one of the arguments. `--full` adds those that take longer.
 * The last line is the plain count.
 */
const FULL_PROJECT = 'full';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
  readonly success: boolean;
}

const args = process.argv.slice(2);
const withFull = args.includes('--full');
const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-test-'));
const report = path.join(folder, 'report.json');
if (withFull) console.error('npm run test:full takes about 10 minutes on 2 cores.');

const child = spawn(
  process.execPath,
  [
    path.join('node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...(withFull ? [] : [`--project=!${FULL_PROJECT}`]),
    ...args.filter((arg) => arg !== '--full'),
  ],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const code = await new Promise<number>((resolve) => child.on('exit', (exit) => resolve(exit ?? 130)));

let counted: Report | null = null;
try {
  counted = JSON.parse(await readFile(report, 'utf8')) as Report;
} catch {
  console.error('The tests ended without a report.');
}
await rm(folder, { recursive: true, force: true });
if (counted !== null) {
  // A file that can't be loaded has failed although none of its tests has.
  const failed =
    counted.numFailedTests === 0 && code !== 0
      ? Math.max(1, counted.numFailedTestSuites)
      : counted.numFailedTests;
  const skipped = counted.numPendingTests > 0 ? `, ${counted.numPendingTests} skipped` : '';
  console.log(`${counted.numPassedTests} passed, ${failed} failed${skipped}`);
}
process.exit(code);
