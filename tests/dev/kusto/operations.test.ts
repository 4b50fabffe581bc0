import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto();
  local.sources.answers.set('/a.csv', '1,x\n2,y\n');
  local.sources.answers.set('/b.csv', '3,z\n');
  local.sources.answers.set('/bad.json', '{"a":1}{');
});
afterAll(() => local.stop());

const rows = (text: string) => local.rows(text);
const url = (name: string) => `${local.sources.url}/${name}?sig=secret`;

/** Waits until an operation is over. @returns its state and status. */
async function waitFor(id: unknown): Promise<unknown[]> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const [row] = await rows(`.show operations ${String(id)} | project State, Status, ShouldRetry`);
    if (row?.[0] !== 'InProgress') return row ?? [];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${String(id)} has not ended`);
}

test('.ingest into loads all sources or none, and its failures are shown', async () => {
  await rows('.create table I (a:long, b:string)');
  const loaded = await rows(
    `.ingest into table I (h'${url('a.csv')}', h"${url('b.csv')}") with (format='csv', tags='["drop-by:i"]', creationTime='2020-01-02')`,
  );
  expect(loaded.map((row) => [row[1], row[3]])).toEqual([
    [`${local.sources.url}/a.csv`, false],
    [`${local.sources.url}/b.csv`, false],
  ]);
  expect(new Set(loaded.map((row) => row[0])).size).toBe(1);
  expect(
    await rows(".show table I extents where tags has 'drop-by:i' | project RowCount, tostring(MaxCreatedOn)"),
  ).toEqual([[3, '2020-01-02T00:00:00.0000000Z']]);
  await expect(
    rows(`.ingest into table I ('${url('a.csv')}', '${url('gone.csv')}') with (format='csv')`),
  ).rejects.toThrow(/^(?!.*secret)Download_SourceNotFound/);
  await expect(
    rows(`.ingest into table I ('${url('a.csv')}', '${url('bad.json')}') with (format='multijson')`),
  ).rejects.toThrow(/BadRequest_InvalidBlob/);
  expect(await rows('I | count')).toEqual([[3]]);
  expect(
    await rows(
      '.show ingestion failures | project Table, IngestionSourcePath, ErrorCode, FailureKind, OperationKind, ShouldRetry',
    ),
  ).toMatchObject([
    ['I', `${local.sources.url}/gone.csv`, 'Download_SourceNotFound', 'Permanent', 'DataIngestPull', false],
    [
      'I',
      expect.stringMatching(/\/(a\.csv|bad\.json)$/),
      'BadRequest_InvalidBlob',
      'Permanent',
      'DataIngestPull',
      false,
    ],
  ]);
  const skip = `with (format='csv', ingestIfNotExists='["once"]', tags='["ingest-by:once"]')`;
  await rows(`.ingest into table I ('${url('b.csv')}') ${skip}`);
  const [skipped] = await rows(`.ingest into table I ('${url('b.csv')}') ${skip}`);
  expect(skipped?.[0]).toBe('00000000-0000-0000-0000-000000000000');
  expect(await rows('I | count')).toEqual([[4]]);
});

test('async: an operation id at once, its state, and the result by id', async () => {
  await rows('.create table J (a:long, b:string)');
  const [[good] = []] = await rows(`.ingest async into table J '${url('a.csv')}' with (format='csv')`);
  expect(await waitFor(good)).toEqual(['Completed', '', false]);
  expect(await rows(`.show operation ${String(good)} details | project ItemLoaded`)).toEqual([
    [`${local.sources.url}/a.csv`],
  ]);
  local.sources.answers.set('/busy.csv', { status: 503 });
  const [[busy] = []] = await rows(`.ingest async into table J ('${url('busy.csv')}')`);
  expect(await waitFor(busy)).toEqual(['Failed', expect.stringMatching(/^Download_UnknownError/), true]);
  await expect(rows(`.show operation ${String(busy)} details`)).rejects.toThrow(/Failed/);
  expect(
    await rows(`.show ingestion failures with (OperationId='${String(busy)}') | project ShouldRetry`),
  ).toEqual([[true]]);
  const [[made] = []] = await rows('.set-or-append async K <| J | summarize n = count()');
  expect(await waitFor(made)).toEqual(['Completed', '', false]);
  expect(await rows('K')).toEqual([[2]]);
  expect(
    await rows(`.show operations (${String(made)}, ${String(busy)}) | project Operation, State`),
  ).toEqual([
    ['TableSetOrAppend', 'Completed'],
    ['DataIngestPull', 'Failed'],
  ]);
  const [[wrong] = []] = await rows('.append async K <| print "text"');
  expect(await waitFor(wrong)).toEqual(['Failed', expect.stringMatching(/schema does not match/), false]);
  await expect(rows('.show operation 11111111-2222-3333-4444-555555555555 details')).rejects.toThrow(
    /EntityNotFound/,
  );
});

test('tables get columns by .alter table and another name by .rename table', async () => {
  await rows('.create table Old (a:long)');
  await rows('.ingest inline into table Old <| 1');
  await rows(".alter table Old (a:long, b:string) with (docstring='more')");
  expect(await rows('.show table Old cslschema | project Schema, DocString')).toEqual([
    ['a:long,b:string', 'more'],
  ]);
  await expect(rows('.alter table Old (b:string)')).rejects.toThrow(
    /drops, renames or moves a column \('a'\)/,
  );
  await expect(rows('.alter table Old (a:string, b:string)')).rejects.toThrow(/'a'.*'long'/);
  await rows('.create table Taken (a:long)');
  await expect(rows('.rename table Old to Taken')).rejects.toThrow(/AlreadyExists/);
  await rows('.rename table Old to New');
  expect(await rows('New')).toEqual([[1, '']]);
  await expect(rows('Old')).rejects.toThrow(/Old/);
});

test('blobs queued by command: tracked, shown, canceled before they are loaded', async () => {
  await rows('.create table Q (a:long, b:string)');
  const queue = async (...names: string[]) => {
    const urls = names.map((name) => `"${url(name)}"`).join(',\n');
    const [row] = await rows(
      `.ingest-from-storage-queued into table database('local').Q EnableTracking=true with (format='csv') <| ${urls}`,
    );
    return row ?? [];
  };
  const [id, requestId, info] = await queue('a.csv', 'gone.csv');
  expect([requestId, info]).toEqual([
    expect.stringMatching(/^KNC\.execute;/),
    `.show queued ingestion operations "${String(id)}"`,
  ]);
  await local.load(2);
  expect(
    await rows(
      `${String(info)} | project State, Discovered, Pending, Canceled, Ingested, Failed, SampleFailedReasons, Table`,
    ),
  ).toEqual([['Completed', 2, 0, 0, 1, 1, 'Download_SourceNotFound', 'Q']]);
  expect(await rows(`${String(info)} details | project BlobURL, IngestionStatus, FailedReasons`)).toEqual([
    [`${local.sources.url}/a.csv`, 'Succeeded', ''],
    [`${local.sources.url}/gone.csv`, 'Failed', expect.stringMatching(/^Download_SourceNotFound/)],
  ]);
  await expect(rows('.show queued ingestion operations "nope"')).rejects.toThrow(/EntityNotFound/);
  await expect(rows('.ingest-from-storage-queued into table Q <| .list blobs ("x")')).rejects.toThrow(
    /\.list blobs/,
  );
});

test('an operation of the REST API is canceled while its batch is open', async () => {
  const endpoint = `${local.kusto.settings.endpoint}/v1/rest/ingestion/queued/local/Q`;
  const answer = await fetch(endpoint, {
    method: 'POST',
    body: JSON.stringify({
      blobs: [{ url: url('b.csv'), rawSize: 4 }],
      properties: { format: 'csv', enableTracking: true },
    }),
  });
  const { ingestionOperationId: id } = (await answer.json()) as { ingestionOperationId: string };
  const canceled = await rows(
    `.cancel queued ingestion operation "${id}" | project State, Canceled, Pending`,
  );
  expect(canceled).toEqual([['Canceled', 1, 0]]);
  const before = await rows('Q | count');
  await local.load(1);
  expect(await rows('Q | count')).toEqual(before);
  expect(await (await fetch(`${endpoint}/${id}`)).json()).toMatchObject({
    status: { Canceled: 1, Succeeded: 0 },
  });
  expect(local.kusto.control.stats().heldMessages).toBe(0);
});
