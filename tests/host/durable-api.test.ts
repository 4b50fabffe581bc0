import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { setUpTimeoutMs, useApp } from './app-under-test.ts';
import { DurableClient, type Status } from './durable-client.ts';

const app = useApp('durable');
const client = new DurableClient(app);
/** A given host keeps what earlier runs have left. */
const prefix = `t${randomBytes(6).toString('hex')}-`;

describe.skipIf(!app.isServed)(`${app.title}: the Durable API`, () => {
  describe('starts and control', () => {
    it('refuses the id of a running instance and takes that of a finished one', async () => {
      const id = `${prefix}fixed`;
      expect((await client.durable('POST', `orchestrators/waiter/${id}`)).status).toBe(202);
      // Older extensions answer 500.
      expect([409, 500]).toContain((await client.durable('POST', `orchestrators/hello/${id}`)).status);
      expect((await client.call('startNew', 'waiter', { instanceId: id })).error).toMatch(/409|500/);
      expect((await client.status(id)).name).toBe('waiter');
      await client.durable('POST', `instances/${id}/terminate?reason=x`);
      await client.finish(id);
      const again = await client.durable('POST', `orchestrators/hello/${id}`, { body: { again: true } });
      expect(again.status).toBe(202);
      const status = await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Completed');
      expect(status.output).toMatchObject({ first: { again: true } });
    });

    it('answers a start with the addresses of the instance', async () => {
      const response = await client.durable('POST', 'orchestrators/hello', { body: 1 });
      expect(response.status).toBe(202);
      const body = (await response.json()) as Record<string, string>;
      for (const name of [
        'statusQueryGetUri',
        'sendEventPostUri',
        'terminatePostUri',
        'purgeHistoryDeleteUri',
      ])
        expect(body[name]).toContain(body['id']);
      expect(response.headers.get('location')).toContain(body['id']);
      expect(response.headers.get('retry-after')).toBe('10');
      await client.finish(body['id']!);
    });

    it('refuses bad starts and unknown instances', async () => {
      expect((await client.durable('POST', 'orchestrators/nobody')).status).toBe(400);
      expect((await client.durable('GET', 'instances/nobody')).status).toBe(404);
      expect(await client.raise('nobody', 'go', 1)).toBe(404);
      for (const action of ['terminate', 'suspend', 'resume']) {
        expect((await client.durable('POST', `instances/nobody/${action}?reason=x`)).status).toBe(404);
      }
      expect((await client.durable('DELETE', 'instances/nobody')).status).toBe(404);
    });

    it('answers 410 to what comes for a finished instance', async () => {
      const { instanceId } = await client.run('hello');
      expect(await client.raise(instanceId, 'go', 1)).toBe(410);
      for (const action of ['terminate', 'suspend', 'resume']) {
        expect((await client.durable('POST', `instances/${instanceId}/${action}?reason=x`)).status).toBe(410);
      }
    });

    it('takes events as JSON only', async () => {
      const id = await client.start('waiter');
      const headers = { 'content-type': 'text/plain' };
      const path = `instances/${id}/raiseEvent/go`;
      expect((await client.durable('POST', path, { body: 1, headers })).status).toBe(400);
      await client.durable('POST', `instances/${id}/terminate?reason=x`);
      await client.finish(id);
    });

    it('opens to its own key only', async ({ skip }) => {
      if (app.functionKey === undefined) return skip('HOST_KEY is not given: func start asks for no keys');
      for (const key of ['', 'wrong', app.functionKey]) {
        expect((await client.durable('GET', 'instances/nobody', { key })).status).toBe(401);
      }
    });
  });

  describe('status, queries and purge', () => {
    const ids = ['1', '2', '3', '4', '5'].map((each) => `${prefix}page-${each}`);
    let startedAt: string;

    beforeAll(async () => {
      if (!app.isServed) return;
      // Times of instances are whole seconds.
      startedAt = new Date(Math.floor(Date.now() / 1000) * 1000 - 1000).toISOString();
      for (const id of ids.slice(0, 3)) await client.start('hello', { of: id }, id);
      for (const id of ids.slice(3)) await client.start('waiter', null, id);
      for (const id of ids.slice(0, 3)) await client.finish(id);
      await client.durable('POST', `instances/${ids[4]}/terminate?reason=x`);
      await client.finish(ids[4]!);
      await client.until(ids[3]!, ({ runtimeStatus }) => runtimeStatus === 'Running');
    }, setUpTimeoutMs);

    /** All instances of a query, page by page. */
    async function list(query: string): Promise<Status[]> {
      const found: Status[] = [];
      let token = '';
      do {
        const response = await client.durable('GET', `instances/?instanceIdPrefix=${prefix}page-&${query}`, {
          headers: token === '' ? {} : { 'x-ms-continuation-token': token },
        });
        expect(response.status).toBe(200);
        const page = (await response.json()) as Status[];
        const top = /top=(\d+)/.exec(query)?.[1];
        if (top !== undefined) expect(page.length).toBeLessThanOrEqual(Number(top));
        found.push(...page);
        token = response.headers.get('x-ms-continuation-token') ?? '';
      } while (token !== '');
      return found;
    }
    const listIds = async (query: string) => (await list(query)).map((each) => each.instanceId).sort();

    it('shows 202 and where to look while an instance is at work, 200 when it has ended', async () => {
      const running = await client.durable('GET', `instances/${ids[3]}`);
      expect([running.status, running.headers.get('retry-after')]).toEqual([202, '5']);
      expect(running.headers.get('location')).toContain(ids[3]);
      expect((await client.durable('GET', `instances/${ids[0]}`)).status).toBe(200);
    });

    it('shows times in whole seconds', async () => {
      const { createdTime, lastUpdatedTime } = await client.status(ids[0]!);
      for (const time of [createdTime, lastUpdatedTime])
        expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(Date.parse(lastUpdatedTime)).toBeGreaterThanOrEqual(Date.parse(createdTime));
    });

    it('hides the input when asked to', async () => {
      expect((await client.status(ids[0]!)).input).toEqual({ of: ids[0] });
      expect((await client.status(ids[0]!, '?showInput=false')).input).toBeNull();
    });

    it('shows the history with times and names', async () => {
      const plain = await client.status(ids[0]!, '?showHistory=true');
      expect(plain.historyEvents?.map((each) => each.EventType)).toEqual([
        'ExecutionStarted',
        'TaskCompleted',
        'TaskCompleted',
        'ExecutionCompleted',
      ]);
      expect(plain.historyEvents?.[1]).toMatchObject({ FunctionName: 'echo' });
      expect(plain.historyEvents?.[1]).toHaveProperty('ScheduledTime');
      expect(plain.historyEvents?.[1]).not.toHaveProperty('Result');
      const { historyEvents } = await client.status(ids[0]!, '?showHistory=true&showHistoryOutput=true');
      expect(historyEvents?.[1]).toMatchObject({ Result: { of: ids[0] } });
    });

    it('lists page by page', async () => {
      expect(await listIds('top=2')).toEqual(ids);
      expect(await listIds('')).toEqual(ids);
    });

    it('filters by state and by time', async () => {
      expect(await listIds('runtimeStatus=Running')).toEqual([ids[3]]);
      expect(await listIds('runtimeStatus=Completed,Terminated')).toEqual([0, 1, 2, 4].map((at) => ids[at]));
      expect(await listIds(`createdTimeFrom=${startedAt}`)).toEqual(ids);
      expect(await listIds('createdTimeFrom=2199-01-01T00:00:00Z')).toEqual([]);
      expect(await listIds(`createdTimeTo=${startedAt}`)).toEqual([]);
      expect((await list('runtimeStatus=Running&showInput=false'))[0]?.input).toBeNull();
    });

    it('purges one instance, and many by state and time', async () => {
      const one = await client.durable('DELETE', `instances/${ids[0]}`);
      expect([one.status, await one.json()]).toEqual([200, { instancesDeleted: 1 }]);
      expect((await client.durable('GET', `instances/${ids[0]}`)).status).toBe(404);
      expect((await client.durable('DELETE', 'instances/?runtimeStatus=Terminated')).status).toBe(400);
      const many = await client.durable(
        'DELETE',
        `instances/?createdTimeFrom=${startedAt}&runtimeStatus=Terminated`,
      );
      expect(many.status).toBe(200);
      expect(((await many.json()) as { instancesDeleted: number }).instancesDeleted).toBeGreaterThanOrEqual(
        1,
      );
      expect(await listIds('')).toEqual([1, 2, 3].map((at) => ids[at]));
      await client.durable('POST', `instances/${ids[3]}/terminate?reason=x`);
    });
  });

  it('serves every method of the durable client', async () => {
    const id = await client.start('waiter');
    expect(await client.call('suspend', id, 'a')).toEqual({ ok: null });
    await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Suspended');
    expect(await client.call('resume', id, 'b')).toEqual({ ok: null });
    await client.until(id, ({ runtimeStatus }) => runtimeStatus === 'Running');
    expect(await client.call('raiseEvent', id, 'go', { x: 1 })).toEqual({ ok: null });
    await client.until(id, ({ customStatus }) => customStatus === 'first');
    expect(await client.call('terminate', id, 'done')).toEqual({ ok: null });
    await client.finish(id);
    expect((await client.call('getStatus', id, { showHistory: true })).ok).toMatchObject({
      runtimeStatus: 'Terminated',
      output: 'done',
    });
    const listed = await client.call('getStatusBy', {
      createdTimeFrom: '2000-01-01',
      runtimeStatus: ['Terminated'],
    });
    expect((listed.ok as Status[]).map((each) => each.instanceId)).toContain(id);
    expect((await client.call('getStatusAll')).ok).toBeInstanceOf(Array);
    expect((await client.call('rewind', id, 'x')).error).toContain('410');
    expect(await client.call('purgeInstanceHistory', id)).toEqual({ ok: { instancesDeleted: 1 } });
    expect((await client.call('getStatus', id)).error).toContain('404');
    expect(await client.call('purgeInstanceHistory', id)).toEqual({ ok: { instancesDeleted: 0 } });
    const waited = await client.call('startNew', 'hello', { input: 7 });
    expect((await client.finish(waited.ok as string)).output).toMatchObject({ first: 7 });
  });
});
