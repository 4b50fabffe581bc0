import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TableClient } from '@azure/data-tables';
import { BlobDescriptor, IngestClient, IngestionMappingKind } from 'azure-kusto-ingest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clusterErrorOf } from '../../../shared/adapters/kusto/cluster-error.ts';
import { createKustoIngestion } from '../../../shared/adapters/kusto/kusto-ingestion.ts';
import type { LoaderError } from '../../../shared/errors/loader-error.ts';
import { codeOf, makeRequest, testIngestion } from './ingestion-contract.ts';
import { type ScriptedCluster, startScriptedCluster } from './scripted-cluster.ts';

const NOT_FOUND = (kind: string) => ({
  status: 400,
  message: `Entity ID 'x' of kind '${kind}' was not found.`,
});

const connect = (
  cluster: ScriptedCluster,
  more: { now?: () => Date; postTimeoutMs?: number; clusterTimeoutMs?: number } = {},
) => createKustoIngestion({ cluster: cluster.url, credential: async () => null, retryDelayMs: 1, ...more });

function scriptTable(cluster: ScriptedCluster): void {
  const policy = (span: string) => JSON.stringify({ MaximumBatchingTimeSpan: span });
  cluster.on(/^\.show table .* cslschema$/, NOT_FOUND('Table'));
  cluster.on(/^\.show table \['Events'\] cslschema$/, { rows: [{ TableName: 'Events', Schema: 'a:long' }] });
  cluster.on(/^\.show (table|database) .* mapping /, { rows: [] });
  cluster.on(/^\.show table \['Events'\] ingestion csv mapping 'events'$/, { rows: [{ Name: 'events' }] });
  cluster.on(/policy ingestionbatching$/, { rows: [{ Policy: policy('00:00:10') }] });
  cluster.on(/extents where tags has .*summarize/, { rows: [{ Rows: 0 }] });
  cluster.on(/extents where tags has .*project/, { rows: [] });
  cluster.on(/extent_tags\(\)/, { rows: [] });
  cluster.on(/^\.drop extents/, { rows: [] });
  cluster.on(/^\.show table \* policy update$/, { rows: [] });
  cluster.on(/^\.show materialized-views$/, { rows: [] });
  cluster.on(/^\.show principal roles$/, { rows: [{ Scope: 'Database db', Role: 'Ingestor' }] });
  cluster.on(/^\.show tables/, { rows: [{ TableName: 'Events' }, { TableName: 'Other' }] });
}

testIngestion('the Kusto adapter', async () => {
  const cluster = await startScriptedCluster();
  scriptTable(cluster);
  const real = connect(cluster);
  return {
    ingestion: {
      ...real,
      describeTable: (question) => {
        // The scripted cluster does not look at the database of a command.
        if (question.database !== 'db') cluster.on(/cslschema$/, NOT_FOUND('Database'));
        return real.describeTable(question).finally(() => {
          if (question.database !== 'db') scriptTable(cluster);
        });
      },
    },
    stop: () => cluster.stop(),
  };
});

