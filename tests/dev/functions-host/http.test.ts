import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FunctionsHost, startFunctionsHost } from '../../../dev/functions-host/index.ts';
import { appFolder, runHost, temporaryFolder } from './running-host.ts';

describe('HTTP functions', () => {
  const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
  const log: string[] = [];
  let host: FunctionsHost;

  beforeAll(async () => {
    host = await startFunctionsHost({
      appFolder: appFolder('http'),
      stateFile: join(folder, 'state.db'),
      env: { FROM_BOTH: 'environment' },
      functionKey: 'the-function-key',
      onLog: (line) => log.push(line),
      graceMs: 100,
    });
  });
  afterAll(async () => {
    await host?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const call = (path: string, init?: RequestInit) => fetch(`${host.url}${path}`, init);
  const show = async (path: string, init?: RequestInit) => (await call(path, init)).json();

  it('follows routes by prefix, parameter, constraint and rest, the most literal first', async () => {
    expect(await show('/v1/plain')).toMatchObject({ name: 'plain', method: 'GET' });
    expect(await show('/V1/PLAIN')).toMatchObject({ name: 'plain' });
    expect(await show('/v1/items/7')).toMatchObject({ name: 'item', params: { id: '7' } });
    expect(await show('/v1/items/7/b%20c')).toMatchObject({ params: { id: '7', part: 'b c' } });
    expect(await show('/v1/items/latest')).toMatchObject({ name: 'latest' });
    expect(await show('/v1/files/a/b/c.txt')).toMatchObject({ name: 'files', params: { path: 'a/b/c.txt' } });
    for (const path of ['/v1/items/x', '/api/plain', '/v1/plain/more', '/v1/nowhere']) {
      expect((await call(path)).status).toBe(404);
    }
    expect((await call('/v1/files/a', { method: 'POST' })).status).toBe(404);
  });

  it('hands over query, headers and body', async () => {
    const init = { method: 'POST', headers: { 'x-test': 'h' }, body: 'text\u00e9' };
    expect(await show('/v1/plain?a=1&b=2&a=3', init)).toMatchObject({
      method: 'POST',
      query: { a: '1,3', b: '2' },
      header: 'h',
      body: 'text\u00e9',
    });
  });

  it('answers with status, headers, cookies and bytes', async () => {
    const response = await call('/v1/settings');
    expect(response.status).toBe(201);
    expect(response.headers.get('x-answer')).toBe('yes');
    expect(response.headers.get('set-cookie')).toBe('a=b%20c; max-age=60; httponly; samesite=strict');
    expect(Buffer.from(await (await call('/v1/binary')).arrayBuffer())).toEqual(Buffer.from([0, 255, 1]));
    expect((await call('/v1/nothing')).status).toBe(204);
  });

  it('takes local settings where the environment has none, and runs hooks', async () => {
    const { file, both, hostname, hooks } = (await show('/v1/settings')) as Record<string, unknown>;
    expect({ file, both }).toEqual({ file: 'file', both: 'environment' });
    expect(hostname).toBe(`localhost:${new URL(host.url).port}`);
    expect((hooks as string[])[0]).toBe('appStart');
    expect((hooks as string[]).at(-1)).toBe('pre settings');
  });

  it('answers 500 without detail when a function throws or takes too long', async () => {
    const response = await call('/v1/broken');
    expect([response.status, await response.text()]).toEqual([500, '']);
    expect(log.some((line) => line.includes('secret detail'))).toBe(true);
    expect((await call('/v1/endless')).status).toBe(500);
    expect(log.some((line) => line.includes('Timeout value of 1000 ms'))).toBe(true);
  });

  it.each([
    ['/v1/keyed', 'none', 401],
    ['/v1/keyed', 'wrong', 401],
    ['/v1/keyed', 'function', 200],
    ['/v1/keyed', 'master', 200],
    ['/v1/keyed', 'system', 401],
    ['/v1/owner', 'function', 401],
    ['/v1/owner', 'master', 200],
    ['/admin/host/status', 'none', 401],
    ['/admin/host/status', 'function', 401],
    ['/admin/host/status', 'master', 200],
    ['/admin/host/metrics', 'master', 200],
    ['/runtime/webhooks/durabletask/instances/', 'function', 401],
    ['/runtime/webhooks/durabletask/instances/', 'system', 200],
    ['/runtime/webhooks/durabletask/instances/', 'master', 200],
  ])('%s with the key "%s" answers %i, by header and by query', async (path, kind, expected) => {
    const keys: Record<string, string> = {
      wrong: 'wrong',
      function: 'the-function-key',
      master: host.masterKey,
      system: host.systemKey,
    };
    const key = keys[kind];
    const headers: Record<string, string> = key === undefined ? {} : { 'x-functions-key': key };
    expect((await call(path, { headers })).status).toBe(expected);
    expect((await call(key === undefined ? path : `${path}?code=${encodeURIComponent(key)}`)).status).toBe(
      expected,
    );
  });

  it('counts invocations', async () => {
    await call('/v1/plain');
    const headers = { 'x-functions-key': host.masterKey };
    const metrics = (await (await call('/admin/host/metrics', { headers })).json()) as {
      cpuMs: number;
      peakRssBytes: number;
      functions: Record<string, { invocations: number; failures: number }>;
    };
    expect(metrics.cpuMs).toBeGreaterThan(10);
    expect(metrics.peakRssBytes).toBeGreaterThan(20e6);
    expect(metrics.functions.plain?.invocations).toBeGreaterThan(0);
    expect(metrics.functions.broken).toMatchObject({ invocations: 1, failures: 1 });
  });
});

describe('start and end of the process', () => {
  const state = () => join(temporaryFolder(), 'state.db');

  it.each([
    ['empty', 'registered no functions'],
    ['throwing', 'entry file is broken'],
    ['streaming', 'enableHttpStream'],
    ['blob', 'trigger "entityTrigger" is not supported'],
    ['blob', 'trigger "blobTrigger" is not supported'],
    ['missing', 'host.json is missing'],
  ])('does not start the app "%s" and says why', async (app, reason) => {
    await expect(runHost(app, { stateFile: state() })).rejects.toThrow(reason);
  });

  it('runs the appTerminate hook at the end, and logs JSON when told to', async () => {
    const { host, log } = await runHost('http', { stateFile: state(), logFormat: 'json' });
    await host.stop();
    expect(log).toContain('terminated by the hook');
    const first = JSON.parse(log.find((line) => line.startsWith('{')) ?? '{}') as Record<string, unknown>;
    expect(first).toMatchObject({ level: 'information', category: 'host' });
  });

  it('does not share a state file with another host', async () => {
    const stateFile = state();
    await runHost('http', { stateFile });
    await expect(runHost('http', { stateFile })).rejects.toThrow('another host may be using it');
  });
});
