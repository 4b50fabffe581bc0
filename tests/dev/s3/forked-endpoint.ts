import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { S3Client } from '@aws-sdk/client-s3';
import type { RunningS3 } from '../../../dev/s3/index.ts';

/** Resident memory of the endpoint's process. */
interface MemoryReading {
  readonly nowBytes: number;
  /** The most since the reading before. */
  readonly peakBytes: number;
}

export interface ForkedEndpoint {
  readonly client: S3Client;
  /** Measures how far the endpoint's memory rises above what it is now while `work` runs. */
  readonly growthBytesDuring: (work: () => Promise<void>) => Promise<number>;
  /** Ends the process and the client, and removes the folder. */
  readonly stop: () => Promise<void>;
}

/** Starts an endpoint with a bucket `data` in a process of its own, with a heap too small for a large body. */
export async function forkEndpoint(): Promise<ForkedEndpoint> {
  const folder = await mkdtemp(join(tmpdir(), 's3-endpoint-'));
  const child = fork(fileURLToPath(new URL('endpoint-process.ts', import.meta.url)), [folder], {
    execArgv: ['--max-old-space-size=64', '--max-semi-space-size=2'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const { endpoint, region, ...credentials } = await nextMessage<RunningS3['settings']>(child);
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1 });
  const readMemory = (): Promise<MemoryReading> => {
    child.send('read');
    return nextMessage<MemoryReading>(child);
  };
  return {
    client,
    growthBytesDuring: async (work) => {
      const before = await readMemory();
      await work();
      const after = await readMemory();
      return after.peakBytes - before.nowBytes;
    },
    stop: async () => {
      client.destroy();
      const hasEnded = once(child, 'exit');
      child.disconnect();
      await hasEnded;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function nextMessage<T>(child: ChildProcess): Promise<T> {
  const waiting = new AbortController();
  const { signal } = waiting;
  try {
    const [value] = await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`The endpoint's process ended with ${String(code)}.`);
      }),
    ]);
    return value as T;
  } finally {
    waiting.abort();
  }
}
