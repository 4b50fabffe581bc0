import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
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
    const envFile = join(folder, 'settings.env');
    writeFileSync(envFile, 'FROM_ENV_FILE=env file\nOVER_FILE=env file\nFROM_BOTH=env file\n');
    host = await startFunctionsHost({
      appFolder: appFolder('settings'),
      envFiles: [envFile],
      stateFile: join(folder, 'state.db'),
      env: { FROM_BOTH: 'environment', 'AzureWebJobs.switchedOff.Disabled': 'true' },
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

  it('take settings from the environment, then env files, then local settings', async () => {
    expect(await (await call('/api/settings')).json()).toEqual({
      file: 'file',
      both: 'environment',
      envFile: 'env file',
      overFile: 'env file',
      hostname: `localhost:${new URL(host.url).port}`,
    });
  });

  it('get the values of a repeated name joined', async () => {
    expect(await (await call('/api/repeated?a=1&b=2&a=3')).json()).toEqual({ a: '1,3', b: '2' });
  });

  it('get bodies of up to 100 MiB', async () => {
    const sizeBytes = 100 * 1024 * 1024;
    const send = (size: number) => call('/api/size', { method: 'POST', body: Buffer.alloc(size) });
    expect(await (await send(sizeBytes)).json()).toBe(sizeBytes);
    expect((await send(sizeBytes + 1)).status).toBe(413);
  });

  it('do not get larger ones, of which their clients hear although they go on sending', async () => {
    const piece = Buffer.alloc(10 * 1024 * 1024);
    const count = 13;
    const headers = { 'content-length': piece.length * count };
    const outgoing = request(`${host.url}/api/size`, { method: 'POST', headers });
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    const write = () =>
      new Promise<void>((resolve, reject) =>
        outgoing.write(piece, (error) => (error ? reject(error) : resolve())),
      );
    for (let sent = 0; sent < count; sent += 1) await write();
    outgoing.end();
    const [response] = await answered;
    expect(response.statusCode).toBe(413);
    response.resume();
  });

  it('are off when a setting says so', async () => {
    expect((await call('/api/switchedOff')).status).toBe(404);
  });

  it('log why they failed', async () => {
    expect((await call('/api/broken')).status).toBe(500);
    expect(log.some((line) => line.includes('secret detail'))).toBe(true);
  });

  it('have the key that was asked for; system keys open no function', async () => {
    expect(host.functionKey).toBe('the-function-key');
    expect((await call('/admin/host/ping')).status).toBe(200);
    for (const key of [host.functionKey, host.systemKey]) {
      expect((await call('/admin/host/status', { headers: { 'x-functions-key': key } })).status).toBe(401);
    }
    const durable = '/runtime/webhooks/durabletask/instances/';
    for (const [key, status] of [
      [host.functionKey, 401],
      [host.systemKey, 200],
      [host.masterKey, 200],
    ] as const) {
      expect((await call(`${durable}?code=${encodeURIComponent(key)}`)).status).toBe(status);
    }
  });

  it('are counted', async () => {
    await call('/api/settings');
    const headers = { 'x-functions-key': host.masterKey };
    const metrics = (await (await call('/admin/host/metrics', { headers })).json()) as {
      cpuMs: number;
      peakRssBytes: number;
      functions: Record<string, { invocations: number; failures: number }>;
    };
    expect(metrics.cpuMs).toBeGreaterThan(10);
    expect(metrics.peakRssBytes).toBeGreaterThan(20e6);
    expect(metrics.functions.settings?.invocations).toBeGreaterThan(0);
    expect(metrics.functions.broken).toMatchObject({ invocations: 1, failures: 1 });
  });
});

describe('start and end of the process', () => {
  const state = () => join(temporaryFolder(), 'state.db');

  it.each([
    ['empty', 'registered no functions'],
    ['throwing', 'entry file is broken'],
    ['streaming', 'enableHttpStream'],
    ['blob', 'Function "bad name": names have at most 128 letters'],
    ['blob', 'trigger "entityTrigger" is not supported'],
    ['blob', 'trigger "blobTrigger" is not supported'],
    ['missing', 'host.json is missing'],
  ])('does not start the app "%s" and says why', async (app, reason) => {
    await expect(runHost(app, { stateFile: state() })).rejects.toThrow(reason);
  });

  it('runs the appTerminate hook at the end, and logs JSON when told to', async () => {
    const { host, log } = await runHost('settings', { stateFile: state(), logFormat: 'json' });
    await host.stop();
    expect(log).toContain('terminated by the hook');
    const first = JSON.parse(log.find((line) => line.startsWith('{')) ?? '{}') as Record<string, unknown>;
    expect(first).toMatchObject({ level: 'information', category: 'host' });
  });

  it('ends after a function took longer than functionTimeout, with all that runs beside it', async () => {
    const { host, log } = await runHost('settings', { stateFile: state() });
    const endless = fetch(`${host.url}/api/endless`);
    await new Promise((resolve) => setTimeout(resolve, 600));
    const beside = fetch(`${host.url}/api/slow`).then(
      () => 'answered',
      () => 'cut off',
    );
    expect((await endless).status).toBe(500);
    expect(log.some((line) => line.includes('Timeout value of 1000 ms'))).toBe(true);
    expect(await host.ended).toBe(1);
    expect(await beside).toBe('cut off');
  });

  it('ends with the app when that leaves a rejection unhandled', async () => {
    const { host, log } = await runHost('settings', { stateFile: state() });
    await fetch(`${host.url}/api/rejects`).catch(() => undefined);
    expect(await host.ended).toBe(1);
    expect(log.some((line) => line.includes('nobody looks at this'))).toBe(true);
  });

  it('does not share a state file with another host', async () => {
    const stateFile = state();
    await runHost('settings', { stateFile });
    await expect(runHost('settings', { stateFile })).rejects.toThrow('another host may be using it');
  });
});
