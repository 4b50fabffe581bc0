import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto({ retry: { attempts: 3, firstDelayMs: 600 } });
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
  await local.load(1);
  expect((await fetch(String(freshUrl).replace('?', '/messages?'))).status).toBe(403);
});

test('a part of all strikes by a seed, the same ones each time', async () => {
  const run = async (seed: number) => {
    await local.rows('.clear table F data');
    local.kusto.control.faults.clear();
    await control('/faults/ingestions', 'POST', { match: '', action: 'failPermanent', percent: 40, seed });
    const ids = [];
    for (let index = 0; index < 20; index += 1) {
      local.sources.answers.set(`/p${index}.json`, '{"a":1}');
      ids.push(await local.post('F', url(`p${index}.json`)));
    }
    await local.load(20);
    const states = await Promise.all(ids.map(async (id) => (await local.statusOf(id))['Status']));
    const failed = states.filter((state) => state === 'Failed').length;
    expect(await local.rows('F | count')).toEqual([[20 - failed]]);
    return states;
  };
  const first = await run(7);
  expect(new Set(first)).toEqual(new Set(['Failed', 'Succeeded']));
  expect(await run(7)).toEqual(first);
  expect(await run(8)).not.toEqual(first);

  const requests = async (seed: number) => {
    local.kusto.control.faults.clear();
    await control('/faults/requests', 'POST', {
      kind: 'query',
      action: 'status',
      status: 401,
      percent: 50,
      seed,
    });
    const states = [];
    for (let index = 0; index < 12; index += 1) states.push((await query()).status);
    return states;
  };
  const refused = await requests(3);
  expect(new Set(refused)).toEqual(new Set([200, 401]));
  expect(await requests(3)).toEqual(refused);
  const armed = (await (await control('/faults')).json()) as { requests: { struck: number; left: null }[] };
  expect(armed.requests).toMatchObject([
    { struck: refused.filter((status) => status === 401).length, left: null },
  ]);
  for (const wrong of [{ percent: 0 }, { percent: 101 }, { count: 0 }, { seed: 'x' }])
    expect((await control('/faults/requests', 'POST', { kind: '*', action: 'drop', ...wrong })).status).toBe(
      400,
    );
});

test('each kind of request fails with the status that was asked for, and no other kind', async () => {
  const { faults } = local.kusto.control;
  const statusOf = async (kind: Parameters<typeof faults.addRequestFault>[0]['kind'], status: number) => {
    faults.addRequestFault({ kind, action: 'status', status });
    const mgmt = (csl: string) =>
      fetch(`${local.kusto.settings.endpoint}/v1/rest/mgmt`, {
        method: 'POST',
        body: JSON.stringify({ db: 'local', csl }),
      });
    const answers = {
      query: (await query()).status,
      metadata: (await fetch(`${local.kusto.settings.endpoint}/v1/rest/auth/metadata`)).status,
      resources: (await mgmt('.get ingestion resources')).status,
      identityToken: (await mgmt('.get kusto identity token')).status,
    };
    faults.clear();
    return Object.entries(answers).filter(([, answered]) => answered !== 200);
  };
  expect(await statusOf('query', 503)).toEqual([['query', 503]]);
  expect(await statusOf('metadata', 500)).toEqual([['metadata', 500]]);
  expect(await statusOf('resources', 401)).toEqual([['resources', 401]]);
  expect(await statusOf('identityToken', 429)).toEqual([['identityToken', 429]]);
  expect(await statusOf('mgmt', 503)).toEqual([['resources', 503]]);
  expect(await statusOf('*', 401)).toEqual([['query', 401]]);
});

test('a transient failure that does not pass is exhausted in the end; a report can be late', async () => {
  const { faults } = local.kusto.control;
  faults.addIngestionFault({
    match: 'a.json',
    action: 'failTransient',
    errorCode: 'General_ThrottledIngestion',
    percent: 100,
  });
  const failing = await local.post('F', url('a.json'));
  await local.load(1);
  expect(await local.finalStatusOf(failing)).toMatchObject({
    ErrorCode: 'General_RetryAttemptsExceeded',
    FailureStatus: 'Exhausted',
    Details: expect.stringContaining('General_ThrottledIngestion') as string,
  });
  faults.clear();
  faults.addIngestionFault({ match: 'b.json', action: 'delay', delayMs: 300 });
  const before = Number((await local.rows('F | count'))[0]?.[0]);
  const late = await local.post('F', url('b.json'));
  await local.load(1);
  expect(await local.rows('F | count')).toEqual([[before + 1]]);
  expect(await local.statusOf(late)).toMatchObject({ Status: 'Pending' });
  expect(await local.finalStatusOf(late)).toMatchObject({ Status: 'Succeeded' });
});

test('a download can be late: the rest of its batch does not wait for it', async () => {
  const { faults, flush } = local.kusto.control;
  faults.addIngestionFault({ match: 'late.json', action: 'downloadLate', delayMs: 1_000 });
  local.sources.answers.set('/late.json', '{"a":2}');
  const before = Number((await local.rows('F | count'))[0]?.[0]);
  const [late, prompt] = [await local.post('F', url('late.json')), await local.post('F', url('b.json'))];
  const statuses = async () => {
    flush();
    return Promise.all([late, prompt].map(async (id) => (await local.statusOf(id))['Status']));
  };
  await vi.waitFor(async () => expect(await statuses()).toEqual(['Pending', 'Succeeded']));
  expect(local.sources.requests).not.toContain('/late.json');
  expect(await local.rows('F | count')).toEqual([[before + 1]]);
  await vi.waitFor(async () => expect(await statuses()).toEqual(['Succeeded', 'Succeeded']), 5_000);
  expect(await local.rows('F | count')).toEqual([[before + 2]]);
});
