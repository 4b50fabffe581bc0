import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';

import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';

import { DuckDBConnection } from '@duckdb/node-api';

import type { RunningS3 } from '../../dev/s3/index.ts';
import { versionOf } from '../../shared/domain/s3-object.ts';
import { TEST_BUCKET } from '../e2e/stack-under-test.ts';

/** What was written under a key: each write is one row that no other write has. */
export interface Written {
  /** The rows' number `n`, by write. */
  readonly writes: readonly number[];
  readonly isDeleted: boolean;
  /** All that was done with the key, in this order: a write with its version as the loader names it, or a deletion. */
  readonly changes: readonly (WrittenVersion | 'deleted')[];
}

interface WrittenVersion {
  readonly n: number;
  readonly version: string;
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
  /** Noted before it is done: the loader may find the object before this is told that it is there. */
  const note = (key: string, change: WrittenVersion | 'deleted') => {
    const before = keys.get(key);
    keys.set(key, {
      writes: [...(before?.writes ?? []), ...(change === 'deleted' ? [] : [change.n])],
      isDeleted: change === 'deleted',
      changes: [...(before?.changes ?? []), change],
    });
  };
  return {
    keys,
    async write(key) {
      writes += 1;
      const n = writes;
      const file = path.join(folder, `${n}.parquet`);
      const line = key.replaceAll("'", "''");
      await duckdb.run(`copy (select '${line}' as line, ${n}::bigint as n) to '${file}' (format parquet)`);
      const body = await readFile(file);
      await rm(file);
      note(key, { n, version: versionOf({ etag: createHash('md5').update(body).digest('hex') }) });
      // Without HTTP, so that faults of the endpoint don't meet it.
      await s3.seedObjects(TEST_BUCKET, [{ key, body }]);
    },
    async remove(key) {
      note(key, 'deleted');
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
