import { type ChildProcess, fork } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { request } from 'node:http';
import { request as requestSecurely } from 'node:https';
import { fileURLToPath } from 'node:url';
import { compileCacheEnv } from '../compile-cache.ts';
import type { RunningPart } from '../part.ts';

/** The account that every Azurite has; not a secret. */
const ACCOUNT_NAME = 'devstoreaccount1';
const ACCOUNT_KEY =
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

/** A second account, of this project's making: a cluster's queues and containers are never in one account only. */
const SECOND_ACCOUNT = {
  name: 'ingestaccount1',
  key: Buffer.from('the key of an account that is on this machine only, and no secret').toString('base64'),
};

const START_ATTEMPTS = 3;
const START_TIMEOUT_MS = 60_000;

export interface AzuriteOptions {
  /** Where blobs, queues and tables are kept; created if missing. With `inMemory` it stays empty. */
  readonly folder: string;
  /** Ports on 127.0.0.1; each one left out is chosen by the operating system. */
  readonly ports?: { readonly blob?: number; readonly queue?: number; readonly table?: number };
  /** Keep nothing on disk. Default false. Quicker for tests; everything is gone after `stop`. */
  readonly inMemory?: boolean;
  /** Speaks TLS only, and takes tokens of Entra whose issuer, audience and times are right; it checks no signature. Default: plain HTTP, no tokens. */
  readonly tls?: { readonly cert: string; readonly certFile: string; readonly keyFile: string };
}

export interface RunningAzurite extends RunningPart {
  /** For `fromConnectionString` of every Azure storage client. */
  readonly connectionString: string;
  readonly settings: Readonly<{
    connectionString: string;
    blobEndpoint: string;
    queueEndpoint: string;
    tableEndpoint: string;
    accountName: string;
    accountKey: string;
    /** Of a second account, at the same ports. */
    secondConnectionString: string;
  }>;
}

/**
 * Starts Azurite from npm: blob, queue and table in one child process, on loopback. Resolves when all three
 * answer. The child ends with this process, however this process ends.
 *
 * @throws Error with Azurite's own last output when it does not start, for example because a port that was
 * asked for is taken.
 */
export async function startAzurite(options: AzuriteOptions): Promise<RunningAzurite> {
  await mkdir(options.folder, { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt >= START_ATTEMPTS) throw error;
    }
  }
}