describe('the Kusto adapter on the wire', () => {
  let cluster: ScriptedCluster;
  const servers: Server[] = [];
  beforeAll(async () => {
    cluster = await startScriptedCluster();
  });
  beforeEach(async () => {
    cluster.reset();
    await Promise.all(cluster.queues.map((queue) => queue.clearMessages()));
  });
  afterAll(async () => {
    for (const server of servers) server.closeAllConnections();
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    await cluster?.stop();
  });

  async function fakeQueue(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/account/queue?sig=secretsas`;
  }

  async function readMessages(): Promise<Record<string, unknown>[]> {
    const received = await Promise.all(
      cluster.queues.map((queue) => queue.receiveMessages({ numberOfMessages: 32 })),
    );
    return received
      .flatMap(({ receivedMessageItems }) => receivedMessageItems)
      .map(({ messageText }) => JSON.parse(Buffer.from(messageText, 'base64').toString('utf8')));
  }

  test.each([
    { format: 'csv', mapping: null, kind: null, ignoreFirstRecord: true, tags: [] },
    {
      format: 'csv',
      mapping: 'events',
      kind: IngestionMappingKind.CSV,
      ignoreFirstRecord: false,
      tags: ['drop-by:a', 'b'],
    },
    {
      format: 'multijson',
      mapping: 'größe',
      kind: IngestionMappingKind.JSON,
      ignoreFirstRecord: false,
      tags: ['drop-by:ä'],
    },
    {
      format: 'parquet',
      mapping: 'p',
      kind: IngestionMappingKind.PARQUET,
      ignoreFirstRecord: false,
      tags: ['x'],
    },
    { format: 'orc', mapping: 'o', kind: IngestionMappingKind.ORC, ignoreFirstRecord: false, tags: ['x'] },
    {
      format: 'w3clogfile',
      mapping: 'w',
      kind: IngestionMappingKind.W3CLOGFILE,
      ignoreFirstRecord: false,
      tags: ['x'],
    },
    {
      format: 'apacheavro',
      mapping: 'v',
      kind: IngestionMappingKind.APACHEAVRO,
      ignoreFirstRecord: false,
      tags: ['x'],
    },
  ])('the message is the one of the SDK: $format, mapping $mapping', async ({ kind, ...change }) => {
    const request = makeRequest(change);
    expect(await connect(cluster).post(request)).toEqual({ result: 'accepted' });
    const [ours] = await readMessages();

    await Promise.all(cluster.queues.map((queue) => queue.clearMessages()));
    const sdk = new IngestClient(cluster.url, undefined, false);
    await sdk.ingestFromBlob(new BlobDescriptor(request.url, request.rawSizeBytes, request.sourceId), {
      database: request.database,
      table: request.table,
      format: request.format,
      reportLevel: 2,
      reportMethod: 0,
      additionalTags: [...request.tags],
      ignoreFirstRecord: request.ignoreFirstRecord,
      ...(kind === null ? {} : { ingestionMappingReference: request.mapping, ingestionMappingKind: kind }),
    } as Parameters<IngestClient['ingestFromBlob']>[1]);
    const [theirs] = await readMessages();

    expect(Object.keys(ours ?? {})).toEqual(Object.keys(theirs ?? {}));
    const common = (message: Record<string, unknown> | undefined) => {
      const {
        ApplicationForTracing: _a,
        ClientVersionForTracing: _b,
        SourceMessageCreationTime: _c,
        IngestionStatusInTable: _d,
        ReportMethod: _e,
        ...rest
      } = message ?? {};
      return rest;
    };
    expect(common(ours)).toEqual(common(theirs));
    expect(ours).toMatchObject({
      ReportMethod: 1,
      IngestionStatusInTable: {
        tableConnectionString: cluster.tableUrl,
        partitionKey: request.sourceId,
        rowKey: request.sourceId,
      },
    });
    expect(new Date(String(ours?.['SourceMessageCreationTime'])).toISOString()).toBe(
      ours?.['SourceMessageCreationTime'],
    );
  });

  test('the status entity is there before the message and holds no signature', async () => {
    const request = makeRequest();
    let entity: Record<string, unknown> | null = null;
    cluster.offer({
      queueUrls: [
        await fakeQueue(async (_request, response) => {
          entity = await tableOf(cluster).getEntity(request.sourceId, request.sourceId);
          response.writeHead(201, { 'content-type': 'application/xml' });
          response.end('<?xml version="1.0"?><QueueMessagesList></QueueMessagesList>');
        }),
      ],
    });
    expect((await connect(cluster).post(request)).result).toBe('accepted');
    expect(entity).toMatchObject({
      Status: 'Pending',
      IngestionSourceId: request.sourceId,
      IngestionSourcePath: 'https://bucket.s3.us-east-1.amazonaws.com/folder/a.csv',
      Database: 'db',
      Table: 'Events',
    });
    expect(JSON.stringify(entity)).not.toContain('secretsignature');
  });

  test('what ADX writes into the entity is read, whatever it writes instants as', async () => {
    const ingestion = connect(cluster);
    const instant = '2026-01-02T03:04:05.000Z';
    const ids = await Promise.all(
      [String(Date.parse(instant)), '2026-01-02T03:04:05Z', new Date(instant)].map(async (UpdatedOn) => {
        const { sourceId } = makeRequest();
        await tableOf(cluster).createEntity({
          partitionKey: sourceId,
          rowKey: sourceId,
          Status: 'Failed',
          ErrorCode: 'Download_Forbidden',
          FailureStatus: 'Permanent',
          Details: '',
          UpdatedOn,
        });
        return sourceId;
      }),
    );
    const expected = {
      status: 'Failed',
      errorCode: 'Download_Forbidden',
      failureStatus: 'Permanent',
      details: null,
      updatedAt: instant,
    };
    const statuses = await ingestion.readStatuses(ids);
    expect([...statuses.values()]).toEqual([expected, expected, expected]);
  });

  const xml = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`;
  const answering =
    (status: number, code: string | null): RequestListener =>
    (_request, response) => {
      response.writeHead(status, {
        'content-type': 'application/xml',
        ...(code && { 'x-ms-error-code': code }),
      });
      response.end(code === null ? '<html></html>' : xml(code));
    };

  test.each([
    ['404 QueueNotFound', answering(404, 'QueueNotFound'), true],
    ['403 AuthenticationFailed', answering(403, 'AuthenticationFailed'), true],
    ['503 ServerBusy', answering(503, 'ServerBusy'), true],
    ['503 with another code', answering(503, 'InternalError'), false],
    ['500 InternalError', answering(500, 'InternalError'), false],
    ['500 OperationTimedOut', answering(500, 'OperationTimedOut'), false],
    ['504 of a proxy', answering(504, null), false],
    ['403 of a proxy', answering(403, null), false],
    ['503 of a proxy', answering(503, null), false],
    ['200 of a proxy', answering(200, null), false],
    ['a reset', ((request) => request.socket.destroy()) as RequestListener, false],
    ['no answer', (() => undefined) as RequestListener, false],
  ] as const)('a queue that answers %s', async (name, listener, isRefusal) => {
    let asked = 0;
    const bad = await fakeQueue((request, response) => {
      asked += 1;
      listener(request, response);
    });
    cluster.offer({ queueUrls: [bad, bad.replace('/queue', '/other')] });
    const result = await connect(cluster, { postTimeoutMs: 300 }).post(makeRequest());
    expect(result.result).toBe(isRefusal ? 'refused' : 'ambiguous');
    expect('throttled' in result && result.throttled).toBe(name === '503 ServerBusy');
    expect(asked).toBe(isRefusal ? 2 : 1);
    expect(JSON.stringify(result)).not.toMatch(/secretsas|secretsignature/);
  });

  test('after a definite refusal another queue takes the message, once', async () => {
    const refusing = await fakeQueue(answering(503, 'ServerBusy'));
    const closed = 'http://127.0.0.1:1/account/queue?sig=secretsas';
    cluster.offer({ queueUrls: [refusing, closed, cluster.queueUrls[0] ?? ''] });
    const ingestion = connect(cluster);
    for (let count = 0; count < 6; count += 1)
      expect((await ingestion.post(makeRequest())).result).toBe('accepted');
    expect(await readMessages()).toHaveLength(6);
  });

  test('a queue that is asked too often is told of, also when another one takes the message', async () => {
    const refusing = await fakeQueue(answering(503, 'ServerBusy'));
    cluster.offer({ queueUrls: [refusing, cluster.queueUrls[0] ?? ''] });
    const lastFirst = createKustoIngestion({
      cluster: cluster.url,
      credential: async () => null,
      random: () => 0,
    });
    expect(await lastFirst.post(makeRequest())).toEqual({ result: 'accepted' });
    cluster.offer({ queueUrls: [cluster.queueUrls[0] ?? '', refusing] });
    const other = createKustoIngestion({
      cluster: cluster.url,
      credential: async () => null,
      random: () => 0,
    });
    expect(await other.post(makeRequest())).toEqual({ result: 'accepted', throttled: true });
  });

  test.each([429, 503])('a status table that answers %i is asked too often', async (status) => {
    const table = await fakeQueue((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', 'retry-after-ms': '1' });
      response.end(JSON.stringify({ 'odata.error': { code: 'ServerBusy', message: { value: 'busy' } } }));
    });
    cluster.offer({ tableUrls: [table] });
    const ingestion = connect(cluster);
    const request = makeRequest();
    expect(await ingestion.post(request)).toMatchObject({ result: 'refused', throttled: true });
    expect(await readMessages()).toEqual([]);
    expect(await codeOf(ingestion.readStatuses([request.sourceId]))).toBe('clusterThrottled');
  });

  test('status entities are left where the SAS permits no deletion, as it says itself or the table does', async () => {
    const requests: (string | undefined)[] = [];
    const table = await fakeQueue((request, response) => {
      requests.push(request.method);
      response.writeHead(403, { 'content-type': 'application/json' }).end('{}');
    });
    cluster.offer({ tableUrls: [`${table}&sp=rau`] });
    expect(await connect(cluster).removeStatuses([randomUUID()])).toBeNull();
    expect(requests).toEqual([]);
    cluster.offer({ tableUrls: [`${table}&sp=raud`] });
    expect(await connect(cluster).removeStatuses([randomUUID()])).toBeNull();
    // Once more with a new SAS, for the keys may have been changed.
    expect(requests).toEqual(['DELETE', 'DELETE']);
  });

  test('no queue that can be reached is a refusal', async () => {
    cluster.offer({ queueUrls: ['http://127.0.0.1:1/account/queue?sig=secretsas'] });
    const result = await connect(cluster).post(makeRequest());
    expect(result).toMatchObject({ result: 'refused', message: expect.stringContaining('ECONNREFUSED') });
    expect(JSON.stringify(result)).not.toContain('secretsas');
  });

  test('without a status entity nothing is posted', async () => {
    cluster.offer({ tableUrls: [cluster.tableUrl.replace('ingestionstatus', 'nosuchtable')] });
    expect((await connect(cluster).post(makeRequest())).result).toBe('refused');
    expect(await readMessages()).toEqual([]);
  });

  test('a message above 64 KiB is refused before anything is written', async () => {
    const request = makeRequest({ tags: ['x'.repeat(48 * 1024)] });
    const ingestion = connect(cluster);
    expect(await ingestion.post(request)).toMatchObject({
      result: 'refused',
      message: expect.stringContaining('65536'),
    });
    expect((await ingestion.readStatuses([request.sourceId])).get(request.sourceId)).toBeNull();
  });

  test('many cold callers ask for the resources once', async () => {
    const ingestion = connect(cluster);
    await Promise.all(Array.from({ length: 20 }, () => ingestion.post(makeRequest())));
    expect(cluster.commands.filter((command) => command.startsWith('.get'))).toHaveLength(2);
    expect(await readMessages()).toHaveLength(20);
  });

  test('old resources serve while a refresh fails, and not after their SAS has ended', async () => {
    let now = Date.now();
    const end = new Date(now + 3 * 3600_000);
    cluster.offer({
      queueUrls: cluster.queueUrls.map((url) => cluster.signed(url.split('?')[0] ?? '', end)),
    });
    const ingestion = connect(cluster, { now: () => new Date(now) });
    await ingestion.warmUp();
    cluster.on(/^\.get/, { status: 503 });
    now += 2 * 3600_000;
    expect((await ingestion.post(makeRequest())).result).toBe('accepted');
    const asked = cluster.commands.length;
    await ingestion.warmUp();
    expect(cluster.commands.length).toBe(asked);
    now += 3600_000;
    expect(await codeOf(ingestion.warmUp())).toBe('clusterUnavailable');
    cluster.on(/^\.get/, () => null);
    cluster.reset();
    await ingestion.warmUp();
  });

  test('resources are asked for again while their SAS still lasts until ADX has reported what is posted', async () => {
    let now = Date.now();
    const MINUTE = 60_000;
    const offerTableFor = (minutes: number) =>
      cluster.offer({
        tableUrls: [cluster.signed(cluster.tableUrl.split('?')[0] ?? '', new Date(now + minutes * MINUTE))],
      });
    const asked = () => cluster.commands.filter((command) => command === '.get ingestion resources').length;
    offerTableFor(40);
    const ingestion = connect(cluster, { now: () => new Date(now) });
    await ingestion.warmUp();
    now += 9 * MINUTE;
    await ingestion.warmUp();
    expect(asked()).toBe(1);
    now += 2 * MINUTE;
    offerTableFor(20);
    await ingestion.warmUp();
    expect(asked()).toBe(2);
    // A cluster that has no longer ones is asked once a minute, not before each post.
    await ingestion.warmUp();
    expect(asked()).toBe(2);
    now += 2 * MINUTE;
    cluster.on(/^\.get/, { status: 503 });
    expect((await ingestion.post(makeRequest())).result).toBe('accepted');
    cluster.reset();
  });

  test('transient answers are asked again, three times in all; others are not', async () => {
    scriptTable(cluster);
    let failures = 2;
    cluster.on(/cslschema$/, () => {
      failures -= 1;
      return failures >= 0 ? { status: failures === 1 ? 429 : 503 } : null;
    });
    const table = { database: 'db', table: 'Events', mapping: null, format: 'csv' };
    await connect(cluster).describeTable(table);
    cluster.reset();
    cluster.on(/cslschema$/, { status: 503 });
    expect(await codeOf(connect(cluster).describeTable(table))).toBe('clusterUnavailable');
    expect(cluster.commands).toHaveLength(3);
    cluster.reset();
    cluster.on(/cslschema$/, { status: 429 });
    expect(await codeOf(connect(cluster).describeTable(table))).toBe('clusterThrottled');
    cluster.reset();
    cluster.on(/cslschema$/, { status: 401 });
    expect(await codeOf(connect(cluster).describeTable(table))).toBe('clusterAccessDenied');
    expect(cluster.commands).toHaveLength(1);
  });

  test('what the SDK says when it was throttled itself is clusterThrottled', () => {
    const said = new Error(
      'Failed to get ingestion resources from server - the request was throttled 4 times.',
    );
    expect(clusterErrorOf(said, cluster.url, 'ask').code).toBe('clusterThrottled');
  });

  test('a cluster that does not answer is clusterUnavailable, and the next call tries again', async () => {
    cluster.on(/./, 'hang');
    const ingestion = connect(cluster, { clusterTimeoutMs: 200 });
    const table = { database: 'db', table: 'Events', mapping: null, format: 'csv' };
    expect(await codeOf(ingestion.warmUp())).toBe('clusterUnavailable');
    expect(await codeOf(ingestion.describeTable(table))).toBe('clusterUnavailable');
    expect((await ingestion.post(makeRequest())).result).toBe('refused');
    cluster.reset();
    await ingestion.warmUp();
  });

  test.each([
    [NOT_FOUND('Database'), 'databaseNotFound'],
    [NOT_FOUND('Table'), 'tableNotFound'],
    [{ status: 400, message: "Database 'db' could not be found." }, 'databaseNotFound'],
    [{ status: 400, message: 'Syntax error: SYN0002' }, 'clusterUnavailable'],
  ])('a schema command answered with %o', async (answer, expected) => {
    cluster.on(/cslschema$/, answer);
    const table = { database: 'db', table: 'Events', mapping: null, format: 'csv' };
    expect(await codeOf(connect(cluster).describeTable(table))).toBe(expected);
  });

  test("a mapping may be the database's, and a kind that the cluster does not know is taken to be right", async () => {
    scriptTable(cluster);
    const ask = (format: string, mapping: string) =>
      connect(cluster).describeTable({ database: 'db', table: 'Events', mapping, format });
    cluster.on(/^\.show table .* ingestion json mapping/, NOT_FOUND('Mapping'));
    cluster.on(/^\.show database \['db'\] ingestion json mapping 'shared'$/, { rows: [{ Name: 'shared' }] });
    await ask('multijson', 'shared');
    cluster.on(/ingestion json mapping 'gone'$/, { status: 400, message: "Mapping 'gone' was not found." });
    expect(await codeOf(ask('json', 'gone'))).toBe('mappingNotFound');
    cluster.on(/ingestion apacheavro mapping/, { status: 400, message: 'Syntax error: SYN0002' });
    await ask('apacheavro', 'any');
  });

  test('what may not be read is taken to be right', async () => {
    cluster.on(/^\.show/, { status: 403 });
    const ingestion = connect(cluster);
    const table = { database: 'db', table: 'Any', mapping: 'any', format: 'json' };
    expect(await ingestion.describeTable(table)).toEqual({ batchingWindowMs: 300_000 });
    expect(await ingestion.countRowsByTag({ ...table, tag: 't' })).toBeNull();
    cluster.on(/^\.get/, { status: 403 });
    expect(await codeOf(ingestion.warmUp())).toBe('clusterAccessDenied');
  });

  test("the batching window is the table's, else the database's, else five minutes", async () => {
    const table = { database: 'db', table: 'Events', mapping: null, format: 'csv' };
    const ingestion = connect(cluster);
    cluster.on(/cslschema$/, { rows: [{ Schema: 'a:long' }] });
    cluster.on(/policy/, { rows: [{ Policy: 'null' }] });
    expect((await ingestion.describeTable(table)).batchingWindowMs).toBe(300_000);
    cluster.on(/^\.show database \['db'\] policy/, {
      rows: [{ Policy: '{"MaximumBatchingTimeSpan":"00:01:00"}' }],
    });
    expect((await ingestion.describeTable(table)).batchingWindowMs).toBe(60_000);
  });

  test('names are quoted, and a near name is offered', async () => {
    scriptTable(cluster);
    const ingestion = connect(cluster);
    const error: LoaderError = await ingestion
      .describeTable({ database: 'db', table: 'events', mapping: null, format: 'csv' })
      .then(
        () => expect.unreachable(),
        (thrown) => thrown,
      );
    expect(error.message).toContain('Is it "Events"?');
    await ingestion.countRowsByTag({ database: 'db', table: "it's a\\ b", tag: "drop-by:it's" });
    expect(cluster.commands.at(-1)).toBe(
      ".show table ['it\\'s a\\\\ b'] extents where tags has 'drop-by:it\\'s' | summarize Rows = sum(RowCount)",
    );
  });
});

function tableOf(cluster: ScriptedCluster): TableClient {
  const [base = '', sas = ''] = cluster.tableUrl.split('?');
  return new TableClient(`${base.replace('/ingestionstatus', '')}?${sas}`, 'ingestionstatus', {
    allowInsecureConnection: true,
  });
}
