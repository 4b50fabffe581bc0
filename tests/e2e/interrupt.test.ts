import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';

import { expect, test } from 'vitest';

import { PROJECT_FOLDER } from '../../dev/stack.ts';

const MARK = 'S3_ADX_LOADER_TEST_MARK';

/** Processes whose environment holds the mark: what a start has left behind. Linux only. */
function markedProcesses(mark: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARK}=${mark}`) &&
          !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

function temporaryFolders(): ReadonlySet<string> {
  return new Set(readdirSync(os.tmpdir()).filter((name) => /^s3-adx-loader-[A-Za-z0-9]{6}$/.test(name)));
}

async function within(ms: number, check: () => boolean): Promise<boolean> {
  const until = Date.now() + ms;
  while (!check()) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

function start(mark: string): ChildProcess {
  return spawn('npm', ['start'], {
    cwd: PROJECT_FOLDER,
    // A group of its own, as a terminal gives it.
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, [MARK]: mark },
  });
}

test.runIf(process.platform === 'linux').each([
  ['while it sets up', 400, 'group'],
  ['while the parts start', 1500, 'npm'],
  ['while it seeds', 3500, 'group'],
  ['while the loads run', 9000, 'npm'],
] as const)(
  'an interruption %s stops everything that npm start has started',
  async (_, afterMs, to) => {
    const mark = randomUUID();
    const folders = temporaryFolders();
    const child = start(mark);
    let ended = false;
    child.on('exit', () => {
      ended = true;
    });
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    expect(ended).toBe(false);
    // Ctrl-C reaches the whole group; `kill` by hand only npm.
    process.kill(to === 'group' ? -child.pid! : child.pid!, 'SIGINT');
    expect(await within(20_000, () => ended)).toBe(true);
    expect(await within(5000, () => markedProcesses(mark).length === 0)).toBe(true);
    expect([...temporaryFolders()].filter((name) => !folders.has(name))).toEqual([]);
  },
  60_000,
);
