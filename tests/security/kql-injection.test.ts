import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'azure-kusto-data';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type RunningAzurite, startAzurite } from '../../dev/azurite/index.ts';
import { startKusto } from '../../dev/kusto/index.ts';
import { KqlParser } from '../../dev/kusto/kql/parser.ts';
import type { KqlNode } from '../../dev/kusto/kql/syntax.ts';
import { createKustoIngestion } from '../../shared/adapters/kusto/kusto-ingestion.ts';
import { quoteEntity, quoteText } from '../../shared/domain/kql-literal.ts';
import type { Ingestion } from '../../shared/ports/ingestion.ts';

const INJECTIONS = [
  'T | .drop table X',
  "T'] | .drop table X",
  "T']\n.drop table X",
  'T"] | .drop table ["X',
  "T\\'] | .drop table X",
  "T\\\\'] cslschema\n\n.drop table X //",
  '[X]',
  "['X']",
  'X; .drop table X',
  'X /* */ cslschema',
  'X // comment',
  'T\r\n\r\n.drop table X',
  "' or 1 == 1 or '",
  '") or true //',
  '\u2028.drop table X',
  '```.drop table X```',
  '{{table}}',
  'external_table("X")',
];

describe('on the local Kusto endpoint', () => {
  let folder: string;
  let azurite: RunningAzurite;
  let kusto: Awaited<ReturnType<typeof startKusto>>;
  let client: Client;
  let ingestion: Ingestion;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-kql-'));
    azurite = await startAzurite({ folder, inMemory: true });
    kusto = await startKusto({ azurite: azurite.settings, database: 'db' });
    const endpoint = String(kusto.settings.endpoint);
    client = new Client(endpoint);
    for (const command of [
      '.create table X (line: string)',
      '.create table T (line: string)',
      ".create table ['a table.of-many words'] (line: string)",
    ])
      await client.execute('db', command);
    ingestion = createKustoIngestion({ cluster: endpoint, credential: async () => null, retryDelayMs: 1 });
  }, 180_000);
  afterAll(async () => {
    client?.close();
    await kusto?.stop();
    await azurite?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const tables = async () => {
    const { primaryResults } = await client.execute('db', '.show tables | project TableName');
    return [...primaryResults[0]!.rows()]
      .map((row) => String(row.toJSON<{ TableName: string }>().TableName))
      .sort();
  };

  test.each(INJECTIONS)('%j is a name that nothing has', async (name) => {
    const before = await tables();
    const question = { database: 'db', table: 'T', mapping: null, format: 'json' };
    await expect(ingestion.describeTable({ ...question, table: name })).rejects.toMatchObject({
      code: expect.stringMatching(/^(tableNotFound|clusterUnavailable)$/),
    });
    await expect(ingestion.describeTable({ ...question, mapping: name })).rejects.toMatchObject({
      code: expect.stringMatching(/^(mappingNotFound|clusterUnavailable)$/),
    });
    await expect(ingestion.describeTable({ ...question, database: name })).rejects.toMatchObject({
      code: 'databaseNotFound',
    });
    expect(await ingestion.countRowsByTag({ database: 'db', table: 'T', tag: `drop-by:${name}` })).toBe(0);
    expect(await tables()).toEqual(before);
    expect(before).toContain('X');
  });

  test('a name of several words is found', async () => {
    const question = { database: 'db', table: 'a table.of-many words', mapping: null, format: 'json' };
    expect((await ingestion.describeTable(question)).batchingWindowMs).toBeGreaterThan(0);
  });
});

describe("by Microsoft's parser of KQL", () => {
  let parser: KqlParser;
  beforeAll(async () => {
    parser = new KqlParser();
    await parser.ready;
  }, 180_000);
  afterAll(() => parser?.stop());

  const tokensOf = (node: KqlNode): readonly KqlNode[] =>
    node.children.length === 0 ? [node] : node.children.flatMap(tokensOf);
  const parse = (text: string) => parser.parse({ text, database: 'd', tables: [], schemaKey: '' });

  test('any text, quoted, is one literal', async () => {
    const text = fc.oneof(
      fc.constantFrom(...INJECTIONS),
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({
        unit: fc.constantFrom("'", '"', '\\', '\n', '\r', '\t', ']', '[', '|', ' ', 'a', '\0', '`'),
        maxLength: 30,
      }),
    );
    await fc.assert(
      fc.asyncProperty(text, async (made) => {
        const quoted = quoteText(made);
        const tree = await parse(`print x = ${quoted}`);
        const literals = tokensOf(tree).filter(({ kind }) => /StringLiteral/.test(kind));
        expect(literals.map((token) => token.text)).toEqual([quoted]);
        expect(quoteEntity(made)).toBe(`[${quoted}]`);
        // Every command is one line: a second one can't begin.
        expect(quoted).not.toMatch(/[\r\n]/);
      }),
      { seed: 6, numRuns: 200, endOnFailure: true },
    );
  }, 180_000);
});
