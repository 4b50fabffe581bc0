import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { TokenCredential } from '@azure/identity';
import type { Client, KustoConnectionStringBuilder } from 'azure-kusto-data';
import { findAddress } from '../../config/guarded-lookup.ts';
import { readClusterFailure } from './cluster-error.ts';

const TRIES = 3;

export type Row = Readonly<Record<string, unknown>>;

/** Runs queries and management commands on the engine of one cluster. */
export interface ClusterClient {
  /** Rows of the first result. Throws what the SDK throws; see `readClusterFailure`. */
  execute(database: string, text: string): Promise<readonly Row[]>;
  /** The token that requests carry; `null` when they carry none. Throws as `execute`. */
  signIn(): Promise<string | null>;
}

export interface ClusterClientOptions {
  readonly endpoint: string;
  readonly credential: () => Promise<TokenCredential | null>;
  readonly applicationName: string;
  /** Finds the addresses to connect to. */
  readonly lookup: LookupFunction;
  readonly random: () => number;
  /** First pause before a request is sent again; it doubles. */
  readonly retryDelayMs: number;
  /** For each try. */
  readonly timeoutMs: number;
}

/** The SDK is loaded with the first request. */
export function createClusterClient(options: ClusterClientOptions): ClusterClient {
  let made: Promise<Client> | null = null;
  const getClient = () => {
    made ??= makeClient(options).catch((error: unknown) => {
      made = null;
      throw error;
    });
    return made;
  };
  return {
    execute: (database, text) =>
      retryTransient(options, async () => {
        const { ClientRequestProperties } = await import('azure-kusto-data');
        const properties = new ClientRequestProperties();
        properties.setClientTimeout(options.timeoutMs);
        const client = await getClient();
        // The SDK asks for the cluster's metadata first, and that without a timeout.
        const response = await withTimeout(
          client.execute(database, text, properties),
          options.timeoutMs,
          'the cluster',
        );
        const table = response.primaryResults[0];
        return table === undefined ? [] : [...table.rows()].map((row) => row.toJSON() as Row);
      }),
    signIn: () =>
      retryTransient(options, async () => {
        const { aadHelper } = await getClient();
        const header = await withTimeout(
          aadHelper.getAuthHeader(),
          options.timeoutMs,
          'the identity service',
        );
        return header?.replace(/^Bearer /, '') ?? null;
      }),
  };
}

async function makeClient(options: ClusterClientOptions): Promise<Client> {
  const { Client } = await import('azure-kusto-data');
  return connectingBy(options.lookup, new Client(await makeConnection(options)));
}

/** The SDK makes agents of its own, and takes others only afterwards. */
export function connectingBy(lookup: LookupFunction, client: Client): Client {
  const agent = { keepAlive: true, lookup };
  Object.assign(client.axiosInstance.defaults, {
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent(agent),
  });
  return client;
}

export async function makeConnection(
  options: Pick<ClusterClientOptions, 'endpoint' | 'credential' | 'applicationName' | 'lookup'>,
): Promise<KustoConnectionStringBuilder> {
  // The cluster's metadata, which the SDK asks for first and without a token, goes past the agents.
  await findAddress(options.lookup, new URL(options.endpoint).hostname);
  const { KustoConnectionStringBuilder } = await import('azure-kusto-data');
  const credential = await options.credential();
  const connection =
    credential === null
      ? new KustoConnectionStringBuilder(options.endpoint)
      : KustoConnectionStringBuilder.withTokenCredential(options.endpoint, credential);
  connection.applicationNameForTracing = options.applicationName;
  return connection;
}

/** Three tries with growing pauses; only for what reads, or may be done twice. */
export async function retryTransient<T>(
  options: Pick<ClusterClientOptions, 'random' | 'retryDelayMs'>,
  act: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (error) {
      if (attempt >= TRIES || !readClusterFailure(error).transient) throw error;
      const pauseMs = options.retryDelayMs * 2 ** (attempt - 1) * (1 + options.random());
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Rejects with a `TimeoutError` when the promise takes longer; what it waits for is not stopped. */
export async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, who: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    const error = new DOMException(`No answer of ${who} in ${timeoutMs / 1000} s`, 'TimeoutError');
    timer = setTimeout(() => reject(error), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
