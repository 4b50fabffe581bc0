import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FunctionsHost, startFunctionsHost } from '../../../dev/functions-host/index.ts';
import { appFolder, Client, readTrace, runHost, temporaryFolder } from './running-host.ts';

describe('durable orchestrations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
  let host: FunctionsHost;
  let client: Client;

  beforeAll(async () => {
    host = await startFunctionsHost({
      appFolder: appFolder('durable'),
      stateFile: join(folder, 'state.db'),
      logLevel: 'none',
      graceMs: 200,
    });
    client = new Client(host);
  });
  afterAll(async () => {
    await host?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('runs activities one after the other and shows input, output and custom status', async () => {
    const status = await client.run('hello', { a: 1 });
    expect(status).toMatchObject({
      runtimeStatus: 'Completed',
      input: { a: 1 },
      output: { first: { a: 1 }, second: 'text' },
      customStatus: { step: 2 },
    });
  });

  it('fans out 100 activities', async () => {
    expect((await client.run('fan', { count: 100 })).output).toBe(9_900);
  });

  it('runs lanes of sub-orchestrations with continue-as-new', async () => {
    const id = await client.start('lanes', { lanes: 3, shards: 7, perShard: 5 });
    expect((await client.finish(id)).output).toBe(3 * 7 * 20);
    expect(await client.status(`${id}-lane-2`)).toMatchObject({ runtimeStatus: 'Completed', output: 140 });
    expect(await client.status(`${id}-lane-0-shard-1`)).toMatchObject({ output: 20 });
  });

  it('hands failures of activities and sub-orchestrations to the orchestrator, and retries', async () => {
    const { output } = await client.run('catching');
    const { caught, attempt } = output as { caught: string[]; attempt: number };
    expect(attempt).toBe(3);
    expect(caught).toHaveLength(3);
    for (const message of caught) expect(message).toContain("Activity function 'fail' failed: no luck with");
    expect(caught[0]).toContain("Orchestrator function 'failing' failed");
  });

  it('fails an instance whose orchestrator throws', async () => {
    const status = await client.run('failing');
    expect(status.runtimeStatus).toBe('Failed');
    expect(status.output).toContain(
      "Orchestrator function 'failing' failed: Activity function 'fail' failed",
    );
    const response = await client.durable(
      'GET',
      `instances/${status.instanceId}?returnInternalServerErrorOnFailure=true`,
    );
    expect(response.status).toBe(500);
  });

  it('waits for timers by their time', async () => {
    const { output } = await client.run('timer', { waitMs: 250 });
    expect(output).toBeGreaterThanOrEqual(250);
    expect(output).toBeLessThan(5_000);
  });

  it('cancels a timer that lost a race', async () => {
    expect((await client.run('race')).output).toEqual(['won', 'after']);
  });

  it('delivers external events in order, early ones too', async () => {
    const id = await client.start('waiter');
    for (const value of [1, { two: 2 }]) {
      expect((await client.durable('POST', `instances/${id}/raiseEvent/go`, value)).status).toBe(202);
    }
    expect(await client.finish(id)).toMatchObject({ output: [1, { two: 2 }], customStatus: 'first' });
  });

  it('keeps unread events over continue-as-new', async () => {
    const id = await client.start('counter', { left: 5, sum: 0 });
    for (const value of [1, 2, 3, 4, 5]) {
      await client.durable('POST', `instances/${id}/raiseEvent/add`, value);
    }
    const status = await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Completed');
    expect(status.output).toBe(15);
  });

  it('starts instances from activities', async () => {
    const { output } = await client.run('startsOthers');
    expect((await client.finish(output as string)).output).toMatchObject({ first: { from: 'activity' } });
  });

  it('suspends and resumes without losing events', async () => {
    const id = await client.start('waiter');
    await client.durable('POST', `instances/${id}/suspend?reason=pause`);
    await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Suspended');
    await client.durable('POST', `instances/${id}/raiseEvent/go`, 'a');
    await client.durable('POST', `instances/${id}/raiseEvent/go`, 'b');
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect((await client.status(id)).runtimeStatus).toBe('Suspended');
    await client.durable('POST', `instances/${id}/resume?reason=on`);
    expect((await client.finish(id)).output).toEqual(['a', 'b']);
  });

  it.each(['terminate', 'suspend'])(
    'reaches the instance itself with %s, not its children',
    async (action) => {
      const id = await client.start('lanes', { lanes: 1, shards: 4, perShard: 30 });
      await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Running');
      await client.durable('POST', `instances/${id}/${action}?reason=enough`);
      const after = action === 'terminate' ? 'Terminated' : 'Suspended';
      const stopped = await client.until(id, ({ runtimeStatus }) => runtimeStatus === after);
      expect(stopped.output).toBe(action === 'terminate' ? 'enough' : null);
      expect((await client.finish(`${id}-lane-0`)).output).toBe(4 * 870);
      expect((await client.status(id)).runtimeStatus).toBe(after);
      if (action === 'suspend') return;
      expect((await client.durable('POST', `instances/${id}/terminate?reason=again`)).status).toBe(410);
      expect((await client.durable('POST', `instances/${id}/raiseEvent/go`, 1)).status).toBe(410);
    },
  );

  it('refuses the id of a running instance and takes that of a finished one', async () => {
    const first = await client.durable('POST', 'orchestrators/waiter/fixed-id');
    expect(first.status).toBe(202);
    expect((await client.durable('POST', 'orchestrators/hello/fixed-id')).status).toBe(409);
    await client.durable('POST', 'instances/fixed-id/terminate?reason=x');
    await client.finish('fixed-id');
    expect((await client.durable('POST', 'orchestrators/hello/fixed-id', { again: true })).status).toBe(202);
    expect((await client.finish('fixed-id')).output).toMatchObject({ first: { again: true } });
  });

  it('fails a sub-orchestration whose id a running instance has', async () => {
    const id = await client.start('waiter', null, 'taken');
    const { output } = await client.run('clashes', { id });
    expect(output).toContain("An instance with id 'taken' is running already");
    expect((await client.status(id)).runtimeStatus).toBe('Running');
  });

  it('refuses bad starts by name', async () => {
    const unknown = await client.durable('POST', 'orchestrators/nobody');
    expect(unknown.status).toBe(400);
    expect(((await unknown.json()) as { Message: string }).Message).toContain('lanes');
    expect((await client.durable('POST', 'orchestrators/hello/%40bad')).status).toBe(400);
    expect((await client.durable('GET', 'instances/nobody')).status).toBe(404);
    expect((await client.durable('POST', 'instances/nobody/raiseEvent/go', 1)).status).toBe(404);
    expect((await client.durable('GET', 'entities/counter/key')).status).toBe(501);
  });

  it('shows the history with times and names', async () => {
    const id = await client.start('hello', 5);
    await client.finish(id);
    const { historyEvents } = await client.status(id, '?showHistory=true&showHistoryOutput=true');
    expect(historyEvents?.map((each) => each.EventType)).toEqual([
      'ExecutionStarted',
      'TaskCompleted',
      'TaskCompleted',
      'ExecutionCompleted',
    ]);
    expect(historyEvents?.[1]).toMatchObject({ FunctionName: 'echo', Result: 5 });
    expect(historyEvents?.[1]).toHaveProperty('ScheduledTime');
  });

  it('pages over instances, filters them and purges finished ones', async () => {
    const ids = ['page-1', 'page-2', 'page-3'];
    for (const id of ids) await client.start('hello', null, id);
    for (const id of ids) await client.finish(id);
    const base = 'instances/?instanceIdPrefix=page-&runtimeStatus=Completed&top=2';
    const first = await client.durable('GET', base);
    expect(((await first.json()) as { instanceId: string }[]).map((each) => each.instanceId)).toEqual([
      'page-1',
      'page-2',
    ]);
    const token = first.headers.get('x-ms-continuation-token') ?? '';
    expect(token).not.toBe('');
    const second = await fetch(`${host.url}/durabletask/${base}`, {
      headers: { 'x-ms-continuation-token': token },
    });
    expect(((await second.json()) as { instanceId: string }[]).map((each) => each.instanceId)).toEqual([
      'page-3',
    ]);
    expect(second.headers.get('x-ms-continuation-token')).toBe('');
    expect(await (await client.durable('DELETE', 'instances/page-1')).json()).toEqual({
      instancesDeleted: 1,
    });
    expect((await client.durable('GET', 'instances/page-1')).status).toBe(404);
    expect((await client.durable('DELETE', 'instances/?runtimeStatus=Completed')).status).toBe(400);
  });

  it('serves every method of the durable client', async () => {
    const id = await client.start('waiter');
    expect(await client.client('suspend', id, 'a')).toEqual({ ok: null });
    await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Suspended');
    expect(await client.client('resume', id, 'b')).toEqual({ ok: null });
    expect(await client.client('raiseEvent', id, 'go', { x: 1 })).toEqual({ ok: null });
    expect(await client.client('terminate', id, 'done')).toEqual({ ok: null });
    await client.finish(id);
    expect((await client.client('getStatus', id, { showHistory: true })).ok).toMatchObject({
      runtimeStatus: 'Terminated',
    });
    const listed = (
      await client.client('getStatusBy', { createdTimeFrom: '2000-01-01', runtimeStatus: ['Terminated'] })
    ).ok;
    expect((listed as { instanceId: string }[]).map((each) => each.instanceId)).toContain(id);
    expect((await client.client('rewind', id, 'x')).error).toContain('410');
    expect(await client.client('purgeInstanceHistory', id)).toEqual({ ok: { instancesDeleted: 1 } });
    expect((await client.client('getStatus', id)).error).toContain('404');
    expect(await client.client('purgeInstanceHistory', id)).toEqual({ ok: { instancesDeleted: 0 } });
    const clash = await client.client('startNew', 'waiter', { instanceId: 'clash' });
    expect(clash).toEqual({ ok: 'clash' });
    expect((await client.client('startNew', 'waiter', { instanceId: 'clash' })).error).toContain('409');
  });
});

describe('turns and test modes', () => {
  it.each([1, 8, 32])('gives the same result with at most %i events a turn', async (eventsPerTurn) => {
    const { host } = await runHost('durable', {
      stateFile: join(temporaryFolder(), 'state.db'),
      eventsPerTurn,
      logLevel: 'none',
    });
    const client = new Client(host);
    expect((await client.run('fan', { count: 40 })).output).toBe(1_560);
    expect((await client.run('lanes', { lanes: 2, shards: 4, perShard: 6 })).output).toBe(2 * 4 * 30);
    const metrics = (await (
      await fetch(`${host.url}/admin/host/metrics`, { headers: { 'x-functions-key': host.masterKey } })
    ).json()) as { durable: { events: number; turns: number } };
    expect(metrics.durable.events / metrics.durable.turns).toBeLessThanOrEqual(eventsPerTurn);
  });

  it('runs each activity twice at the same time when told to, with one result', async () => {
    const folder = temporaryFolder();
    const trace = join(folder, 'trace');
    const { host } = await runHost('durable', {
      stateFile: join(folder, 'state.db'),
      activitiesTwice: true,
      env: { TRACE_FILE: trace },
      logLevel: 'none',
    });
    expect((await new Client(host).run('fan', { count: 20 })).output).toBe(380);
    expect(readTrace(trace)).toHaveLength(40);
  });
});
