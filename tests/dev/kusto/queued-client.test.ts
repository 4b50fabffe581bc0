import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { KustoConnectionStringBuilder } from 'azure-kusto-data';
import {
  BlobDescriptor,
  DataFormat,
  IngestClient,
  IngestionProperties,
  IngestStatusQueues,
  JsonColumnMapping,
  ManagedStreamingIngestClient,
  ReportLevel,
  ReportMethod,
  StreamDescriptor,
} from 'azure-kusto-ingest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

describe.each(['single', 'multi'] as const)('azure-kusto-ingest with the profile %s', (profile) => {
  let local: LocalKusto;
  let client: IngestClient;
  let folder: string;
  beforeAll(async () => {
    local = await startLocalKusto({ profile });
    client = new IngestClient(
      new KustoConnectionStringBuilder(local.kusto.settings.endpoint),
      undefined,
      false,
    );
    folder = await mkdtemp(join(tmpdir(), 'kusto-client-'));
    await local.rows('.create table Events (id:long, name:string)');
  });
  afterAll(async () => {
    client?.close();
    await local?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const properties = (format: DataFormat, more: object = {}) =>
    new IngestionProperties({ database: 'local', table: 'Events', format, ...more });

  test('files, whose names lie about their compression, streams with a mapping, and blobs', async () => {
    await writeFile(join(folder, 'plain.csv'), '1,plain\n');
    await writeFile(join(folder, 'zipped.csv.gz'), gzipSync('2,zipped\n'));
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    await connection.run(
      `copy (select 3::bigint as id, 'parquet' as name) to '${join(folder, 'rows.parquet')}'`,
    );
    connection.closeSync();
    instance.closeSync();
    // The client calls it rows.parquet.gz, and does not compress it.
    for (const [name, format] of [
      ['plain.csv', DataFormat.CSV],
      ['zipped.csv.gz', DataFormat.CSV],
      ['rows.parquet', DataFormat.PARQUET],
    ] as const) {
      await client.ingestFromFile(join(folder, name), properties(format));
    }
    const mapping = [
      JsonColumnMapping.withPath('id', '$.i', 'long'),
      JsonColumnMapping.withConstantValue('name', 'constant', 'string'),
    ];
    await client.ingestFromStream(
      new StreamDescriptor(Readable.from([Buffer.from('{"i":4}\n')])),
      properties(DataFormat.JSON, { ingestionMappingColumns: mapping }),
    );
    local.sources.answers.set('/b.json', '[{"id":5,"name":"blob"}]');
    await client.ingestFromBlob(
      new BlobDescriptor(`${local.sources.url}/b.json?sig=1`, 30, randomUUID()),
      properties(DataFormat.MULTIJSON, { dropByTags: ['run1'], additionalTags: ['x'] }),
    );
    await local.load(5);
    expect(await local.rows('Events | order by id asc')).toEqual([
      [1, 'plain'],
      [2, 'zipped'],
      [3, 'parquet'],
      [4, 'constant'],
      [5, 'blob'],
    ]);
    expect(
      await local.rows(".show table Events extents where tags has 'drop-by:run1' | project RowCount"),
    ).toEqual([[1]]);
  });

  test('the status queues tell success and failure', async () => {
    const queues = new IngestStatusQueues(client);
    local.sources.answers.set('/good.csv', '6,good\n');
    const [good, bad] = [randomUUID(), randomUUID()];
    const reported = { reportLevel: ReportLevel.FailuresAndSuccesses, reportMethod: ReportMethod.Queue };
    for (const [id, name] of [
      [good, 'good.csv'],
      [bad, 'gone.csv'],
    ] as const) {
      const blob = new BlobDescriptor(`${local.sources.url}/${name}?sig=1`, 30, id);
      await client.ingestFromBlob(blob, properties(DataFormat.CSV, reported));
    }
    await local.load(2);
    const popped = async (which: 'success' | 'failure') => {
      const found = [];
      // With one queue the client takes one message at a time, with more it takes none when asked for one.
      for (let turn = 0; turn < 5; turn += 1) found.push(...(await queues[which].pop(4)));
      return found.map((message) => message as unknown as Record<string, unknown>);
    };
    expect(await popped('success')).toContainEqual(
      expect.objectContaining({ IngestionSourceId: good, Table: 'Events' }),
    );
    expect(await popped('failure')).toEqual([
      expect.objectContaining({
        IngestionSourceId: bad,
        ErrorCode: 'Download_SourceNotFound',
        FailureStatus: 'Permanent',
        IngestionSourcePath: `${local.sources.url}/gone.csv`,
      }),
    ]);
  });

  // The client waits three seconds before it queues.
  test.runIf(profile === 'multi')(
    'managed streaming streams where the policy allows it, and queues what is refused',
    async () => {
      const kcsb = new KustoConnectionStringBuilder(local.kusto.settings.endpoint);
      const managed = new ManagedStreamingIngestClient(kcsb, kcsb);
      await local.rows('.alter table Events policy streamingingestion enable');
      const send = (text: string) =>
        managed.ingestFromStream(
          new StreamDescriptor(Readable.from([Buffer.from(text)])),
          properties(DataFormat.CSV),
        );
      await send('7,streamed\n');
      expect(await local.rows('Events | where id == 7')).toEqual([[7, 'streamed']]);
      local.kusto.control.faults.addRequestFault({
        kind: 'streaming',
        action: 'status',
        status: 503,
        count: 3,
      });
      await send('8,queued\n');
      await local.load(1);
      managed.close();
      expect(await local.rows('Events | where id == 8')).toEqual([[8, 'queued']]);
    },
  );
});
