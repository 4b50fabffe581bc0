import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

let under: StackUnderTest;

beforeAll(async () => {
  under = await startStackUnderTest({
    settings: {
      S3_CREDENTIALS__WRONG__ACCESS_KEY_ID: 'local-access-key',
      S3_CREDENTIALS__WRONG__SECRET_ACCESS_KEY: 'not-the-secret',
    },
  });
  await under.createTable('T');
}, 60_000);

afterAll(() => under.stop());

describe('objects', () => {
  test('one that fails does not keep the others', async () => {
    await under.createTable('Mixed');
    await under.upload([
      ...jsonObjects('mixed', 30),
      { key: 'mixed/broken.json.gz', body: Buffer.from('this is not gzip') },
    ]);
    await under.putLoad('mixed', { destination: { table: 'Mixed' } });
    const { runId, summary } = await under.run('mixed');
    expect(summary).toMatchObject({ state: 'completedWithFailures', objects: { ingested: 30, failed: 1 } });
    const [failure] = Object.values(summary!.failures);
    expect(failure!.examples[0]!.key).toBe('mixed/broken.json.gz');
    expect(await under.kusto.countRows('Mixed')).toBe(30);

    const failed = await under.app.request('GET', `/api/runs/${runId}/objects?state=failed`);
    expect(failed.body.objects).toMatchObject([{ key: 'mixed/broken.json.gz', state: 'failed' }]);
    let listed = 0;
    for (let after = ''; ; ) {
      const page = await under.app.request('GET', `/api/runs/${runId}/objects?limit=7${after}`);
      listed += page.body.objects.length;
      if (page.body.next === null) break;
      after = `&after=${encodeURIComponent(page.body.next)}`;
    }
    expect(listed).toBe(31);
  });
});

describe('a run that can not be', () => {
  test.each([
    ['a wrong secret', 'wrong-secret', { source: { credentials: 'wrong' } }, 'sourceAccessDenied'],
    ['a missing bucket', 'missing-bucket', { source: { bucket: 'no-such-bucket' } }, 'bucketNotFound'],
    ['a missing table', 'missing-table', { destination: { table: 'NoSuchTable' } }, 'tableNotFound'],
    [
      'a missing mapping',
      'missing-mapping',
      { destination: { mapping: 'no_such_mapping' } },
      'mappingNotFound',
    ],
    [
      'a missing database',
      'missing-database',
      { destination: { database: 'no_such_database' } },
      'databaseNotFound',
    ],
    [
      'unknown credentials',
      'unknown-credentials',
      { source: { credentials: 'nobody' } },
      'credentialsNotFound',
    ],
  ])('%s fails it at once, with a remedy', async (_, name, changes, code) => {
    await under.putLoad(name, changes);
    const { state, summary } = await under.run(name);
    expect(state).toBe('failed');
    expect(summary).toMatchObject({ state: 'failed', problem: { code }, objects: { ingested: 0 } });
    expect(summary!.problem!.remedy).not.toBe('');
    expect(JSON.stringify(summary)).not.toMatch(/not-the-secret|Signature=|sig=/);
  });

  test('an invalid definition is refused with all its problems', async () => {
    const answer = await under.app.request('PUT', '/api/loads/invalid', {
      source: { bucket: 'UPPER', sufix: '.x' },
      format: { type: 'jsn' },
    });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ code: 'invalidDefinition', status: 400 });
    expect(answer.body.problems.map(({ field }: { field: string }) => field).sort()).toEqual([
      'destination',
      'format.type',
      'source.bucket',
      'source.sufix',
    ]);
  });
});

