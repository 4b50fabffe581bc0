import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { Client, KustoConnectionStringBuilder } from 'azure-kusto-data';
import {
  BlobDescriptor,
  DataFormat,
  IngestClient,
  IngestionProperties,
  StreamDescriptor,
} from 'azure-kusto-ingest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startKusto } from '../../../dev/kusto/index.ts';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto();
  await local.rows('.create table Events (id:long, name:string, at:datetime, extra:dynamic)');
});
afterAll(() => local.stop());

const makeIngestClient = () =>
  new IngestClient(new KustoConnectionStringBuilder(local.kusto.settings.endpoint), undefined, false);

test('the resource manager finds every kind of resource of the profile multi', async () => {
  const client = makeIngestClient();
  const manager = client.resourceManager;
  expect(await manager.getContainers()).toHaveLength(3);
  expect(await manager.getIngestionQueues()).toHaveLength(3);
  expect(await manager.getFailedIngestionsQueues()).toHaveLength(2);
  expect(await manager.getSuccessfulIngestionsQueues()).toHaveLength(2);
  expect(await manager.getStatusTables()).toHaveLength(2);
  const accountsOf = (resources: readonly { readonly uri: string }[] | null) =>
    new Set((resources ?? []).map(({ uri }) => new URL(uri).pathname.split('/')[1]));
  const two = new Set(['devstoreaccount1', 'ingestaccount1']);
  for (const resources of [
    await manager.getContainers(),
    await manager.getIngestionQueues(),
    await manager.getFailedIngestionsQueues(),
    await manager.getSuccessfulIngestionsQueues(),
    await manager.getStatusTables(),
  ])
    expect(accountsOf(resources)).toEqual(two);
  expect(await manager.getAuthorizationContext()).toMatch(/^local-identity-token-/);
  client.close();
});

test('ingestFromBlob with a URL loads what the URL serves', async () => {
  local.sources.answers.set(
    '/bucket/a.json',
    '{"id":1,"name":"one","at":"2024-01-02T03:04:05.1234567Z","extra":{"k":[1]}}\n',
  );
  const client = makeIngestClient();
  const properties = new IngestionProperties({ database: 'local', table: 'Events', format: DataFormat.JSON });
  await client.ingestFromBlob(
    new BlobDescriptor(`${local.sources.url}/bucket/a.json?X-Amz-Signature=s`, 100, randomUUID()),
    properties,
  );
  await local.load(1);
  client.close();
  expect(await local.rows('Events | where id == 1 | project name, tostring(at), tostring(extra.k)')).toEqual([
    ['one', '2024-01-02T03:04:05.1234567Z', '[1]'],
  ]);
});

test('ingestFromStream uploads to a container, and what is gzip inside is decompressed whatever its name', async () => {
  const client = makeIngestClient();
  const properties = new IngestionProperties({ database: 'local', table: 'Events', format: DataFormat.CSV });
  const bytes = gzipSync('20,"from, stream",2024-01-01,\n21,"two\nlines",,\n');
  await client.ingestFromStream(new StreamDescriptor(Readable.from([bytes])), properties);
  await local.load(1);
  client.close();
  expect(await local.rows('Events | where id >= 20 | order by id asc | project id, name')).toEqual([
    [20, 'from, stream'],
    [21, 'two\nlines'],
  ]);
  expect(local.kusto.control.batches().sealed.at(-1)).toMatchObject({
    sealReason: 'unknownSize',
    state: 'committed',
  });
});

test('v1 and v2 answers are typed as the client reads them', async () => {
  const query =
    'print l=5, r=1.5, s="x", b=true, t=datetime(2024-01-02T03:04:05Z), d=dynamic({"a":1}), g=guid(11111111-2222-3333-4444-555555555555), z=1h, n=long(null)';
  // A bool is 0 or 1 in v1 answers, which the client leaves as it is.
  for (const [result, b] of [
    [await local.client.executeQuery('local', query), true],
    [await local.client.executeQueryV1('local', query), 1],
  ] as const) {
    const row = result.primaryResults[0]?.toJSON<Record<string, unknown>>().data[0];
    expect(row).toMatchObject({
      l: 5,
      r: 1.5,
      s: 'x',
      b,
      t: new Date('2024-01-02T03:04:05Z'),
      z: 3_600_000,
      n: null,
    });
    expect(row?.['g']).toBe('11111111-2222-3333-4444-555555555555');
    expect(typeof row?.['d'] === 'string' ? JSON.parse(row['d']) : row?.['d']).toEqual({ a: 1 });
  }
});

test('longs beyond 2^53 and decimals keep their digits on the wire', async () => {
  const response = await fetch(`${local.kusto.settings.endpoint}/v2/rest/query`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-ms-client-request-id': 'KNC.execute;mine' },
    body: JSON.stringify({ db: 'local', csl: 'print a=9007199254740993, b=decimal(1.50)' }),
  });
  expect(response.headers.get('x-ms-client-request-id')).toBe('KNC.execute;mine');
  expect(response.headers.get('x-ms-activity-id')).toMatch(/^[0-9a-f-]{36}$/);
  expect(await response.text()).toContain('[9007199254740993,"1.5"]');
});

test('an error has the body that clients look at', async () => {
  const response = await fetch(`${local.kusto.settings.endpoint}/v1/rest/mgmt`, {
    method: 'POST',
    body: JSON.stringify({ db: 'local', csl: '.show table Nope details' }),
  });
  expect(response.status).toBe(400);
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  expect(error).toMatchObject({
    code: 'BadRequest_EntityNotFound',
    '@message': "Entity ID 'Nope' of kind 'Table' was not found.",
    '@permanent': true,
    '@context': { activityId: response.headers.get('x-ms-activity-id') },
  });
});

test('the metadata document is complete', async () => {
  const metadata = (await (await fetch(`${local.kusto.settings.endpoint}/v1/rest/auth/metadata`)).json()) as {
    AzureAD: object;
  };
  expect(Object.keys(metadata.AzureAD).sort()).toEqual([
    'FirstPartyAuthorityUrl',
    'KustoClientAppId',
    'KustoClientRedirectUri',
    'KustoServiceResourceId',
    'LoginEndpoint',
    'LoginMfaRequired',
  ]);
});

test('with a token, a request without it is 401, and profile single hands out one of each', async () => {
  const guarded = await startKusto({
    azurite: local.azurite.settings,
    profile: 'single',
    token: { value: 'right' },
  });
  try {
    const { endpoint } = guarded.settings;
    const open = new Client(new KustoConnectionStringBuilder(endpoint));
    await expect(open.execute('local', 'print 1')).rejects.toMatchObject({ response: { status: 401 } });
    const right = new Client(KustoConnectionStringBuilder.withAccessToken(endpoint, 'right'));
    const resources = (await right.execute('', '.get ingestion resources')).primaryResults[0]?._rows.map(
      (row) => (row as unknown[])[0],
    );
    expect(resources?.toSorted()).toEqual([
      'FailedIngestionsQueue',
      'IngestionsStatusTable',
      'SecuredReadyForAggregationQueue',
      'SuccessfulIngestionsQueue',
      'TempStorage',
    ]);
    open.close();
    right.close();
  } finally {
    await guarded.stop();
  }
  expect(await guarded.status()).toBe('stopped');
});
