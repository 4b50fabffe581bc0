import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keysWithoutFile, makeOddPaths, readTree, writeTree } from './file-trees.ts';
import { type ForeignClient, type RunningClient, startForeignClient } from './foreign-clients.ts';
import { listEverything } from './list-everything.ts';
import { beginUpload } from './running-endpoint.ts';

const fileCount = 46;
/** The programs start slowly on a machine that has other work. */
const timeoutMs = 180_000;

/**
 * What every foreign client is held to. Each client has a test file of its own, so that they run at the same time: the
 * AWS CLI alone takes as long as all others together.
 */
export function describeForeignClient(client: ForeignClient): void {
  describe(client.name, { timeout: timeoutMs }, () => defineTests(client));
}

function defineTests(client: ForeignClient): void {
  let running: RunningClient;
  beforeAll(async () => {
    if (client.command !== null) running = await startForeignClient(client, ['data', 'odd', 'copied']);
  });
  afterAll(async () => {
    if (client.command !== null) await running.stop();
  });
  const foreignTest = test.skipIf(client.command === null);

  foreignTest(
    'syncs files of every name there and back, byte for byte, with a large one in parts',
    async () => {
      const { endpoint, folder, run } = running;
      const source = join(folder, 'source');
      const target = join(folder, 'target');
      const paths = makeOddPaths(fileCount, client.canCarry);
      await writeTree(source, paths);
      await writeFile(join(source, 'large'), randomBytes(client.partBytes * 2 + 12_345));
      await writeFile(join(source, 'empty'), '');
      await run(client.syncArguments(`${source}/`, client.urlOf('data/sync/')));
      const listed = await listEverything(endpoint.client, 'data');
      expect([...listed.keys()].toSorted()).toEqual(
        [...paths, 'large', 'empty'].map((path) => `sync/${path}`).toSorted(),
      );
      expect(listed.get('sync/large')?.ETag).toMatch(/-3"$/);
      await mkdir(target);
      await run(client.syncArguments(client.urlOf('data/sync/'), `${target}/`));
      expect(await readTree(target)).toEqual(await readTree(source));
    },
  );

  foreignTest('copies keys that no file can have and a large object from bucket to bucket', async () => {
    const { endpoint, run } = running;
    const keys = keysWithoutFile.filter(client.canCarry);
    const large = randomBytes(client.partBytes * 2);
    await endpoint.s3.seedObjects('odd', [
      ...keys.map((key) => ({ key, body: `bytes of ${key}` })),
      { key: 'large', body: large },
    ]);
    await run(client.syncArguments(client.urlOf('odd/'), client.urlOf('copied/')));
    const copied = await listEverything(endpoint.client, 'copied');
    expect([...copied.keys()].toSorted()).toEqual([...keys, 'large'].toSorted());
    const got = await endpoint.client.send(new GetObjectCommand({ Bucket: 'copied', Key: 'large' }));
    expect(large.equals((await got.Body?.transformToByteArray()) ?? large.subarray(1))).toBe(true);
    copied.delete('large');
    for (const [key, { ETag }] of copied)
      expect(ETag).toBe(`"${createHash('md5').update(`bytes of ${key}`).digest('hex')}"`);
    const printed = client.canCarry('../up') ? '../up' : 'file/below';
    expect(await run(client.printArguments(client.urlOf(`odd/${printed}`)))).toBe(`bytes of ${printed}`);
    await run(client.removeAllArguments(client.urlOf('copied/')));
    expect((await listEverything(endpoint.client, 'copied')).size).toBe(0);
  });

  foreignTest('does what else the endpoint is said to do for it', async () => {
    const { endpoint, run } = running;
    await endpoint.s3.seedObjects('data', [{ key: 'k', body: 'x' }]);
    const { UploadId = '' } = await beginUpload(endpoint, 'under-way');
    endpoint.s3.resetRequestCounts();
    for (const call of client.otherCalls(UploadId)) await run(call);
    expect(Object.keys(endpoint.s3.requestCounts())).toEqual(
      expect.arrayContaining([...client.otherOperations]),
    );
  });

  const { presignArguments } = client;
  if (presignArguments === null) return;
  foreignTest('signs URLs that read the object', async () => {
    const { endpoint, run } = running;
    await endpoint.s3.seedObjects('data', [{ key: 'signed/a b+ü.csv', body: 'a,b' }]);
    const printed = await run(presignArguments(client.urlOf('data/signed/a b+ü.csv')));
    const response = await fetch(printed.trim());
    expect([response.status, await response.text()]).toEqual([200, 'a,b']);
  });
}