describe('the API', () => {
  test('asks for a key, but for health', async () => {
    const { url } = under.stack.host;
    expect((await fetch(`${url}/api/loads`)).status).toBe(401);
    expect((await fetch(`${url}/api/ready`)).status).toBe(401);
    expect((await fetch(`${url}/api/health`)).status).toBe(200);
  });

  test('does not start a load that is running, and honours Idempotency-Key', async () => {
    await under.createTable('Busy');
    await under.upload(jsonObjects('busy', 5));
    await under.putLoad('busy', { destination: { table: 'Busy' } });
    const start = (key: string, body: unknown = {}) =>
      under.app.request('POST', '/api/loads/busy/runs', body, { 'idempotency-key': key });
    const [first, second] = await Promise.all([start('one'), start('one')]);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.body.runId).toBe(first.body.runId);
    expect(first.headers.get('location')).toBe(`${under.stack.host.url}/api/runs/${first.body.runId}`);
    expect(first.headers.get('retry-after')).toBe('2');

    const busy = await start('two');
    expect(busy).toMatchObject({ status: 409, body: { code: 'loadBusy', runId: first.body.runId } });
    expect(await start('one', { prefix: 'busy/0' })).toMatchObject({
      status: 422,
      body: { code: 'idempotencyMismatch' },
    });
    await under.waitForEnd(first.body.runId);
    expect(await under.kusto.countRows('Busy')).toBe(5);
    expect((await start('one')).body.runId).toBe(first.body.runId);
  });

  test('narrows a run by prefix', async () => {
    await under.createTable('Narrow');
    await under.upload(jsonObjects('narrow', 20));
    await under.putLoad('narrow', { destination: { table: 'Narrow' } });
    expect((await under.run('narrow', { prefix: 'narrow/0001' })).summary).toMatchObject({
      plan: { listed: 10 },
      objects: { ingested: 10 },
    });
    expect(await under.app.request('POST', '/api/loads/narrow/runs', { prefix: 'elsewhere/' })).toMatchObject(
      { status: 400, body: { code: 'invalidRequest' } },
    );
  });

  test('cancels a run: what is in flight is settled, nothing more is started', async () => {
    await under.createTable('Cancelled');
    await under.upload(jsonObjects('cancelled', 400));
    await under.putLoad('cancelled', {
      destination: { table: 'Cancelled' },
      concurrency: { lanes: 1, objectsPerActivity: 25, maxInFlight: 100 },
    });
    const runId = await under.app.startRun('cancelled');
    while ((await under.app.readRun(runId)).progress.objectsPosted === 0)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await under.app.request('POST', `/api/runs/${runId}/cancel`)).status).toBe(202);
    const { state, summary } = await under.waitForEnd(runId);
    expect(state).toBe('cancelled');
    const { ingested, notStarted, failed, unknown } = summary!.objects;
    expect({ failed, unknown }).toEqual({ failed: 0, unknown: 0 });
    expect(ingested + notStarted).toBe(400);
    expect(notStarted).toBeGreaterThan(0);
    expect(await under.kusto.countRows('Cancelled')).toBe(ingested);
    expect((await under.app.request('POST', `/api/runs/${runId}/cancel`)).status).toBe(202);

    expect((await under.run('cancelled')).summary).toMatchObject({
      state: 'completed',
      objects: { ingested: notStarted },
    });
    expect(await under.kusto.countRows('Cancelled')).toBe(400);
  });

  test('lists runs, newest first, in pages', async () => {
    await under.putLoad('listed');
    const runIds: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      runIds.unshift((await under.run('listed')).runId);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const first = await under.app.request('GET', '/api/runs?load=listed&limit=2');
    const second = await under.app.request(
      'GET',
      `/api/runs?load=listed&limit=2&after=${encodeURIComponent(first.body.next)}`,
    );
    expect([...first.body.runs, ...second.body.runs].map((run: { runId: string }) => run.runId)).toEqual(
      runIds,
    );
  });

  test('warns of another load that may load the same objects into the same table', async () => {
    await under.putLoad('wide', { destination: { table: 'Shared' } });
    const { body: load } = await under.app.request('GET', '/api/loads/wide');
    const { generation: _, updatedAt: __, warnings, ...definition } = load;
    expect(warnings).toEqual([]);
    const narrower = {
      ...definition,
      name: 'narrower',
      source: { ...definition.source, prefix: 'wide/2026/' },
    };
    const warning = { field: 'source.prefix', message: expect.stringContaining('"wide"') };
    expect(await under.app.request('PUT', '/api/loads/narrower', narrower)).toMatchObject({
      status: 201,
      body: { warnings: [warning] },
    });
    await under.createTable('Shared');
    const started = await under.app.request('POST', '/api/loads/wide/runs');
    expect(started).toMatchObject({
      status: 202,
      body: { warnings: [{ message: expect.stringContaining('"narrower"') }] },
    });
    await under.waitForEnd(started.body.runId);
  });

  test('answers 404 and 400 with problems', async () => {
    expect(await under.app.request('GET', '/api/runs/nothing')).toMatchObject({
      status: 404,
      body: { code: 'runNotFound' },
    });
    expect(await under.app.request('GET', '/api/loads/nothing')).toMatchObject({
      status: 404,
      body: { code: 'loadNotFound' },
    });
    expect(await under.app.request('POST', '/api/loads/nothing/runs')).toMatchObject({
      status: 404,
      body: { code: 'loadNotFound' },
    });
    expect(await under.app.request('PUT', '/api/loads/broken', '{')).toMatchObject({
      status: 400,
      body: { code: 'invalidRequest' },
    });
    expect(await under.app.request('GET', '/api/runs?limit=0')).toMatchObject({
      status: 400,
      body: { code: 'invalidRequest' },
    });
  });

  test('deletes a load; its name begins anew', async () => {
    await under.createTable('Deleted');
    await under.upload(jsonObjects('deleted', 3));
    await under.putLoad('deleted', { destination: { table: 'Deleted' } });
    await under.run('deleted');
    expect((await under.app.request('DELETE', '/api/loads/deleted')).status).toBe(204);
    expect((await under.app.request('GET', '/api/loads/deleted')).status).toBe(404);
    await under.putLoad('deleted', { destination: { table: 'Deleted' } });
    expect((await under.app.request('GET', '/api/loads/deleted')).body.generation).toBe(2);
    expect((await under.run('deleted')).summary).toMatchObject({ objects: { ingested: 3 } });
  });
});
