import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import {
  type FunctionsHost,
  type FunctionsHostOptions,
  startFunctionsHost,
} from '../../../dev/functions-host/index.ts';

/** Folder of one of the fixture apps. */
export function appFolder(name: string): string {
  return fileURLToPath(new URL(`apps/${name}`, import.meta.url));
}

/** A temporary folder that goes when the test has finished. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface HostUnderTest {
  readonly host: FunctionsHost;
  readonly log: string[];
}

/** Starts a host on a fixture app; it is gone when the test has finished. */
export async function runHost(
  app: string,
  options: Partial<FunctionsHostOptions> & { stateFile: string },
): Promise<HostUnderTest> {
  const log: string[] = [];
  const host = await startFunctionsHost({
    appFolder: appFolder(app),
    graceMs: 500,
    onLog: (line) => log.push(line),
    ...options,
  });
  onTestFinished(() => host.stop());
  return { host, log };
}

export interface Status {
  readonly runtimeStatus: string;
  readonly instanceId: string;
  readonly input: unknown;
  readonly output: unknown;
  readonly customStatus: unknown;
  readonly createdTime: string;
  readonly historyEvents?: Record<string, unknown>[];
}

/** Speaks to one host as an app's client does: over HTTP only. */
export class Client {
  readonly host: FunctionsHost;

  constructor(host: FunctionsHost) {
    this.host = host;
  }

  /** A call to the Durable API under its webhook base. */
  async durable(method: string, path: string, body?: unknown): Promise<Response> {
    const separator = path.includes('?') ? '&' : '?';
    const url = `${this.host.url}/runtime/webhooks/durabletask/${path}${separator}code=${this.host.systemKey}`;
    const content = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? null) };
    return fetch(url, { method, ...(method === 'POST' ? content : {}) });
  }

  /** Starts an orchestration through the app's HTTP function; gives the instance id. */
  async start(name: string, input: unknown = null, id?: string): Promise<string> {
    const path = id === undefined ? name : `${name}/${id}`;
    const response = await fetch(`${this.host.url}/api/start/${path}`, {
      method: 'POST',
      body: JSON.stringify(input),
    });
    if (response.status !== 202) throw new Error(`start of ${name}: ${response.status}`);
    return ((await response.json()) as { id: string }).id;
  }

  async status(id: string, query = ''): Promise<Status> {
    const response = await this.durable('GET', `instances/${id}${query}`);
    return (await response.json()) as Status;
  }

  /** Waits until the instance's status fits. */
  async until(id: string, fits: (status: Status) => boolean, timeoutMs = 30_000): Promise<Status> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const status = await this.status(id);
      if (fits(status)) return status;
      if (Date.now() > deadline) throw new Error(`${id} is ${status.runtimeStatus} after ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async finish(id: string): Promise<Status> {
    return this.until(id, ({ runtimeStatus }) =>
      ['Completed', 'Failed', 'Terminated'].includes(runtimeStatus),
    );
  }

  async run(name: string, input: unknown = null): Promise<Status> {
    return this.finish(await this.start(name, input));
  }

  /** Runs a method of the durable client inside the app. */
  async client(method: string, ...args: unknown[]): Promise<{ ok?: unknown; error?: string }> {
    const response = await fetch(`${this.host.url}/api/client/${method}`, {
      method: 'POST',
      body: JSON.stringify(args),
    });
    return (await response.json()) as { ok?: unknown; error?: string };
  }
}

/** Lines that the activities of the durable fixture left. */
export function readTrace(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}
