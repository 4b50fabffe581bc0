import { type ClientRequest, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RequestPolicyFactory } from '@azure/storage-queue';

/**
 * No server is known to close an idle connection sooner than after 5 s (Node's and Azurite's default), counted from when
 * it answered.
 */
const REUSE_MS = 4000;

/** Keeps connections between requests that must not be sent twice. */
export interface FreshConnections {
  /**
   * The agent for a request to `url` that is sent right after this call. Its connections have carried a request within the
   * last seconds, or are new.
   */
  agentFor(url: string): HttpAgent | HttpsAgent;
}

export interface FreshConnectionsOptions {
  /** Default 4 s. */
  readonly reuseMs?: number;
  /** Finds addresses. Default the system's. */
  readonly lookup?: LookupFunction;
}

/**
 * Connections on which no request meets a server that is just closing them: a post that is lost so may have arrived or
 * not, and its object would have to wait for the fence.
 *
 * Node uses an idle connection until it learns that the server has closed it, which a busy or frozen process learns too
 * late. Here a connection is used again only within `reuseMs` of when its last request was sent (not of when the answer
 * was read, for the answer may have lain there while the process stood still).
 */
export function createFreshConnections({
  reuseMs = REUSE_MS,
  lookup,
}: FreshConnectionsOptions = {}): FreshConnections {
  const options = { keepAlive: true, ...(lookup === undefined ? {} : { lookup }) };
  const plain = keepFresh(new HttpAgent(options), reuseMs);
  const secure = keepFresh(new HttpsAgent(options), reuseMs);
  return {
    agentFor(url) {
      const { agent, dropStale } = url.startsWith('https:') ? secure : plain;
      dropStale();
      return agent;
    },
  };
}

function keepFresh<Agent extends HttpAgent>(
  agent: Agent,
  reuseMs: number,
): { readonly agent: Agent; dropStale(): void } {
  const sentAt = new WeakMap<Duplex, number>();
  const isFresh = (connection: Duplex) =>
    performance.now() - (sentAt.get(connection) ?? Number.NEGATIVE_INFINITY) < reuseMs;

  const { createConnection, keepSocketAlive, reuseSocket } = agent;
  agent.createConnection = (...args) => {
    const connection = createConnection.apply(agent, args);
    if (connection != null) sentAt.set(connection, performance.now());
    return connection;
  };
  agent.keepSocketAlive = (connection: Duplex) =>
    isFresh(connection) && (keepSocketAlive.call(agent, connection) as unknown as boolean);
  agent.reuseSocket = (connection: Duplex, request: ClientRequest) => {
    sentAt.set(connection, performance.now());
    reuseSocket.call(agent, connection, request);
  };
  return {
    agent,
    dropStale() {
      for (const connections of Object.values(agent.freeSockets)) {
        for (const connection of connections?.filter((one) => !isFresh(one)) ?? []) {
          // The agent forgets it only when it has closed, and might hand it out until then.
          connections?.splice(connections.indexOf(connection), 1);
          connection.destroy();
        }
      }
    },
  };
}

/** A part of a storage client's pipeline that sends its requests over these connections. */
export function sendingBy(connections: FreshConnections): RequestPolicyFactory {
  return {
    create: (next) => ({
      sendRequest: (request) => {
        request.agent = connections.agentFor(request.url);
        return next.sendRequest(request);
      },
    }),
  };
}
