import { randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { KustoConnectionStringBuilder } from 'azure-kusto-data';
import {
  BlobDescriptor,
  DataFormat,
  IngestionProperties,
  StreamDescriptor,
  StreamingIngestClient,
} from 'azure-kusto-ingest';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto();
  await local.rows('.create table Streamed (a:long, b:string)');
  await local.rows('.alter table Streamed policy streamingingestion enable');
  const mapping = '[{"Column":"a","Properties":{"Path":"$.x"}},{"Column":"b","Properties":{"Path":"$.y"}}]';
  await local.rows(`.create table Streamed ingestion json mapping 'm' '${mapping}'`);
});
afterAll(() => local.stop());
afterEach(() => local.kusto.control.faults.clear());

async function send(path: string, body: Buffer | string, headers: Record<string, string> = {}) {
  const response = await fetch(`${local.kusto.settings.endpoint}/v1/rest/ingest/${path}`, {
    method: 'POST',
    body: body as string,
    headers,
  });
  const answer = (await response.json()) as {
    error?: { code: string; '@permanent': boolean };
    Tables?: { Columns: { ColumnName: string }[]; Rows: unknown[][] }[];
  };
  return { status: response.status, ...answer };
}

describe('streaming ingestion', () => {
  test('the Node client streams bytes and blobs, and rows are there at once', async () => {
    const client = new StreamingIngestClient(new KustoConnectionStringBuilder(local.kusto.settings.endpoint));
    const csv = new IngestionProperties({ database: 'local', table: 'Streamed', format: DataFormat.CSV });
    await client.ingestFromStream(new StreamDescriptor(Readable.from([Buffer.from('1,one\n2,two\n')])), csv);
    const json = new IngestionProperties({
      database: 'local',
      table: 'Streamed',
      format: DataFormat.JSON,
      ingestionMappingReference: 'm',
    });
    local.sources.answers.set('/s.json.gz', gzipSync('{"x":3,"y":"three"}\n'));
    await client.ingestFromBlob(
      new BlobDescriptor(`${local.sources.url}/s.json.gz?sig=1`, 20, randomUUID()),
      json,
    );
    client.close();
    expect(await local.rows('Streamed | order by a asc')).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ]);
    expect(await local.rows('.show table Streamed extents | project Tags | distinct Tags')).toEqual([['']]);
  });

  test('the answer counts the records; names in the path may be encoded or not', async () => {
    await local.rows(".create table ['odd name'] (a:long)");
    await local.rows(".alter table ['odd name'] policy streamingingestion '{\"IsEnabled\":true}'");
    for (const name of ['odd%20name', 'odd name']) {
      const { status, Tables } = await send(`local/${name}?streamFormat=Csv`, '1\n2\n3\n');
      expect([status, Tables?.[0]?.Columns[0]?.ColumnName, Tables?.[0]?.Rows[0]?.[0]]).toEqual([
        200,
        'ConsumedRecordsCount',
        3,
      ]);
    }
  });

  test('the policy of the table outranks that of the database, and without one nothing is taken', async () => {
    await local.rows('.create table Closed (a:long)');
    const refused = {
      status: 400,
      error: { code: 'BadRequest_StreamingIngestionPolicyNotEnabled', '@permanent': true },
    };
    expect(await send('local/Closed?streamFormat=csv', '1')).toMatchObject(refused);
    await local.rows('.alter database local policy streamingingestion enable');
    expect(await send('local/Closed?streamFormat=csv', '1')).toMatchObject({ status: 200 });
    await local.rows('.alter table Closed policy streamingingestion disable');
    expect(await send('local/Closed?streamFormat=csv', '1')).toMatchObject(refused);
    await local.rows('.delete database local policy streamingingestion');
    expect(await local.rows('Closed | count')).toEqual([[1]]);
  });

  test('what can not be taken has the code of the service, and leaves no row', async () => {
    const before = await local.rows('Streamed | count');
    const gzip = { 'content-encoding': 'gzip' };
    const cases: readonly (readonly [string, Buffer | string, Record<string, string>, number, string])[] = [
      ['local/Nope?streamFormat=csv', '1', {}, 400, 'BadRequest_EntityNotFound'],
      ['local/Streamed', '1', {}, 400, 'BadRequest_FormatNotSupported'],
      ['local/Streamed?streamFormat=parquet', '1', {}, 400, 'BadRequest_FormatNotSupported'],
      ['local/Streamed?streamFormat=json', '{}', {}, 400, 'BadRequest_MissingMappingtFailure'],
      ['local/Streamed?streamFormat=avro', '{}', {}, 400, 'BadRequest_MissingMappingtFailure'],
      [
        'local/Streamed?streamFormat=json&mappingName=n',
        '{}',
        {},
        400,
        'BadRequest_MappingReferenceWasNotFound',
      ],
      ['local/Streamed?streamFormat=multijson&mappingName=m', '{"x":1}{', {}, 400, 'BadRequest_InvalidBlob'],
      ['local/Streamed?streamFormat=csv', '', {}, 400, 'Stream_NoDataToIngest'],
      ['local/Streamed?streamFormat=csv', 'no gzip', gzip, 400, 'BadRequest_InvalidBlob'],
      [
        'local/Streamed?streamFormat=csv',
        Buffer.alloc(4 * 1024 * 1024 + 1, '1'),
        {},
        413,
        'Stream_InputStreamTooLarge',
      ],
      [
        'local/Streamed?streamFormat=csv',
        gzipSync(Buffer.alloc(4 * 1024 * 1024 + 1, '1')),
        gzip,
        413,
        'Stream_InputStreamTooLarge',
      ],
      [
        'local/Streamed?streamFormat=csv',
        gzipSync(randomBytes(5 * 1024 * 1024)),
        gzip,
        413,
        'Stream_InputStreamTooLarge',
      ],
      [
        'local/Streamed?streamFormat=csv&sourceKind=uri',
        '{"sourceUri":"file:///x"}',
        {},
        400,
        'BadRequest_InvalidBlobUri',
      ],
      [
        'local/Streamed?streamFormat=csv&sourceKind=uri',
        `{"sourceUri":"${local.sources.url}/none"}`,
        {},
        400,
        'Download_SourceNotFound',
      ],
    ];
    for (const [path, body, headers, status, code] of cases)
      expect([path, await send(path, body, headers)]).toMatchObject([path, { status, error: { code } }]);
    local.sources.answers.set('/big.csv', Buffer.alloc(4 * 1024 * 1024 + 1, '1'));
    expect(
      await send(
        'local/Streamed?streamFormat=csv&sourceKind=uri',
        `{"sourceUri":"${local.sources.url}/big.csv"}`,
      ),
    ).toMatchObject({ status: 413 });
    expect(await local.rows('Streamed | count')).toEqual(before);
  });

  test('exactly 4 MiB are taken', async () => {
    const line = `1,${'x'.repeat(1021)}\n`;
    expect(
      await send('local/Streamed?streamFormat=csv', gzipSync(line.repeat(4096)), {
        'content-encoding': 'gzip',
      }),
    ).toMatchObject({ status: 200 });
  });

  test('it fails on request, with a code that may or may not pass', async () => {
    const { faults } = local.kusto.control;
    faults.addRequestFault({ kind: 'streaming', action: 'status', status: 429 });
    faults.addRequestFault({
      kind: 'streaming',
      action: 'status',
      status: 400,
      errorCode: 'BadRequest_TableAccessDenied',
    });
    faults.addRequestFault({ kind: 'streaming', action: 'drop' });
    const path = 'local/Streamed?streamFormat=csv';
    expect(await send(path, '1')).toMatchObject({ status: 429, error: { '@permanent': false } });
    expect(await send(path, '1')).toMatchObject({
      status: 400,
      error: { code: 'BadRequest_TableAccessDenied', '@permanent': true },
    });
    await expect(send(path, '1')).rejects.toThrow();
    expect(await send(path, '1')).toMatchObject({ status: 200 });
  });
});