async function startOnce(options: AzuriteOptions): Promise<RunningAzurite> {
  const child = fork(fileURLToPath(new URL('azurite-process.ts', import.meta.url)), makeArguments(options), {
    cwd: options.folder,
    // A group of its own: Ctrl-C in a terminal is for whoever stops the parts in their order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: {
      ...process.env,
      ...compileCacheEnv,
      NODE_NO_WARNINGS: '1',
      AZURITE_ACCOUNTS: [
        `${ACCOUNT_NAME}:${ACCOUNT_KEY}`,
        `${SECOND_ACCOUNT.name}:${SECOND_ACCOUNT.key}`,
      ].join(';'),
    },
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let endpoints: Endpoints;
  try {
    endpoints = await readEndpoints(child);
    await Promise.all(
      Object.values(endpoints).map((url: string) => waitUntilAnswers(url, options.tls?.cert)),
    );
  } catch (error) {
    child.kill('SIGKILL');
    await exited;
    throw error;
  }
  // A test runner or a script must be able to end without stopping the part first.
  child.unref();
  child.channel?.unref();
  for (const stream of [child.stdout, child.stderr])
    (stream as unknown as { unref?(): void } | null)?.unref?.();

  const settings = makeSettings(endpoints);
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  return {
    name: 'azurite',
    settings,
    connectionString: settings.connectionString,
    status: async () => (isRunning() ? 'running' : 'stopped'),
    stop: async () => {
      if (!isRunning()) return;
      child.ref();
      if (options.inMemory) {
        child.kill('SIGKILL');
      } else {
        // Azurite writes its indexes to disk every few seconds and at a clean shutdown.
        child.send('shutdown');
        const exitTimer = setTimeout(() => child.kill('SIGKILL'), 5_000);
        void exited.then(() => clearTimeout(exitTimer));
        void waitUntilClosed(child).then(() => child.connected && child.disconnect());
      }
      await exited;
    },
  };
}

interface Endpoints {
  readonly blob: string;
  readonly queue: string;
  readonly table: string;
}

function makeArguments(options: AzuriteOptions): string[] {
  const { blob = 0, queue = 0, table = 0 } = options.ports ?? {};
  return [
    // Azurite refuses a folder together with memory; its working directory is the folder then.
    ...(options.inMemory ? ['--inMemoryPersistence'] : ['--location', options.folder]),
    ...['--blobHost', '127.0.0.1', '--queueHost', '127.0.0.1', '--tableHost', '127.0.0.1'],
    ...['--blobPort', String(blob), '--queuePort', String(queue), '--tablePort', String(table)],
    // With its default of 5 s, an Azurite that was busy for longer closes connections on which requests already wait.
    ...['blob', 'queue', 'table'].flatMap((service) => [`--${service}KeepAliveTimeout`, '600']),
    ...['--silent', '--loose', '--skipApiVersionCheck', '--disableTelemetry'],
    ...(options.tls === undefined
      ? []
      : ['--oauth', 'basic', '--cert', options.tls.certFile, '--key', options.tls.keyFile]),
  ];
}

/** With port 0 the operating system chooses and Azurite prints the address, so two starts never race. */
function readEndpoints(child: ChildProcess): Promise<Endpoints> {
  return new Promise((resolve, reject) => {
    let output = '';
    const fail = (reason: string) =>
      reject(new Error(`Azurite did not start: ${reason}. Its output: ${output.trim() || 'none'}`));
    const timer = setTimeout(() => fail(`no answer in ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(`it exited with code ${code}`);
    });
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-4_000);
      const find = (service: string) =>
        new RegExp(`Azurite ${service} service is successfully listening at (\\S+)`).exec(output)?.[1];
      const [blob, queue, table] = [find('Blob'), find('Queue'), find('Table')];
      if (blob && queue && table) {
        clearTimeout(timer);
        resolve({ blob, queue, table });
      }
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
  });
}

function probe(url: string, ca: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const send = url.startsWith('https:') ? requestSecurely : request;
    const probeRequest = send(url, { method: 'GET', agent: false, timeout: 2_000, ca }, (response) => {
      response.resume();
      resolve(true);
    });
    probeRequest.once('timeout', () => probeRequest.destroy());
    probeRequest.once('error', () => resolve(false));
    probeRequest.end();
  });
}

async function waitUntilAnswers(url: string, ca: string | undefined): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (await probe(url, ca)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Azurite does not answer at ${url}`);
}

/** Azurite says so once per service after its index is on disk; the process itself would stay for the IPC channel. */
function waitUntilClosed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      if (output.match(/service successfully closed/g)?.length === 3) resolve();
    });
  });
}

function makeSettings(endpoints: Endpoints): RunningAzurite['settings'] {
  return {
    connectionString: connectionStringOf(endpoints, ACCOUNT_NAME, ACCOUNT_KEY),
    blobEndpoint: `${endpoints.blob}/${ACCOUNT_NAME}`,
    queueEndpoint: `${endpoints.queue}/${ACCOUNT_NAME}`,
    tableEndpoint: `${endpoints.table}/${ACCOUNT_NAME}`,
    accountName: ACCOUNT_NAME,
    accountKey: ACCOUNT_KEY,
    secondConnectionString: connectionStringOf(endpoints, SECOND_ACCOUNT.name, SECOND_ACCOUNT.key),
  };
}

function connectionStringOf({ blob, queue, table }: Endpoints, name: string, key: string): string {
  return (
    `DefaultEndpointsProtocol=${new URL(blob).protocol.slice(0, -1)};AccountName=${name};AccountKey=${key};` +
    `BlobEndpoint=${blob}/${name};QueueEndpoint=${queue}/${name};TableEndpoint=${table}/${name};`
  );
}
