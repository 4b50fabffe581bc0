import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FunctionsHost, startFunctionsHost } from '../../../dev/functions-host/index.ts';
import { DurableClient } from '../../host/durable-client.ts';
import { appFolder, runHost, temporaryFolder } from './running-host.ts';

/** What only this host does: see also tests/host, which real hosts are held to as well. */
describe('durable orchestrations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
  let host: FunctionsHost;
  let client: DurableClient;

  beforeAll(async () => {
    host = await startFunctionsHost({
      appFolder: appFolder('durable'),
      stateFile: join(folder, 'state.db'),
      logLevel: 'none',
      graceMs: 200,
    });
    client = new DurableClient(host);
  });
  afterAll(async () => {
    await host?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('fails a sub-orchestration whose id a running instance has', async () => {
    const id = await client.start('waiter', null, 'taken');
    const { output } = await client.run('clashes', { id });
    expect(output).toContain("An instance with id 'taken' is running already");
    expect((await client.status(id)).runtimeStatus).toBe('Running');
  });

  it('refuses by name what it does not do', async () => {
    const unknown = await client.durable('POST', 'orchestrators/nobody');
    expect(((await unknown.json()) as { Message: string }).Message).toContain('lanes');
    for (const id of ['%40bad', `${'x'.repeat(257)}`, 'a%23b'])
      expect((await client.durable('POST', `orchestrators/hello/${id}`)).status).toBe(400);
    expect((await client.durable('GET', 'entities/counter/key')).status).toBe(501);
    const { instanceId } = await client.run('failing');
    expect((await client.durable('POST', `instances/${instanceId}/rewind?reason=x`)).status).toBe(501);
    const running = await client.start('waiter');
    expect((await client.durable('POST', `instances/${running}/rewind?reason=x`)).status).toBe(412);
    // A running instance is not purged.
    expect((await client.durable('DELETE', `instances/${running}`)).status).toBe(404);
    expect((await client.durable('GET', 'instances/?top=0')).status).toBe(400);
  });

  it('starts a finished instance again by its own id or a new one', async () => {
    const { instanceId } = await client.run('hello', { n: 1 });
    const restart = (query: string) => client.durable('POST', `instances/${instanceId}/restart?${query}`);
    const other = (await (await restart('')).json()) as { id: string };
    expect(other.id).not.toBe(instanceId);
    expect((await client.finish(other.id)).input).toEqual({ n: 1 });
    expect((await restart('restartWithNewInstanceId=false')).status).toBe(202);
    expect((await client.finish(instanceId)).output).toMatchObject({ first: { n: 1 } });
  });

  it('carries events over continue-as-new that came in the same turn, after it', async () => {
    const id = await client.start('counter', { left: 5, sum: 0 });
    await client.durable('POST', `instances/${id}/suspend?reason=x`);
    await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Suspended');
    for (const value of [1, 2, 3, 4, 5]) await client.raise(id, 'add', value);
    await client.durable('POST', `instances/${id}/resume?reason=x`);
    const status = await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Completed');
    expect(status.output).toBe(15);
  });

  it('lists more instances than a page of 100 has', async () => {
    const ids = Array.from({ length: 105 }, (_, at) => `many-${1_000 + at}`);
    for (const id of ids) await client.start('hello', null, id);
    const path = 'instances/?instanceIdPrefix=many-';
    const first = await client.durable('GET', path);
    const token = first.headers.get('x-ms-continuation-token') ?? '';
    const second = await client.durable('GET', path, { headers: { 'x-ms-continuation-token': token } });
    expect(second.headers.get('x-ms-continuation-token')).toBe('');
    const pages = [await first.json(), await second.json()] as { instanceId: string }[][];
    expect(pages.map((page) => page.length)).toEqual([100, 5]);
    expect(pages.flat().map(({ instanceId }) => instanceId)).toEqual(ids);
    const { ok } = await client.call('getStatusAll');
    expect((ok as unknown[]).length).toBeGreaterThanOrEqual(105);
  });

  it('waits for the end of an instance when its start asks for that', async () => {
    const answer = await client.durable('POST', 'orchestrators/hello?timeout=20&pollingInterval=1', {
      body: 3,
    });
    expect([answer.status, ((await answer.json()) as { first: number }).first]).toEqual([200, 3]);
    const late = await client.durable('POST', 'orchestrators/waiter?timeout=0.1&pollingInterval=1');
    expect(late.status).toBe(202);
  });
});

describe('turns and test modes', () => {
  it('counts the longest history and the longest payload, also of executions that continued as new', async () => {
    const { host } = await runHost('durable', {
      stateFile: join(temporaryFolder(), 'state.db'),
      logLevel: 'none',
    });
    const longest = async () => {
      const headers = { 'x-functions-key': host.masterKey };
      const answer = await fetch(`${host.url}/admin/host/metrics`, { headers });
      const { durable } = (await answer.json()) as { durable: Record<string, number> };
      return { history: durable.longestHistoryBytes!, payload: durable.longestPayloadBytes! };
    };
    const client = new DurableClient(host);
    const id = await client.start('counter', { left: 1, sum: 0 });
    await client.raise(id, 'add', 1);
    await client.finish(id);
    const short = await longest();
    expect(short.history).toBeGreaterThan(short.payload);
    // Of one execution the long text is an input, and the next one has it no more.
    const other = await client.start('counter', { left: 2, sum: 0, text: 'ä'.repeat(5000) });
    for (const value of [1, 2]) await client.raise(other, 'add', value);
    await client.finish(other);
    const long = await longest();
    expect(long.payload).toBeGreaterThan(10_000);
    expect(long.payload).toBeLessThan(10_100);
    expect(long.history).toBeGreaterThan(long.payload);
    expect(long.history).toBeLessThan(short.history + 11_000);
  });

  it.each([1, 8, 32])(
    'gives an orchestrator at most %i events a turn, and as many',
    async (eventsPerTurn) => {
      const { host } = await runHost('limits', {
        stateFile: join(temporaryFolder(), 'state.db'),
        eventsPerTurn,
        logLevel: 'none',
      });
      const client = new DurableClient(host);
      // Events wait while it is suspended, so that there are more than one turn can take.
      const id = await client.start('collect', { count: 40 });
      await client.durable('POST', `instances/${id}/suspend?reason=x`);
      await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Suspended');
      for (let value = 1; value <= 40; value += 1) await client.raise(id, 'add', value);
      await client.durable('POST', `instances/${id}/resume?reason=x`);
      expect((await client.finish(id)).output).toBe(820);
      expect(await (await fetch(`${host.url}/api/most`)).json()).toMatchObject({ events: eventsPerTurn });
    },
  );

  it('runs each activity twice at the same time when told to, with one result, within the limit', async () => {
    const { host, log } = await runHost('limits', {
      stateFile: join(temporaryFolder(), 'state.db'),
      activitiesTwice: true,
      logLevel: 'information',
    });
    expect((await new DurableClient(host).run('pairs', { count: 12 })).output).toBe(12);
    const spans = (await (await fetch(`${host.url}/api/spans`)).json()) as Record<
      string,
      { startMs: number; endMs: number }[]
    >;
    expect(Object.keys(spans)).toHaveLength(12);
    for (const [first, second, ...more] of Object.values(spans)) {
      expect(more).toEqual([]);
      expect(Math.max(first!.startMs, second!.startMs)).toBeLessThan(Math.min(first!.endMs, second!.endMs));
    }
    // Each run of a pair is on a worker of its own, with host.json's limit of 3.
    expect(await (await fetch(`${host.url}/api/most`)).json()).toMatchObject({ activities: 6 });
    const differences = log.filter((line) => /Activity 'pair' of \S+, run twice, gave 1 and 2$/.test(line));
    expect(differences).toHaveLength(12);
  });
});
