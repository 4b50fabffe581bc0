import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'azure-kusto-data';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import type { RunningPart } from '../../../dev/part.ts';
import { type RunningS3, startS3 } from '../../../dev/s3/index.ts';
import { createKustoIngestion } from '../../../shared/adapters/kusto/kusto-ingestion.ts';
import { createAwsSource } from '../../../shared/adapters/s3/aws-source.ts';
import { pathOf } from '../../../shared/domain/object-path.ts';
import { makeRequest, testIngestion } from './ingestion-contract.ts';

const module = new URL('../../../dev/kusto/index.ts', import.meta.url);

interface Local {
  readonly azurite: RunningAzurite;
  readonly kusto: RunningPart;
  readonly folder: string;
  stop(): Promise<void>;
}

async function startLocal(): Promise<Local> {
  const { startKusto } = (await import(module.href)) as {
    startKusto: (options: Readonly<Record<string, unknown>>) => Promise<RunningPart>;
  };
  const folder = await mkdtemp(join(tmpdir(), 'kusto-local-'));
  const azurite = await startAzurite({ folder: join(folder, 'azurite'), inMemory: true });
  const kusto = await startKusto({ azurite, folder: join(folder, 'kusto'), database: 'db' });
  const client = new Client(String(kusto.settings['endpoint']));
  const policy = JSON.stringify({ MaximumBatchingTimeSpan: '00:00:10', MaximumNumberOfItems: 1 });
  const mapping = JSON.stringify([
    { Column: 'Id', DataType: 'long', Properties: { Ordinal: '0' } },
    { Column: 'Name', DataType: 'string', Properties: { Ordinal: '1' } },
  ]);
  for (const command of [
    '.create table Events (Id: long, Name: string)',
    `.alter table Events policy ingestionbatching @'${policy}'`,
    `.create table Events ingestion csv mapping 'events' '${mapping}'`,
  ]) {
    await client.execute('db', command);
  }
  return {
    azurite,
    kusto,
    folder,
    async stop() {
      await kusto.stop();
      await azurite.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const byText = (a: readonly unknown[], b: readonly unknown[]) => (String(a) < String(b) ? -1 : 1);

const connect = ({ kusto }: Local) =>
  createKustoIngestion({ cluster: String(kusto.settings['endpoint']), credential: async () => null });

if (!existsSync(module) && process.env['CI'] === undefined) {
  test.skip('dev/kusto is not there', () => undefined);
} else {
  testIngestion('the Kusto adapter on the local Kusto endpoint', async () => {
    const local = await startLocal();
    return { ingestion: connect(local), stop: () => local.stop() };
  });

  describe('from the local S3 endpoint into the local Kusto endpoint', () => {
    let local: Local;
    let s3: RunningS3;
    beforeAll(async () => {
      local = await startLocal();
      s3 = await startS3({ folder: join(local.folder, 's3'), buckets: ['events'] });
      await s3.seedObjects('events', [{ key: 'a b+ü.csv', body: 'Id,Name\n1,one\n2,two\n' }]);
    });
    afterAll(async () => {
      await s3?.stop();
      await local?.stop();
    });

    test('a signed object is loaded, reported and counted; a missing one is reported', async () => {
      const { accessKeyId, secretAccessKey, endpoint, region } = s3.settings;
      const credentials = { kind: 'keys', accessKeyId, secretAccessKey } as const;
      const source = createAwsSource({ bucket: 'events', region, endpoint, pathStyle: true, credentials });
      const ingestion = connect(local);
      const tag = "drop-by:it's/one";
      const sign = async (key: string) =>
        (await source.presignGet({ key, version: 'e:x', lifetimeMs: 600_000 })).url;
      const shared = { mapping: 'events', ignoreFirstRecord: true, tags: [tag] };
      const good = makeRequest({ ...shared, url: await sign('a b+ü.csv') });
      const bad = makeRequest({ ...shared, url: await sign('missing.csv') });
      for (const request of [good, bad]) {
        expect(await ingestion.post(request)).toEqual({ result: 'accepted' });
      }
      const statusOf = async (id: string) => (await ingestion.readStatuses([id])).get(id);
      const wait = { timeout: 30_000, interval: 200 };
      await expect.poll(() => statusOf(good.sourceId), wait).toMatchObject({ status: 'Succeeded' });
      await expect
        .poll(() => statusOf(bad.sourceId), wait)
        .toMatchObject({
          status: 'Failed',
          errorCode: 'Download_SourceNotFound',
        });
      const question = { database: 'db', table: 'Events', tag };
      expect(await ingestion.countRowsByTag(question)).toBe(2);

      const extents = await ingestion.listExtents(question);
      expect(extents).toMatchObject([{ rows: 2, tags: [tag] }]);
      const extentIds = extents.map(({ id }) => id);
      // Ids alone do not do: the extent must carry the tag.
      await ingestion.dropExtents({ ...question, tag: 'drop-by:other', extentIds });
      expect(await ingestion.countRowsByTag(question)).toBe(2);
      await ingestion.dropExtents({ ...question, extentIds });
      expect(await ingestion.listExtents(question)).toEqual([]);
      expect(await ingestion.countRowsByTag(question)).toBe(0);
      await ingestion.dropExtents({ ...question, extentIds });
    });

    test('rows are counted by the path of their object, also of some keys only, whatever these hold', async () => {
      const keys = ['plain', 'a b+c', 'größe', "it's 100%", 'k=v#1', 'f;g', 'a//b', 'x\n.y', '(z)?*[^$]'].map(
        (name) => `in/${name}.csv`,
      );
      await s3.seedObjects(
        'events',
        keys.map((key) => ({ key, body: '1,one\n2,two\n' })),
      );
      const client = new Client(String(local.kusto.settings['endpoint']));
      const mapping = JSON.stringify([
        { Column: 'Id', DataType: 'long', Properties: { Ordinal: '0' } },
        { Column: 'Name', DataType: 'string', Properties: { Transform: 'SourceLocation' } },
      ]);
      await client.execute('db', `.create table Events ingestion csv mapping 'paths' '${mapping}'`);
      const { accessKeyId, secretAccessKey, endpoint, region } = s3.settings;
      const credentials = { kind: 'keys', accessKeyId, secretAccessKey } as const;
      const source = createAwsSource({ bucket: 'events', region, endpoint, pathStyle: true, credentials });
      const urlOf = async (key: string) =>
        (await source.presignGet({ key, version: 'e:x', lifetimeMs: 600_000 })).url;
      const ingestion = connect(local);
      const [byPath, noPath] = ['drop-by:by-path', 'drop-by:no-path'];
      const requests = [
        ...(await Promise.all(
          keys.map(async (key) => makeRequest({ mapping: 'paths', tags: [byPath], url: await urlOf(key) })),
        )),
        makeRequest({ mapping: 'events', tags: [noPath], url: await urlOf(keys[0]!) }),
      ];
      for (const request of requests) await ingestion.post(request);
      const ids = requests.map(({ sourceId }) => sourceId);
      const countDone = async () =>
        [...(await ingestion.readStatuses(ids)).values()].filter((one) => one?.status === 'Succeeded').length;
      await expect.poll(countDone, { timeout: 30_000, interval: 200 }).toBe(ids.length);

      const question = { database: 'db', table: 'Events', column: 'Name', md5Prefix: '' };
      const pathsOf = async (tag: string, only?: readonly string[]) => {
        const rows = await ingestion.countRowsByPath({
          ...question,
          tag,
          ...(only === undefined ? {} : { keys: only }),
        });
        return [...rows!].map(([url, count]) => [pathOf(url), count]);
      };
      const all = keys.map((key) => [`/events/${key}`, 2]);
      expect((await pathsOf(byPath)).sort(byText)).toEqual(all.toSorted(byText));
      for (const [index, key] of keys.entries()) expect(await pathsOf(byPath, [key])).toEqual([all[index]]);
      expect((await pathsOf(byPath, keys)).sort(byText)).toEqual(all.toSorted(byText));
      expect(await pathsOf(byPath, ['lain.csv', 'in/none.csv'])).toEqual([]);
      // Rows without a URL are told, as they may be anybody's.
      expect(await pathsOf(noPath, ['in/none.csv'])).toEqual([['', 2]]);
    });
  });
}
