import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

import { AzureNamedKeyCredential, generateTableSas, TableClient } from '@azure/data-tables';
import { QueueSASPermissions, QueueServiceClient } from '@azure/storage-queue';

import { startAzurite } from '../dev/azurite/index.ts';
import { encodeMessage, makeIngestionMessage } from '../shared/adapters/kusto/ingestion-message.ts';
import { createKustoIngestion } from '../shared/adapters/kusto/kusto-ingestion.ts';
import { createAzureState } from '../shared/adapters/state/azure-state.ts';
import { createMemoryState } from '../shared/adapters/state/memory-state.ts';
import type { IngestionRequest } from '../shared/ports/ingestion.ts';
import { allOf } from '../shared/usecases/bounded.ts';
import { ingestUnit } from '../shared/usecases/ingest-unit.ts';
import type { BenchResult, BenchRun } from './bench.ts';
import { planUnits, startBucket } from './planned-units.ts';

/** A round. Few, as Azurite rebuilds the index of a queue at each message; the queues are emptied between rounds. */
const MESSAGES = 400;
const ROUNDS = 8;
/** `concurrency.postsInFlight` of a load by its default. */
const AT_ONCE = 16;
/** `concurrency.objectsPerActivity` of a load by its default. */
const OBJECTS_PER_UNIT = 100;
const UNITS_AT_ONCE = 2;
/** The loop's time over ours is at least 0.8 when ours over the loop's is at most this. */
const MOST_TIME = 1 / 0.8;

const WAYS = ['post', 'unit', 'unit in memory', 'loop'] as const;
type Way = (typeof WAYS)[number];

/** Prepares the work of a round, which is then timed. */
type Round = () => () => Promise<void>;

/**
 * Posting by the direct path, and by the activity around it, beside a plain loop over the SDKs: a status entity and a
 * message for each object. All in this process, in turns, into queues and tables in Azurite that nobody reads.
 */
