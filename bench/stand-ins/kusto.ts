import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { startAzurite } from '../../dev/azurite/index.ts';
import { type RunningKusto, startKusto } from '../../dev/kusto/index.ts';
import { createKustoClient, type KustoClient } from '../../dev/kusto-client.ts';
import { startS3 } from '../../dev/s3/index.ts';
import { createKustoIngestion } from '../../shared/adapters/kusto/kusto-ingestion.ts';
import { createAwsSource } from '../../shared/adapters/s3/aws-source.ts';
import type { BenchRun, Figure } from '../bench.ts';

const BUCKET = 'bench';
const JSON_ROWS = 200_000;
const JSON_OBJECTS = 20;
const QUERIES = 50;
const POLL_MS = 20;

/** What is ingested: real Parquet, and JSON lines made for it. */
interface DataSet {
  readonly name: string;
  readonly table: string;
  readonly columns: string;
  readonly format: string;
  readonly rows: number;
  readonly objects: readonly { readonly key: string; readonly body: Buffer }[];
}

/** Queued ingestion from the first seal of a batch to the last commit, and the latency of queries on what was loaded. */
export async function kustoFigures(run: BenchRun): Promise<readonly Figure[]> {
  const [azurite, s3] = await Promise.all([
    run.start(() => startAzurite({ folder: path.join(run.folder, 'azurite'), inMemory: true })),
    run.start(() => startS3({ folder: path.join(run.folder, 's3-sources'), buckets: [BUCKET] })),
  ]);
  const kusto = await run.start(() => startKusto({ azurite: azurite.settings }));
  const { endpoint: cluster, database } = kusto.settings;
  const client = await createKustoClient(kusto.settings);
  const ingestion = createKustoIngestion({ cluster, credential: async () => null });
  const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings;
  const credentials = { kind: 'keys', accessKeyId, secretAccessKey } as const;
  const source = createAwsSource({ bucket: BUCKET, region, endpoint, pathStyle: true, credentials });

  const figures: Figure[] = [];
  for (const data of [await flights(), jsonLines()]) {
    run.say(`Kusto: ${data.name}`);
    await client.command(`.create table ${data.table} (${data.columns})`);
    await s3.seedObjects(BUCKET, data.objects);
    for (const { key, body } of data.objects) {
      const { url } = await source.presignGet({ key, version: 'e:any', lifetimeMs: 3_600_000 });
      await ingestion.post({
        sourceId: randomUUID(),
        url,
        rawSizeBytes: body.byteLength,
        database,
        table: data.table,
        format: data.format,
        mapping: null,
        ignoreFirstRecord: false,
        tags: [],
      });
    }
    figures.push(...(await measureIngestion(run, kusto, client, data)));
  }
  figures.push(...(await measureQueries(run, client)));
  client.close();
  await kusto.stop();
  await s3.stop();
  await azurite.stop();
  return figures;
}

async function flights(): Promise<DataSet> {
  const file = path.join(import.meta.dirname, '../../node_modules/vega-datasets/data/flights-3m.parquet');
  return {
    name: '3,000,000 rows of Parquet, 13 MB',
    table: 'Flights3m',
    columns: "['date']:datetime, delay:long, distance:long, origin:string, destination:string",
    format: 'parquet',
    rows: 3_000_000,
    objects: [{ key: 'flights-3m.parquet', body: await readFile(file) }],
  };
}

function jsonLines(): DataSet {
  const rowsPerObject = JSON_ROWS / JSON_OBJECTS;
  const line = (n: number) =>
    `${JSON.stringify({ n, at: new Date(n * 1000).toISOString(), name: `row ${n}`, share: n / 7, tags: { n } })}\n`;
  const objects = Array.from({ length: JSON_OBJECTS }, (_, index) => ({
    key: `lines/${index}.json`,
    body: Buffer.from(
      Array.from({ length: rowsPerObject }, (_unused, row) => line(index * rowsPerObject + row)).join(''),
    ),
  }));
  return {
    name: '200,000 rows of JSON lines, 20 objects',
    table: 'Lines',
    columns: 'n:long, at:datetime, name:string, share:real, tags:dynamic',
    format: 'json',
    rows: JSON_ROWS,
    objects,
  };
}

async function measureIngestion(
  run: BenchRun,
  kusto: RunningKusto,
  client: KustoClient,
  { name, table, rows, objects }: DataSet,
): Promise<readonly Figure[]> {
  // One batch for all: none may be sealed while a message is still in its queue.
  await until(run, () => kusto.control.stats().heldMessages === objects.length);
  const startedAt = performance.now();
  kusto.control.flush();
  await until(run, () =>
    kusto.control.batches().sealed.some((batch) => batch.table === table && batch.committedAt !== null),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const loaded = await client.countRows(table);
  if (loaded !== rows) throw new Error(`${table} has ${loaded} rows instead of ${rows}`);
  const bytes = objects.reduce((sum, { body }) => sum + body.byteLength, 0);
  return [
    { name: `Kusto: rows, ${name}`, value: rows / seconds, unit: 'per second' },
    { name: `Kusto: MB, ${name}`, value: bytes / 1e6 / seconds, unit: 'per second' },
  ];
}

async function measureQueries(run: BenchRun, client: KustoClient): Promise<readonly Figure[]> {
  const queries = {
    count: 'Flights3m | count',
    'summarize of 3,000,000 rows': 'Flights3m | summarize count(), avg(delay) by bin(distance, 500)',
    'where, top of 200,000 rows': 'Lines | where name has "row" and share > 100 | top 10 by n',
  };
  const figures: Figure[] = [];
  for (const [name, text] of Object.entries(queries)) {
    run.say(`Kusto: ${name}`);
    const times: number[] = [];
    for (let index = 0; index < QUERIES; index += 1) {
      run.signal.throwIfAborted();
      const startedAt = performance.now();
      await client.query(text);
      times.push(performance.now() - startedAt);
    }
    times.sort((a, b) => a - b);
    figures.push({ name: `Kusto: median latency, ${name}`, value: times[QUERIES / 2]!, unit: 'ms' });
  }
  return figures;
}

async function until(run: BenchRun, isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    run.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
