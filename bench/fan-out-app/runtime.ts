import { createMemoryState } from '../../shared/adapters/state/memory-state.ts';
import type { S3Object } from '../../shared/domain/s3-object.ts';
import type { Source } from '../../shared/ports/source.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { createBenchLoader } from '../bench-loader.ts';
import { measureActivities } from './activity-cpu.ts';
import { outsideState } from './outside-state.ts';

/** Set where the state is to be outside of the process: the script of the process that keeps it. */
const stateProcess = process.env['BENCH_STATE_PROCESS'];

/**
 * Stands for `functions/runtime.ts` in the app of the fan-out bench: state in memory, a bucket that is
 * computed, and a cluster that has ingested whatever is posted. What is left is the cost of the app itself.
 */
const loader = createBenchLoader({
  state: stateProcess === undefined ? createMemoryState() : outsideState(stateProcess),
  source: async ({ bucket }) => computedSource(Number(bucket.split('-')[1])),
  timeScale: 10,
});

export async function loaderFor(): Promise<Loader> {
  return loader;
}

/** A bucket of so many objects, in a thousand to a folder. */
function computedSource(objects: number): Source {
  const PAGE = 1000;
  // A text that is put together keeps all its parts in memory, which those of a parsed answer of S3 have not.
  const flat = (text: string) => Buffer.from(text, 'latin1').toString('latin1');
  const objectAt = (index: number): S3Object => ({
    key: flat(
      `data/${String(Math.floor(index / 1000)).padStart(4, '0')}/part-${String(index).padStart(8, '0')}.json`,
    ),
    version: flat(`e:${String(index).padStart(32, '0')}`),
    sizeBytes: 100_000,
    lastModified: '2026-01-31T12:00:00.000Z',
    storageClass: 'STANDARD',
  });
  return {
    listPage: async ({ startAfter }) => {
      const from = startAfter === null ? 0 : Number(/part-(\d+)/.exec(startAfter)![1]) + 1;
      const count = Math.min(PAGE, objects - from);
      return {
        objects: Array.from({ length: count }, (_, at) => objectAt(from + at)),
        isLast: from + count >= objects,
      };
    },
    resolve: async () => [],
    signIn: async () => 'nobody',
    canRead: async () => true,
    listFolders: async () => ({ folders: [], hasKeys: true, isLast: true }),
    findInventory: () => Promise.reject(new Error('not benched')),
    readInventory: () => Promise.reject(new Error('not benched')),
    countParquetRows: async () => null,
    head: async () => null,
    presignGet: async ({ key, lifetimeMs }) => ({
      url: `https://bench.s3.invalid/${key}?X-Amz-Signature=${'0'.repeat(64)}`,
      expiresAt: new Date(Date.now() + lifetimeMs),
    }),
  };
}

measureActivities();
