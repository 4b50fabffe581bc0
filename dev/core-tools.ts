import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

import type { FunctionsHost, FunctionsHostOptions } from './functions-host/index.ts';

/** Core Tools fetch the extension bundle at their first start. */
const START_TIMEOUT_MS = 5 * 60_000;
const POLL_MS = 500;

/**
 * Runs the app under Azure Functions Core Tools instead of the project's own host. `func start` asks for no keys, so
 * any key will do; its state is in Azurite.
 *
 * @throws when `func` is not installed, or ends before it answers.
 */
export async function startCoreTools(options: FunctionsHostOptions): Promise<FunctionsHost> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const child = spawn('func', ['start', '--port', String(port)], {
    cwd: options.appFolder,
    // A group of its own: func has children, and all of them end together.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env, AzureFunctionsJobHost__extensions__http__routePrefix: 'api' },
  });
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      tail.push(line);
      if (tail.length > 40) tail.shift();
      options.onLog?.(line);
    });
  }
  const ended = endOf(child);
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal);
    await ended;
  };
  try {
    await waitUntilUp(url, ended, tail);
  } catch (error) {
    await kill('SIGTERM');
    throw error;
  }
  return {
    name: 'host',
    url,
    functionKey: 'not-asked-for-by-func',
    masterKey: 'not-asked-for-by-func',
    systemKey: 'not-asked-for-by-func',
    pid: child.pid!,
    settings: { url },
    ended,
    kill,
    status: async () => (child.exitCode === null && child.signalCode === null ? 'running' : 'stopped'),
    stop: () => kill('SIGTERM'),
  };
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.on('exit', (code) => resolve(code));
    child.on('error', () => resolve(127));
  });
}

async function waitUntilUp(
  url: string,
  ended: Promise<number | null>,
  tail: readonly string[],
): Promise<void> {
  let code: number | null | undefined;
  void ended.then((exit) => {
    code = exit;
  });
  const until = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < until) {
    if (code === 127)
      throw new Error(
        'Azure Functions Core Tools are not installed: install them from https://aka.ms/azfunc-install, or leave --host out.',
      );
    if (code !== undefined) throw new Error(`func start ended with code ${code}:\n${tail.join('\n')}`);
    const isUp = await fetch(`${url}/api/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`func start does not answer on ${url}:\n${tail.join('\n')}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('No port')),
      );
    });
  });
}
