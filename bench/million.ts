import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

import { formatCount } from '../cli/format.ts';
import { startS3 } from '../dev/s3/index.ts';
import { PROJECT_FOLDER } from '../dev/stack.ts';
import { createMemoryState } from '../shared/adapters/state/memory-state.ts';
import { putLoad } from '../shared/usecases/load-catalog.ts';
import { startRun } from '../shared/usecases/start-run.ts';
import type { BenchResult, BenchRun, Figure, Stoppable } from './bench.ts';
import { BENCH_DEFINITION, createBenchLoader } from './bench-loader.ts';
import {
  BUCKET,
  expectUnchanged,
  LOAD,
  NO_ORCHESTRATIONS,
  objectsOf,
  plan,
  type S3Settings,
  seedLedger,
  sourceOf,
} from './unchanged-bucket.ts';

const OBJECTS = 1_000_000;
const RCLONE = '/usr/bin/rclone';
const MOST_TIME = 1;
/** `source.listers` of the second run. */
const LISTERS = 4;

/**
 * Lists a million objects and compares them with a ledger that has them all, beside `rclone lsf` on the same bucket, which
 * lists it as one (`--fast-list`) or some of its folders at the same time. The S3 endpoint is a process of its own for all;
 * the ledger is in memory.
 */
export async function million(run: BenchRun): Promise<BenchResult> {
  const folder = path.join(run.folder, 's3');
  run.say(`${formatCount(OBJECTS)} objects into the bucket`);
  const seeding = await run.start(() => startS3({ folder, buckets: [BUCKET] }));
  await seeding.seedObjects(BUCKET, objectsOf(OBJECTS));
  await seeding.stop();
  const s3 = await run.start(() => startS3Process(folder));
  const source = sourceOf(s3.settings);
  const loader = createBenchLoader({ state: createMemoryState(), source: async () => source, timeScale: 1 });
  const put = (listers: number) =>
    putLoad(loader, LOAD, { source: { bucket: BUCKET, listers }, ...BENCH_DEFINITION });
  await put(1);
  run.say(`${formatCount(OBJECTS)} entries into the ledger`);
  await seedLedger(run, loader, source);

  const planOnce = async (listers: number) => {
    run.say(`the run, listers: ${listers}`);
    await put(listers);
    const { runId } = await startRun(loader, NO_ORCHESTRATIONS, { load: LOAD, trigger: 'manual' });
    const startedAt = performance.now();
    await plan(loader, runId);
    const ms = performance.now() - startedAt;
    await expectUnchanged(loader, runId, OBJECTS);
    await loader.loads.releaseLock(LOAD, runId);
    return ms;
  };
  const listOnce = async (options: readonly string[]) => {
    run.say(['rclone lsf', ...options].join(' '));
    const startedAt = performance.now();
    const keys = await listByRclone(run, s3.settings, options);
    if (keys !== OBJECTS) throw new Error(`rclone has listed ${keys} objects`);
    return performance.now() - startedAt;
  };
  const hasRclone = existsSync(RCLONE);
  // In turns, so that what else the machine does meets all.
  const ours: number[] = [];
  const several: number[] = [];
  const theirs: number[] = [];
  const byFolder: number[] = [];
  for (let round = 0; round < 2; round += 1) {
    ours.push(await planOnce(1));
    if (hasRclone) theirs.push(await listOnce(['--fast-list']));
    several.push(await planOnce(LISTERS));
    if (hasRclone) byFolder.push(await listOnce([]));
  }
  const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
  const keysPerSecond = (times: readonly number[]) => (OBJECTS * 1000 * times.length) / sum(times);
  const besideRclone: readonly Figure[] = hasRclone
    ? [
        {
          name: 'time of four listers beside rclone lsf',
          value: sum(several) / sum(theirs),
          unit: 'ratio',
          most: MOST_TIME,
        },
        { name: 'time of one lister beside rclone lsf', value: sum(ours) / sum(theirs), unit: 'ratio' },
        {
          name: 'time of four listers beside rclone lsf without --fast-list',
          value: sum(several) / sum(byFolder),
          unit: 'ratio',
          most: MOST_TIME,
        },
        { name: 'keys a second, rclone lsf', value: keysPerSecond(theirs), unit: 'per second' },
        {
          name: 'keys a second, rclone lsf without --fast-list',
          value: keysPerSecond(byFolder),
          unit: 'per second',
        },
      ]
    : [];
  return {
    figures: [
      ...besideRclone,
      { name: 'keys a second, one lister', value: keysPerSecond(ours), unit: 'per second' },
      { name: 'keys a second, four listers', value: keysPerSecond(several), unit: 'per second' },
    ],
    notes: [
      hasRclone
        ? 'rclone lsf -R --files-only, with --fast-list where nothing else is said; all twice, in turns.'
        : `Not measured beside rclone: there is no ${RCLONE} (Debian's package rclone).`,
    ],
  };
}

async function startS3Process(folder: string): Promise<Stoppable & { readonly settings: S3Settings }> {
  const child = spawn(process.execPath, ['dev/cli.ts', 's3', '--folder', folder], {
    cwd: PROJECT_FOLDER,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const lines = createInterface({ input: child.stdout });
  const settings = await new Promise<S3Settings>((resolve, reject) => {
    lines.once('line', (line) => resolve(JSON.parse(line) as S3Settings));
    child.once('exit', () => reject(new Error('The S3 endpoint has ended')));
  });
  return {
    settings,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function listByRclone(
  { folder, signal }: BenchRun,
  settings: S3Settings,
  options: readonly string[],
): Promise<number> {
  const config = path.join(folder, 'rclone.conf');
  await writeFile(
    config,
    [
      '[local]',
      'type = s3',
      'provider = Minio',
      `access_key_id = ${settings.accessKeyId}`,
      `secret_access_key = ${settings.secretAccessKey}`,
      `region = ${settings.region}`,
      `endpoint = ${settings.endpoint}`,
    ].join('\n'),
  );
  const child = spawn(RCLONE, ['lsf', '-R', '--files-only', ...options, `local:${BUCKET}`], {
    // None of this machine's settings for AWS.
    env: { PATH: process.env['PATH'], HOME: folder, RCLONE_CONFIG: config },
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  const code = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  let keys = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>)
    for (const byte of chunk) if (byte === 0x0a) keys += 1;
  if ((await code) !== 0) throw new Error('rclone has failed');
  return keys;
}
