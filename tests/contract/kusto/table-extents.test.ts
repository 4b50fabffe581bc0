import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createKustoIngestion } from '../../../shared/adapters/kusto/kusto-ingestion.ts';
import { codeOf } from './ingestion-contract.ts';
import { type ScriptedCluster, startScriptedCluster } from './scripted-cluster.ts';

const question = { database: 'db', table: "it's", tag: "drop-by:app/it's.1/run" };

describe('extents of a tag, on the wire', () => {
  let cluster: ScriptedCluster;
  beforeAll(async () => {
    cluster = await startScriptedCluster();
  });
  beforeEach(() => cluster.reset());
  afterAll(() => cluster?.stop());

  const connect = () =>
    createKustoIngestion({ cluster: cluster.url, credential: async () => null, retryDelayMs: 1 });

  test('are listed with all their tags', async () => {
    const id = randomUUID();
    cluster.on(/^\.show table \['it\\'s'\] extents where tags has 'drop-by:app\/it\\'s\.1\/run' \| project/, {
      rows: [{ ExtentId: id, RowCount: 12, Tags: `${question.tag}\r\ndrop-by:other ingest-by:x` }],
    });
    expect(await connect().listExtents(question)).toEqual([
      { id, rows: 12, tags: [question.tag, 'drop-by:other', 'ingest-by:x'] },
    ]);
  });

  test('are dropped by id and tag, some hundred at a time', async () => {
    cluster.on(/^\.drop extents/, { rows: [] });
    const ids = Array.from({ length: 450 }, () => randomUUID());
    await connect().dropExtents({ ...question, extentIds: ids });
    expect(cluster.commands).toHaveLength(3);
    expect(cluster.commands[0]).toMatch(
      /^\.drop extents <\| \.show table \['it\\'s'\] extents \([0-9a-f-]{36}(, [0-9a-f-]{36}){199}\) where tags has 'drop-by:app\/it\\'s\.1\/run'$/,
    );
    expect(cluster.commands.flatMap((command) => command.match(/[0-9a-f-]{36}/g) ?? [])).toEqual(ids);
  });

  test('nothing but ids gets into a command, and without one nothing is sent', async () => {
    await connect().dropExtents({ ...question, extentIds: [') | .drop table T', '*', ''] });
    expect(cluster.commands).toEqual([]);
  });

  test('are not dropped without Table Admin; the message holds the command that grants it', async () => {
    cluster.on(/^\.drop extents/, { status: 403, message: 'Principal is not authorized' });
    const dropping = connect().dropExtents({ ...question, extentIds: [randomUUID()] });
    await expect(dropping).rejects.toMatchObject({
      code: 'undoNotPermitted',
      message: expect.stringContaining(".add table ['it\\'s'] admins ('aadapp=") as unknown,
    });
  });

  test('a drop that the cluster could not carry out for the moment is sent again', async () => {
    let times = 0;
    cluster.on(/^\.drop extents/, () => {
      times += 1;
      return times < 3 ? { status: 503 } : { rows: [] };
    });
    await connect().dropExtents({ ...question, extentIds: [randomUUID()] });
    expect(times).toBe(3);
  });
});

describe('what depends on a table, on the wire', () => {
  let cluster: ScriptedCluster;
  beforeAll(async () => {
    cluster = await startScriptedCluster();
  });
  beforeEach(() => cluster.reset());
  afterAll(() => cluster?.stop());

  const ask = () =>
    createKustoIngestion({
      cluster: cluster.url,
      credential: async () => null,
      retryDelayMs: 1,
    }).listDependents({ database: 'db', table: 'Events' });
  const policyOf = (...sources: readonly string[]) =>
    JSON.stringify(sources.map((Source) => ({ IsEnabled: false, Source, Query: 'f()' })));

  test('are update policies whose source it is, enabled or not, and materialized views', async () => {
    cluster.on(/^\.show table \* policy update$/, {
      rows: [
        { EntityName: '[db].[Derived]', Policy: policyOf('Other', 'Events') },
        { EntityName: '[db].[None]', Policy: policyOf('Other') },
        { EntityName: '[db].[Empty]', Policy: 'null' },
        { EntityName: '[db].[Unread]', Policy: '{' },
      ],
    });
    cluster.on(/^\.show materialized-views$/, {
      rows: [
        { Name: 'Latest', SourceTable: 'Events' },
        { Name: 'Others', SourceTable: 'Other' },
      ],
    });
    expect(await ask()).toEqual([
      'the update policy of [db].[Derived]',
      'the update policy of [db].[Unread]',
      'the materialized view Latest',
    ]);
  });

  test.each([/^\.show materialized-views$/, /^\.show table \* policy update$/])(
    'is a reason against an undo when the cluster answers %s alone and does not take the other question',
    async (answered) => {
      cluster.on(answered, { rows: [] });
      await expect(ask()).rejects.toMatchObject({
        code: 'undoInexact',
        permanent: true,
        message: expect.stringContaining('HTTP 400') as unknown,
      });
    },
  );

  test('is waited for when the cluster is away', async () => {
    cluster.on(/^\.show materialized-views$/, { status: 503 });
    cluster.on(/^\.show table \* policy update$/, { rows: [] });
    expect(await codeOf(ask())).toBe('clusterUnavailable');
  });

  test('is an error when the identity may not see it', async () => {
    cluster.on(/^\.show table \* policy update$/, { status: 403 });
    cluster.on(/^\.show materialized-views$/, { rows: [] });
    expect(await codeOf(ask())).toBe('clusterAccessDenied');
  });
});
