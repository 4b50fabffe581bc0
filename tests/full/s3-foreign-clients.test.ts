import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeOddPaths, readTree, writeTree } from '../dev/s3/file-trees.ts';
import {
  type ForeignClient,
  foreignClients,
  type RunningClient,
  startForeignClient,
} from '../dev/s3/foreign-clients.ts';
import { listEverything } from '../dev/s3/list-everything.ts';

const fileCount = 5000;
/** s3cmd sends one request after the other. */
const timeoutMs = 400_000;

describe.each(foreignClients)('$name', (client: ForeignClient) => {
  let running: RunningClient;
  beforeAll(async () => {
    if (client.command !== null) running = await startForeignClient(client, ['data']);
  });
  afterAll(async () => {
    if (client.command !== null) await running.stop();
  });
  test.skipIf(client.command === null)(
    'syncs 5,000 files there and back, then only what has changed, and deletes them all',
    async () => {
      const { endpoint, folder, run } = running;
      const source = join(folder, 'source');
      const target = join(folder, 'target');
      const inBucket = client.urlOf('data/');
      const paths = makeOddPaths(fileCount, client.canCarry);
      await writeTree(source, paths);
      await writeFile(join(source, 'large'), randomBytes(client.partBytes * 2 + 12_345));
      // S3 gives times in whole seconds: what is uploaded in the second in which it was written looks older than the file.
      await sleep(1100);
      await run(client.syncArguments(`${source}/`, inBucket));
      const listed = await listEverything(endpoint.client, 'data');
      expect([...listed.keys()].toSorted()).toEqual([...paths, 'large'].toSorted());
      await mkdir(target);
      await run(client.syncArguments(inBucket, `${target}/`));
      expect(await readTree(target)).toEqual(await readTree(source));

      const [changed = '', removed = ''] = paths;
      await writeFile(join(source, changed), 'other bytes');
      await rm(join(source, removed));
      endpoint.s3.resetRequestCounts();
      await run(client.syncArguments(`${source}/`, inBucket));
      expect(endpoint.s3.requestCounts()['PutObject']?.requests).toBe(1);
      const kept = await listEverything(endpoint.client, 'data');
      expect([kept.size, kept.has(removed), kept.get(changed)?.Size]).toEqual([fileCount, false, 11]);

      await run(client.removeAllArguments(inBucket));
      expect((await listEverything(endpoint.client, 'data')).size).toBe(0);
    },
    timeoutMs,
  );
});
