import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';

import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';

import { DuckDBConnection } from '@duckdb/node-api';

import type { RunningS3 } from '../../dev/s3/index.ts';
import { TEST_BUCKET } from '../e2e/stack-under-test.ts';

/** What was written under a key: each write is one row that no other write has. */
export interface Written {
  /** The rows' number `n`, by write. */
  readonly writes: readonly number[];
  readonly isDeleted: boolean;
}

/** The bucket as the test writes it, and its own record of that. */
export interface ChaosBucket {
  readonly keys: ReadonlyMap<string, Written>;
  /** Writes an object of one row, over what is there. */
  write(key: string): Promise<void>;
  remove(key: string): Promise<void>;
  close(): void;
}

export const LOAD = 'chaos';

/** @param folder - where files are made before they are objects. */
export async function openBucket(s3: RunningS3, folder: string): Promise<ChaosBucket> {
  const duckdb = await DuckDBConnection.create();
  const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  const keys = new Map<string, Written>();
  let writes = 0;
  return {
    keys,
    async write(key) {
      writes += 1;
      const n = writes;
      // Noted first: the loader may find the object before this is told that it is there.
      keys.set(key, { writes: [...(keys.get(key)?.writes ?? []), n], isDeleted: false });
      const file = path.join(folder, `${n}.parquet`);
      const line = key.replaceAll("'", "''");
      await duckdb.run(`copy (select '${line}' as line, ${n}::bigint as n) to '${file}' (format parquet)`);
      const body = await readFile(file);
      await rm(file);
      // Without HTTP, so that faults of the endpoint don't meet it.
      await s3.seedObjects(TEST_BUCKET, [{ key, body }]);
    },
    async remove(key) {
      keys.set(key, { writes: keys.get(key)?.writes ?? [], isDeleted: true });
      await client.send(new DeleteObjectCommand({ Bucket: TEST_BUCKET, Key: key }));
    },
    close: () => {
      client.destroy();
      duckdb.closeSync();
    },
  };
}

/** Keys of many kinds, so that every path of the loader sees them. */
export function keyOf(number: number): string {
  const kinds = ['a b', 'ä+ö', '100%', '#1', 'k=v', "it's", 'x'];
  return `${LOAD}/${kinds[number % kinds.length]}/${String(number).padStart(5, '0')}.parquet`;
}
