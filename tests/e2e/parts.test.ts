import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';

import { PROJECT_FOLDER } from '../../dev/stack.ts';

/** What each part prints, and an address that answers while it is up. */
const PARTS: readonly [part: string, addressOf: (settings: Record<string, string>) => string][] = [
  ['s3', ({ endpoint }) => endpoint!],
  ['kusto', ({ endpoint }) => `${endpoint}/v1/rest/ping`],
  ['azurite', ({ blobEndpoint }) => blobEndpoint!],
];

test.each(PARTS)(
  '%s alone prints its settings as one line, and runs until it is told to stop',
  async (part, addressOf) => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-part-'));
    try {
      const child = spawn(process.execPath, ['dev/cli.ts', part], {
        cwd: PROJECT_FOLDER,
        env: { ...process.env, TMPDIR: folder },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const lines: string[] = [];
      const first = new Promise<string>((resolve) =>
        createInterface({ input: child.stdout }).on('line', (line) => {
          lines.push(line);
          resolve(line);
        }),
      );
      const settings = JSON.parse(await first) as Record<string, string>;
      // A while later it is still there.
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect((await fetch(addressOf(settings))).status).toBeGreaterThan(0);
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(lines).toHaveLength(1);
      await expect(fetch(addressOf(settings))).rejects.toThrow();
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  },
  60_000,
);
