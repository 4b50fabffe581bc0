import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { RunStatus } from '../../shared/usecases/read-run.ts';
import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

let under: StackUnderTest;

beforeAll(async () => {
  under = await startStackUnderTest();
}, 60_000);

afterAll(() => under.stop());

const post = (path: string, body?: unknown, headers?: Record<string, string>) =>
  under.app.request('POST', path, body, headers);

async function waitFor(runId: string, isReached: (status: RunStatus) => boolean): Promise<RunStatus> {
  for (;;) {
    const status = await under.app.readRun(runId);
    if (isReached(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A load of objects in small units, so that there is time to step in. */
async function prepare(load: string, count: number): Promise<string> {
  const table = `T_${load.replaceAll('-', '_')}`;
  await under.createTable(table);
  await under.upload(jsonObjects(load, count));
  await under.putLoad(load, {
    destination: { table },
    concurrency: { lanes: 1, objectsPerActivity: 25, maxInFlight: 50 },
  });
  return table;
}

describe('suspend and resume', () => {
  test('a run that is suspended posts nothing more, also on another host, and goes on when it is resumed', async () => {
    const table = await prepare('suspended', 100);
    const runId = await under.app.startRun('suspended');
    await waitFor(runId, ({ progress }) => progress.objectsPosted > 0);
    const suspended = await post(`/api/runs/${runId}/suspend`);
    expect(suspended).toMatchObject({ status: 202, body: { runId, state: 'suspended' } });
    expect(suspended.headers.get('location')).toBe(`${under.stack.host.url}/api/runs/${runId}`);

    // What is in flight is settled; then everything rests.
    let done = -1;
    for (;;) {
      const { state, progress } = await under.app.readRun(runId);
      expect(state).toBe('suspended');
      if (progress.objectsDone > 0 && progress.objectsDone === done) break;
      done = progress.objectsDone;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    await under.stack.host.kill('SIGKILL');
    await under.stack.restartHost();
    expect(await post(`/api/runs/${runId}/suspend`)).toMatchObject({
      status: 202,
      body: { state: 'suspended' },
    });
    expect(done).toBeLessThan(100);
    expect(await under.kusto.countRows(table)).toBe(done);
    expect(await post('/api/loads/suspended/runs')).toMatchObject({
      status: 409,
      body: { code: 'loadBusy', runId },
    });

    expect(await post(`/api/runs/${runId}/resume`)).toMatchObject({
      status: 202,
      body: { state: 'running' },
    });
    expect((await post(`/api/runs/${runId}/resume`)).status).toBe(202);
    expect((await under.waitForEnd(runId)).summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 100, failed: 0, unknown: 0 },
    });
    expect(await under.kusto.countRows(table)).toBe(100);
    for (const order of ['suspend', 'resume'])
      expect(await post(`/api/runs/${runId}/${order}`)).toMatchObject({
        status: 409,
        body: { code: 'runEnded', state: 'completed' },
      });
  });

  test('a suspended run can be cancelled', async () => {
    const table = await prepare('suspended-cancelled', 100);
    const runId = await under.app.startRun('suspended-cancelled');
    await post(`/api/runs/${runId}/suspend`);
    expect((await post(`/api/runs/${runId}/cancel`)).body).toEqual({ runId, state: 'cancelling' });
    expect(await post(`/api/runs/${runId}/resume`)).toMatchObject({
      status: 409,
      body: { code: 'runCancelling' },
    });
    const { summary } = await under.waitForEnd(runId);
    expect(summary!.state).toBe('cancelled');
    expect(await under.kusto.countRows(table)).toBe(summary!.objects.ingested);
    expect(await post('/api/runs/no-such-run/suspend')).toMatchObject({
      status: 404,
      body: { code: 'runNotFound' },
    });
  });
});

describe('rerun', () => {
  test('takes exactly what failed, once, when the cause is mended', async () => {
    await under.createTable('T_again');
    const broken = { key: 'again/broken.json.gz', body: Buffer.from('this is not gzip') };
    await under.upload([...jsonObjects('again', 10), broken]);
    await under.putLoad('again', { destination: { table: 'T_again' } });
    const { runId, summary } = await under.run('again');
    expect(summary!.objects).toMatchObject({ ingested: 10, failed: 1 });

    await under.upload([
      { key: broken.key, body: gzipSync(`${JSON.stringify({ line: broken.key, n: 10 })}\n`) },
      ...jsonObjects('again/later', 1),
    ]);
    const order = { objects: 'failed' };
    const started = await post(`/api/runs/${runId}/rerun`, order, { 'idempotency-key': 'once' });
    expect(started.status).toBe(202);
    expect(started.headers.get('location')).toBe(`${under.stack.host.url}/api/runs/${started.body.runId}`);
    // The same run, or, once that has planned, busy with it.
    const repeated = await post(`/api/runs/${runId}/rerun`, order);
    expect([202, 409]).toContain(repeated.status);
    expect(repeated.body.runId).toBe(started.body.runId);
    expect((await under.waitForEnd(started.body.runId)).summary).toMatchObject({
      state: 'completed',
      trigger: 'rerun',
      plan: { listed: 1 },
      objects: { ingested: 1 },
    });
    expect((await post(`/api/runs/${runId}/rerun`, order, { 'idempotency-key': 'once' })).body.runId).toBe(
      started.body.runId,
    );

    const second = await post(`/api/runs/${runId}/rerun`, { objects: 'notIngested' });
    expect((await under.waitForEnd(second.body.runId)).summary).toMatchObject({
      state: 'completed',
      plan: { listed: 1, selected: 0, skipped: { unchanged: 1 } },
    });
    expect(await under.kusto.countRows('T_again')).toBe(11);
  });

  test('is refused for what it can not do', async () => {
    await under.createTable('T_moved');
    await under.putLoad('moved', { destination: { table: 'T_moved' } });
    const { runId } = await under.run('moved');
    expect(await post(`/api/runs/${runId}/rerun`, { objects: 'all' })).toMatchObject({
      status: 400,
      body: { code: 'invalidRequest', problems: [{ field: 'objects' }] },
    });
    expect(await post('/api/runs/no-such-run/rerun')).toMatchObject({
      status: 404,
      body: { code: 'runNotFound' },
    });
    await under.putLoad('moved', { destination: { table: 'T_again' } });
    expect(await post(`/api/runs/${runId}/rerun`)).toMatchObject({
      status: 409,
      body: { code: 'loadChanged' },
    });
  });
});

describe('reset', () => {
  test('has the ledger forget the objects under a prefix, so that the next run loads them again', async () => {
    await under.createTable('T_reset');
    await under.upload([...jsonObjects('reset/a', 4), ...jsonObjects('reset/b', 3)]);
    await under.putLoad('reset', { destination: { table: 'T_reset' } });
    await under.run('reset');
    expect(await post('/api/loads/reset/reset')).toMatchObject({
      status: 400,
      body: { code: 'invalidRequest', problems: [{ field: 'prefix', message: 'is missing' }] },
    });
    const started = await under.app.request('POST', '/api/loads/reset/reset', { prefix: 'reset/b/' });
    expect(started).toMatchObject({ status: 202, body: { load: 'reset', prefix: 'reset/b/' } });
    const path = `/api/operations/${started.body.operationId}`;
    await expect
      .poll(async () => (await under.app.request('GET', path)).body, { timeout: 60_000 })
      .toMatchObject({ kind: 'reset', state: 'succeeded', objects: 3, problem: null });
    const again = await under.run('reset');
    expect(again.summary).toMatchObject({ objects: { ingested: 3 }, plan: { skipped: { unchanged: 4 } } });
    expect(await under.kusto.countRows('T_reset')).toBe(10);
  });
});

describe('undo', () => {
  async function undo(runId: string) {
    const [started, twin] = await Promise.all([
      post(`/api/runs/${runId}/undo`),
      post(`/api/runs/${runId}/undo`),
    ]);
    expect(started).toMatchObject({ status: 202, body: { runId } });
    const { operationId } = started.body;
    expect(twin).toMatchObject({ status: 202, body: { operationId } });
    const path = `/api/operations/${operationId}`;
    expect(started.headers.get('location')).toBe(`${under.stack.host.url}${path}`);
    for (;;) {
      const { body } = await under.app.request('GET', path);
      if (body.state !== 'running') return body;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  test('takes the rows of a run out, so that the next one loads its objects again', async () => {
    await under.createTable('T_undone');
    await under.upload(jsonObjects('undone/first', 30));
    await under.putLoad('undone', { destination: { table: 'T_undone' } });
    const first = await under.run('undone');
    await under.upload(jsonObjects('undone/second', 5));
    await under.run('undone');
    expect(await under.kusto.countRows('T_undone')).toBe(35);

    expect(await undo(first.runId)).toMatchObject({
      kind: 'undo',
      state: 'succeeded',
      load: 'undone',
      tag: first.summary!.tag,
      runs: [first.runId],
      objects: 30,
      rows: 30,
      problem: null,
    });
    const [left] = await under.kusto.query(
      'T_undone | summarize rows = count(), of = countif(line has "second")',
    );
    expect(left).toEqual({ rows: 5, of: 5 });

    expect((await under.run('undone')).summary).toMatchObject({
      objects: { ingested: 30 },
      plan: { skipped: { unchanged: 5 } },
    });
    const [all] = await under.kusto.query('T_undone | summarize rows = count(), objects = dcount(line)');
    expect(all).toEqual({ rows: 35, objects: 35 });
    const nothing = await undo(first.runId);
    expect(nothing).toMatchObject({ state: 'succeeded', objects: 0, rows: 0 });
    expect(await under.kusto.countRows('T_undone')).toBe(35);
    expect(await post(`/api/operations/${nothing.operationId}/cancel`)).toMatchObject({
      status: 409,
      body: { code: 'operationEnded', state: 'succeeded' },
    });
  });

  test('is refused for what there is not, and while the load is run', async () => {
    const table = await prepare('undone-busy', 100);
    const runId = await under.app.startRun('undone-busy');
    await post(`/api/runs/${runId}/suspend`);
    expect(await post(`/api/runs/${runId}/undo`)).toMatchObject({
      status: 409,
      body: { code: 'loadBusy', runId },
    });
    await post(`/api/runs/${runId}/cancel`);
    await under.waitForEnd(runId);
    expect(await under.kusto.countRows(table)).toBeLessThan(100);
    expect(await post('/api/runs/no-such-run/undo')).toMatchObject({
      status: 404,
      body: { code: 'runNotFound' },
    });
    for (const [method, path] of [
      ['GET', '/api/operations/no-such-operation'],
      ['POST', '/api/operations/no-such-operation/cancel'],
    ] as const)
      expect(await under.app.request(method, path)).toMatchObject({
        status: 404,
        body: { code: 'operationNotFound' },
      });
  });
});