export async function posting(run: BenchRun): Promise<BenchResult> {
  const azurite = await run.start(() =>
    startAzurite({ folder: path.join(run.folder, 'azurite'), inMemory: true }),
  );
  const service = QueueServiceClient.fromConnectionString(azurite.connectionString);
  const queues = ['ready-0', 'ready-1', 'ready-2', 'ready-3'].map((name) => service.getQueueClient(name));
  for (const queue of queues) await queue.create();
  const table = TableClient.fromConnectionString(azurite.connectionString, 'status', {
    allowInsecureConnection: true,
  });
  await table.createTable();
  const statusTableUrl = signedTable(azurite);
  const resources = [
    ...queues.map((queue) => ['SecuredReadyForAggregationQueue', signedQueue(queue)] as const),
    ['IngestionsStatusTable', statusTableUrl] as const,
  ];
  const cluster = await run.start(() => startCluster(resources));
  const ingestion = createKustoIngestion({ cluster: cluster.url, credential: async () => null });
  await ingestion.warmUp();

  const looping = async (request: IngestionRequest, index: number) => {
    const createdAt = new Date();
    await table.createEntity({
      partitionKey: request.sourceId,
      rowKey: request.sourceId,
      Status: 'Pending',
      IngestionSourceId: request.sourceId,
      IngestionSourcePath: request.url.split('?')[0]!,
      Database: request.database,
      Table: request.table,
      UpdatedOn: createdAt.toISOString(),
    });
    const authorizationContext = 'token';
    await queues[index % queues.length]!.sendMessage(
      encodeMessage(
        makeIngestionMessage({
          request,
          statusTableUrl,
          authorizationContext,
          applicationName: 'bench',
          createdAt,
        }),
      ),
    );
  };
  const posting = async (request: IngestionRequest) => {
    const { result } = await ingestion.post(request);
    if (result !== 'accepted') throw new Error(`A post was ${result}`);
  };
  const ofRequests =
    (post: (request: IngestionRequest, index: number) => Promise<void>): Round =>
    () => {
      const requests = Array.from({ length: MESSAGES }, makeRequest);
      return async () => void (await allOf(requests, AT_ONCE, post));
    };

  run.say('planning');
  const s3 = await startBucket(run, MESSAGES * (ROUNDS + 1));
  // Two activities at a time, as a host has some, with as many posts under way together as the others have.
  const ofUnits = async (state: Parameters<typeof planUnits>[1]): Promise<Round> => {
    const planned = await planUnits(s3, state, AT_ONCE / UNITS_AT_ONCE);
    const loader = { ...planned.loader, ingestion: async () => ingestion };
    const units = [...planned.units];
    return () => {
      const some = units.splice(0, MESSAGES / OBJECTS_PER_UNIT);
      return async () => {
        await allOf(some, UNITS_AT_ONCE, async (unit) => {
          const answer = await ingestUnit(loader, unit);
          if (!answer.ok) throw new Error(`A unit has failed: ${answer.code}`);
        });
      };
    };
  };
  const azureState = createAzureState({
    storage: { connectionString: azurite.connectionString },
    namePrefix: 'bench',
  });
  await azureState.ensureCreated();

  const rounds: Readonly<Record<Way, Round>> = {
    post: ofRequests(posting),
    unit: await ofUnits(azureState),
    'unit in memory': await ofUnits(createMemoryState()),
    loop: ofRequests(looping),
  };
  const spent: Record<Way, number> = { post: 0, unit: 0, 'unit in memory': 0, loop: 0 };
  const measure = async (way: Way) => {
    const work = rounds[way]();
    const startedAt = performance.now();
    await work();
    const ms = performance.now() - startedAt;
    const waiting = await Promise.all(queues.map((queue) => queue.getProperties()));
    const messages = waiting.reduce((sum, one) => sum + (one.approximateMessagesCount ?? 0), 0);
    if (messages !== MESSAGES) throw new Error(`${messages} messages were posted, not ${MESSAGES}`);
    for (const queue of queues) await queue.clearMessages();
    return ms;
  };
  // The first of each opens connections.
  for (const way of WAYS) await measure(way);
  for (let round = 0; round < ROUNDS; round += 1) {
    run.say(`round ${round + 1} of ${ROUNDS}`);
    const first = round % WAYS.length;
    for (const way of [...WAYS.slice(first), ...WAYS.slice(0, first)]) spent[way] += await measure(way);
  }
  const perSecond = (ms: number) => (1000 * MESSAGES * ROUNDS) / ms;
  return {
    figures: [
      {
        name: 'time of Ingestion.post beside the loop',
        value: spent.post / spent.loop,
        unit: 'ratio',
        most: MOST_TIME,
      },
      {
        name: 'time of ingestUnit, state in memory, beside the loop',
        value: spent['unit in memory'] / spent.loop,
        unit: 'ratio',
        most: MOST_TIME,
      },
      { name: 'time of ingestUnit beside the loop', value: spent.unit / spent.loop, unit: 'ratio' },
      { name: 'objects a second, Ingestion.post', value: perSecond(spent.post), unit: 'per second' },
      {
        name: 'objects a second, ingestUnit, state in memory',
        value: perSecond(spent['unit in memory']),
        unit: 'per second',
      },
      { name: 'objects a second, ingestUnit', value: perSecond(spent.unit), unit: 'per second' },
      { name: 'objects a second, loop', value: perSecond(spent.loop), unit: 'per second' },
    ],
    notes: [
      `${MESSAGES} messages a round, the sum of ${ROUNDS} rounds of each in turns, ${AT_ONCE} at a time; each writes its status entity first.`,
      `ingestUnit: the whole activity, ${UNITS_AT_ONCE} of ${OBJECTS_PER_UNIT} objects at a time with half of the posts each: reading the run and its manifest, signing, intents in the ledger, Ingestion.post, and what became of it in the ledger, which is in memory or in the same Azurite.`,
    ],
  };
}

function makeRequest(): IngestionRequest {
  return {
    sourceId: randomUUID(),
    url: `https://bucket.s3.eu-central-1.amazonaws.com/in/${randomUUID()}.json.gz?X-Amz-Signature=${'0'.repeat(64)}`,
    rawSizeBytes: 4096,
    database: 'db',
    table: 'Bench',
    format: 'json',
    mapping: null,
    ignoreFirstRecord: false,
    tags: ['drop-by:bench/bench.1/run'],
  };
}

type Queue = ReturnType<QueueServiceClient['getQueueClient']>;

const END = () => new Date(Date.now() + 6 * 3_600_000);

function signedQueue(queue: Queue): string {
  return queue.generateSasUrl({ permissions: QueueSASPermissions.parse('a'), expiresOn: END() });
}

function signedTable(azurite: Awaited<ReturnType<typeof startAzurite>>): string {
  const { accountName, accountKey, tableEndpoint } = azurite.settings;
  const sas = generateTableSas('status', new AzureNamedKeyCredential(accountName, accountKey), {
    permissions: { add: true, query: true },
    expiresOn: END(),
  });
  return `${tableEndpoint}/status?${sas}`;
}

/** A cluster that hands out resources and does nothing else. */
async function startCluster(
  resources: readonly (readonly [kind: string, url: string])[],
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') return void response.writeHead(404).end();
    let body = '';
    for await (const chunk of request) body += chunk;
    const isToken = (JSON.parse(body) as { csl: string }).csl.includes('identity token');
    const names = isToken ? ['AuthorizationContext'] : ['ResourceTypeName', 'StorageRoot'];
    const Columns = names.map((ColumnName) => ({ ColumnName, DataType: 'String', ColumnType: 'string' }));
    const Rows = isToken ? [['token']] : resources;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ Tables: [{ TableName: 'Table_0', Columns, Rows }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