describe('the REST ingestion API', () => {
  const call = async (path: string, body?: object) => {
    const response = await fetch(`${local.kusto.settings.endpoint}/v1/rest/ingestion/${path}`, {
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const status = async (id: unknown) => (await call(`queued/local/Rested/${String(id)}?details=true`)).body;

  beforeAll(async () => {
    await local.rows('.create table Rested (a:long)');
  });

  test('the configuration names containers that can be written to', async () => {
    const { body } = await call('configuration');
    expect(body).toMatchObject({
      containerSettings: { lakeFolders: [], preferredUploadMethod: 'Storage' },
      ingestionSettings: { maxBlobsPerBatch: 20, preferredIngestionMethod: 'REST' },
    });
    const { containers } = body['containerSettings'] as { containers: { path: string }[] };
    expect(containers).toHaveLength(3);
    const put = await fetch((containers[0]?.path ?? '').replace('?', '/blob.csv?'), {
      method: 'PUT',
      body: '1',
      headers: { 'x-ms-blob-type': 'BlockBlob' },
    });
    expect(put.status).toBe(201);
  });

  test('an operation tells the fate of each of its blobs, without secrets', async () => {
    local.sources.answers.set('/r1.csv', '1\n2\n');
    const good = randomUUID();
    const { status: posted, body } = await call('queued/local/Rested', {
      timestamp: new Date().toISOString(),
      blobs: [
        { url: `${local.sources.url}/r1.csv?sig=secret`, sourceId: good, rawSize: 4 },
        { url: `${local.sources.url}/gone.csv?sig=secret`, sourceId: randomUUID(), rawSize: 4 },
      ],
      properties: { format: 'csv', enableTracking: true, tags: ['drop-by:rest'] },
    });
    expect(posted).toBe(200);
    const id = body['ingestionOperationId'];
    expect((await status(id))['status']).toEqual({ Succeeded: 0, Failed: 0, InProgress: 2, Canceled: 0 });
    await local.load(2);
    const done = await status(id);
    expect(done['status']).toEqual({ Succeeded: 1, Failed: 1, InProgress: 0, Canceled: 0 });
    expect(done['details']).toMatchObject([
      { sourceId: good, url: `${local.sources.url}/r1.csv`, status: 'Succeeded' },
      { status: 'Failed', errorCode: 'Download_SourceNotFound', failureStatus: 'Permanent' },
    ]);
    expect(
      await local.rows(".show table Rested extents where tags has 'drop-by:rest' | project RowCount"),
    ).toEqual([[2]]);
    expect((await call(`queued/local/Rested/${String(id)}`)).body).not.toHaveProperty('details');
    expect((await call(`queued/local/Streamed/${String(id)}`)).status).toBe(404);
    expect((await call(`queued/local/Rested/${randomUUID()}`)).status).toBe(404);
  });

  test('without tracking there is no id; what is malformed is named; a report may be withheld', async () => {
    const blob = { url: `${local.sources.url}/r1.csv` };
    const properties = { format: 'csv' };
    expect((await call('queued/local/Rested', { blobs: [blob], properties })).body).toEqual({
      ingestionOperationId: '',
    });
    await local.load(1);
    const message = async (body: object) => {
      const answer = await call('queued/local/Rested', body);
      return [answer.status, (answer.body['error'] as { '@message': string })['@message']];
    };
    expect(await message({ properties })).toEqual([400, expect.stringContaining("'blobs'")]);
    expect(await message({ blobs: Array(21).fill(blob), properties })).toEqual([
      400,
      expect.stringContaining('20'),
    ]);
    expect(await message({ blobs: [{}], properties })).toEqual([
      400,
      expect.stringContaining("'blobs[0].url'"),
    ]);
    expect(await message({ blobs: [{ ...blob, sourceId: 'x' }], properties })).toEqual([
      400,
      expect.stringContaining('sourceId'),
    ]);
    const long = { ...properties, ingestionMapping: 'x'.repeat(50_000) };
    expect(await message({ blobs: [blob], properties: long })).toEqual([
      400,
      expect.stringContaining('48 KiB'),
    ]);
    expect(await message({ blobs: [blob] })).toEqual([400, expect.stringContaining('properties.format')]);
    const { faults } = local.kusto.control;
    faults.addIngestionFault({ match: 'r1.csv', action: 'suppressStatus' });
    const tracked = { ...properties, enableTracking: true };
    const silent = (await call('queued/local/Rested', { blobs: [blob], properties: tracked })).body[
      'ingestionOperationId'
    ];
    await local.load(1);
    expect((await status(silent))['status']).toMatchObject({ InProgress: 1 });
    faults.addRequestFault({ kind: 'ingestion', action: 'status', status: 503 });
    expect((await call('configuration')).status).toBe(503);
    expect((await call('configuration')).status).toBe(200);
  });
});
