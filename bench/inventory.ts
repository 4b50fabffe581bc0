import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { formatCount } from '../cli/format.ts';
import { startS3 } from '../dev/s3/index.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { BUCKET, objectsOf, sourceOf } from './unchanged-bucket.ts';

/** Two pages of planning: a page reads its file from the beginning. */
const PAGE_ROWS = 100_000;
const ROWS = 2 * PAGE_ROWS;
const ROUNDS = 3;
const FILE = 'inventory/data/file.csv.gz';

/** Rows a second of an S3 Inventory list in CSV, as planning reads them: from the local S3 endpoint, a page after the other. */
export async function inventory(run: BenchRun): Promise<BenchResult> {
  const s3 = await run.start(() => startS3({ folder: path.join(run.folder, 's3'), buckets: [BUCKET] }));
  const lines = [...objectsOf(ROWS)].map(({ key }, index) =>
    [BUCKET, key, '100000', '2026-01-31T12:00:00.000Z', String(index).padStart(32, '0'), 'STANDARD']
      .map((value) => `"${value}"`)
      .join(','),
  );
  const body = await promisify(gzip)(`${lines.join('\n')}\n`);
  await s3.seedObjects(BUCKET, [{ key: FILE, body }]);
  const source = sourceOf(s3.settings);
  const list = {
    format: 'CSV',
    columns: ['Bucket', 'Key', 'Size', 'LastModifiedDate', 'ETag', 'StorageClass'],
    files: [FILE],
    createdAt: new Date().toISOString(),
  } as const;
  const times: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    run.signal.throwIfAborted();
    run.say(`round ${round} of ${ROUNDS}`);
    const startedAt = performance.now();
    let rows = 0;
    for (let row = 0; row < ROWS; row += PAGE_ROWS)
      rows += (await source.readInventory({ list, file: 0, row, most: PAGE_ROWS })).objects.length;
    times.push(performance.now() - startedAt);
    if (rows !== ROWS) throw new Error(`${rows} rows were read, not ${ROWS}`);
  }
  return {
    figures: [{ name: 'rows a second, CSV', value: (1000 * ROWS) / Math.min(...times), unit: 'per second' }],
    notes: [
      `One gzipped file of ${formatCount(ROWS)} rows in pages of ${formatCount(PAGE_ROWS)}, each of which reads the file from its beginning; the least time of ${ROUNDS}; the S3 endpoint included.`,
    ],
  };
}
