import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto({ retry: { firstDelayMs: 600 } });
  await local.rows('.create table F (a:long)');
  local.sources.answers.set('/a.json', '{"a":1}');
  local.sources.answers.set('/b.json', '{"a":1}');
});
afterAll(() => local.stop());
afterEach(() => local.kusto.control.faults.clear());

const url = (name: string) => `${local.sources.url}/${name}?sig=1`;
const control = (path: string, method = 'GET', body?: object) =>
  fetch(`${local.kusto.settings.endpoint}/-/control${path}`, {
    method,
    ...(body && { body: JSON.stringify(body) }),
  });
const query = () =>
  fetch(`${local.kusto.settings.endpoint}/v2/rest/query`, {
    method: 'POST',
    body: JSON.stringify({ db: 'local', csl: 'print 1' }),
  });

test('requests fail as often as asked, over HTTP', async () => {
  await control('/faults/requests', 'POST', { kind: 'query', action: 'status', status: 429, count: 2 });
  const answers = [await query(), await query(), await query()];
  expect(answers.map((answer) => answer.status)).toEqual([429, 429, 200]);
  expect(await answers[0]?.json()).toMatchObject({ error: { '@permanent': false } });
  await control('/faults/requests', 'POST', { kind: '*', action: 'drop' });
  await expect(query()).rejects.toThrow();
  const refused = await control('/faults/requests', 'POST', { kind: 'nonsense', action: 'status' });
  expect([refused.status, await refused.text()]).toEqual([
    400,
    expect.stringContaining("'kind' is 'nonsense'"),
  ]);
  expect((await control('/nothing')).status).toBe(404);
});

test('a failure on request: permanent is reported, transient is tried again', async () => {
  await control('/faults/ingestions', 'POST', {
    match: 'a.json',
    action: 'failPermanent',
    errorCode: 'BadRequest_InvalidMapping',
  });
  local.kusto.control.faults.addIngestionFault({ match: 'b.json', action: 'failTransient', count: 2 });
  const a = await local.post('F', url('a.json'));
  const b = await local.post('F', url('b.json'));
  await local.load(2);
  expect(await local.finalStatusOf(a)).toMatchObject({
    Status: 'Failed',
    ErrorCode: 'BadRequest_InvalidMapping',
    FailureStatus: 'Permanent',
  });
  expect(await local.finalStatusOf(b)).toMatchObject({ Status: 'Succeeded' });
  expect(local.kusto.control.batches().sealed.at(-1)).toMatchObject({
    sealReason: 'retry',
    items: [{ attempt: 2 }],
  });
});

test('messages lost and delivered twice, reports suppressed', async () => {
  await local.rows('.clear table F data');
  const { faults } = local.kusto.control;
  faults.addIngestionFault({ match: 'a.json', action: 'lose' });
  const lost = await local.post('F', url('a.json'));
  await local.load(1);
  faults.addIngestionFault({ match: 'b.json', action: 'deliverTwice' });
  const twice = await local.post('F', url('b.json'));
  await local.load(1);
  faults.addIngestionFault({ match: '', action: 'suppressStatus' });
  const silent = await local.post('F', url('a.json'));
  await local.load(1);
  expect(await local.rows('F | count')).toEqual([[3]]);
  expect(await local.statusOf(lost)).toMatchObject({ Status: 'Pending' });
  expect(await local.statusOf(twice)).toMatchObject({ Status: 'Succeeded' });
  expect(await local.statusOf(silent)).toMatchObject({ Status: 'Pending' });
  expect(await (await control('/stats')).json()).toMatchObject({
    messagesLost: 1,
    duplicateDeliveries: 1,
    statusReportsSuppressed: 1,
    heldMessages: 0,
  });
});

test('signatures that have expired are refused by the storage', async () => {
  local.kusto.control.faults.addRequestFault({ kind: 'resources', action: 'expiredSas' });
  const [, queueUrl] = (await local.rows('.get ingestion resources'))[0] ?? [];
  const send = (target: unknown) =>
    fetch(String(target).replace('?', '/messages?'), {
      method: 'POST',
      body: '<QueueMessage><MessageText>eA==</MessageText></QueueMessage>',
    });
  expect((await send(queueUrl)).status).toBe(403);
  const [, freshUrl] = (await local.rows('.get ingestion resources'))[0] ?? [];
  expect((await send(freshUrl)).status).toBe(201);
  expect((await fetch(String(freshUrl).replace('?', '/messages?'))).status).toBe(403);
});
