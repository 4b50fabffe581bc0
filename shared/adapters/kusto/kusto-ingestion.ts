import type { TokenCredential } from '@azure/identity';
import type { AddressReach } from '../../config/allowed-endpoints.ts';
import { ANYWHERE, findAddress, guardedLookup } from '../../config/guarded-lookup.ts';
import { LoaderError, redact } from '../../errors/loader-error.ts';
import type { Ingestion, IngestionRequest, PostResult } from '../../ports/ingestion.ts';
import { createClusterClient } from './cluster-client.ts';
import { engineEndpointOf, ingestionEndpointOf } from './cluster-endpoints.ts';
import { clusterErrorOf } from './cluster-error.ts';
import { createFreshConnections } from './fresh-connections.ts';
import { encodeMessage, MAX_MESSAGE_CHARACTERS, makeIngestionMessage } from './ingestion-message.ts';
import { createIngestionResources, type IngestionResources } from './ingestion-resources.ts';
import { createQueuePoster } from './queue-poster.ts';
import { createStatusTable } from './status-table.ts';
import { dropTaggedExtents, listTableDependents, listTaggedExtents } from './table-extents.ts';
import { readRoles, readTableFacts } from './table-facts.ts';
import { countRows, countRowsByPath } from './table-rows.ts';
import { uploadTempBlob } from './temp-blobs.ts';
import { holderOf } from './token-claims.ts';

export interface KustoIngestionOptions {
  /** URL of the cluster; the ingestion endpoint is derived from it. */
  readonly cluster: string;
  /** `null` sends no token; for the local stack. Asked once. */
  readonly credential: Promise<TokenCredential | null> | (() => Promise<TokenCredential | null>);
  /** Addresses to which the cluster's name may lead. Default anywhere. */
  readonly reach?: AddressReach;
  /** Finds addresses. Default the system's. */
  readonly resolve?: Parameters<typeof guardedLookup>[1];
  /** Shown in ADX's traces. Default `s3-adx-loader`. */
  readonly applicationName?: string;
  /** 0 inclusive to 1 exclusive. Default `Math.random`. */
  readonly random?: () => number;
  /** Default the clock of the machine. */
  readonly now?: () => Date;
  /** First pause before a query or command is sent again. Default 500. */
  readonly retryDelayMs?: number;
  /** How long the cluster may take to answer one request, of three. Default 60 s. */
  readonly clusterTimeoutMs?: number;
  /** How long a queue may take to answer a post. Default 30 s. */
  readonly postTimeoutMs?: number;
}

/**
 * Queued ingestion into one cluster. Make one per cluster and keep it: it holds connections, resources and token. The
 * SDKs are loaded with the first call.
 *
 * A source id is posted once at most, whoever asks: the status entity is written first, and only the call that wrote it
 * posts. So an id whose post was `refused` must not be used again; take the next attempt's.
 *
 * @throws {LoaderError} `invalidDefinition` when the cluster is no https URL.
 */
export function createKustoIngestion(options: KustoIngestionOptions): Ingestion {
  const { applicationName = 's3-adx-loader', random = Math.random, retryDelayMs = 500 } = options;
  const now = options.now ?? (() => new Date());
  const given = options.credential;
  let asked: Promise<TokenCredential | null> | null = null;
  const credential = () => {
    asked ??= (typeof given === 'function' ? given() : given).catch((error: unknown) => {
      asked = null;
      throw error;
    });
    return asked;
  };
  const timeoutMs = options.clusterTimeoutMs ?? 60_000;
  const { reach = ANYWHERE, resolve } = options;
  const lookup = guardedLookup(reach, resolve);
  const shared = { credential, applicationName, lookup, random, retryDelayMs, timeoutMs };
  const cluster = engineEndpointOf(options.cluster);
  const engine = createClusterClient({ ...shared, endpoint: cluster });
  // The cluster's own storage may lie behind private endpoints whatever its name is.
  const reachOfStorage = { ...reach, private: true };
  const resources = createIngestionResources({
    ...shared,
    endpoint: ingestionEndpointOf(options.cluster),
    now,
    reach: reachOfStorage,
  });
  const { postTimeoutMs } = options;
  const connections = createFreshConnections({ lookup: guardedLookup(reachOfStorage, resolve) });
  const poster = createQueuePoster({
    random,
    connections,
    ...(postTimeoutMs === undefined ? {} : { timeoutMs: postTimeoutMs }),
  });
  const statusTable = createStatusTable(connections);

  const getResources = async (): Promise<IngestionResources> => {
    try {
      return await resources.get();
    } catch (error) {
      throw clusterErrorOf(error, cluster, 'get the ingestion resources');
    }
  };

  async function post(request: IngestionRequest): Promise<PostResult> {
    let held: IngestionResources;
    try {
      held = await getResources();
    } catch (error) {
      const { message, code } = error as LoaderError;
      return { result: 'refused', message, throttled: code === 'clusterThrottled' };
    }
    const createdAt = now();
    const statusTableUrl = held.statusTableUrls[0];
    const { authorizationContext } = held;
    const text = encodeMessage(
      makeIngestionMessage({ request, statusTableUrl, authorizationContext, applicationName, createdAt }),
    );
    if (text.length > MAX_MESSAGE_CHARACTERS) {
      const message = `The message has ${text.length} characters; ADX's queues take ${MAX_MESSAGE_CHARACTERS}.`;
      return { result: 'refused', message };
    }
    const inserted = await statusTable.insertPending(statusTableUrl, request, createdAt);
    if (inserted.result === 'exists') {
      // A twin of this call wrote the entity: it has posted the message, or is about to, or died before it could.
      return {
        result: 'ambiguous',
        message: 'Another call has taken this source id; it may have posted it.',
      };
    }
    if (inserted.result === 'failed') {
      if (inserted.denied) resources.invalidate();
      return { result: 'refused', message: inserted.message, throttled: inserted.throttled };
    }
    const posted = await poster.post(held.queueUrls, text);
    // Refused by all queues, perhaps because their keys were changed: ask for new ones before the next post.
    if (posted.result === 'refused') resources.invalidate();
    return posted;
  }

  return {
    async resolve() {
      const hosts = [...new Set([cluster, ingestionEndpointOf(options.cluster)])].map(
        (url) => new URL(url).hostname,
      );
      try {
        for (const host of hosts) await findAddress(lookup, host);
        return hosts;
      } catch (error) {
        throw clusterErrorOf(error, cluster, 'find the address');
      }
    },
    async signIn() {
      try {
        const token = await engine.signIn();
        return token === null ? 'nobody: requests carry no token (LOADER_IDENTITY=none)' : holderOf(token);
      } catch (error) {
        throw clusterErrorOf(error, cluster, 'get a token');
      }
    },
    async readRoles(database) {
      try {
        return await readRoles(engine, database);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `read the roles in database "${database}"`);
      }
    },
    async warmUp() {
      await getResources();
    },
    post,
    async postRows({ body, ...request }) {
      try {
        const { containerUrls } = await getResources();
        const container = containerUrls[Math.floor(random() * containerUrls.length)];
        if (container === undefined)
          return { result: 'refused', message: 'The cluster offers no container for ingestion.' };
        const name = `${request.sourceId}.${request.format}`;
        const blob = await uploadTempBlob(container, name, body, { timeoutMs, connections });
        return await post({ ...request, ...blob });
      } catch (error) {
        // Nothing was posted.
        resources.invalidate();
        return { result: 'refused', message: redact((error as Error).message).slice(0, 500) };
      }
    },
    async readStatuses(sourceIds) {
      if (sourceIds.length === 0) return new Map();
      try {
        return await statusTable.read((await getResources()).statusTableUrls, sourceIds);
      } catch (error) {
        const isDenied = error instanceof LoaderError && error.facts['statusCode'] === 403;
        if (!isDenied) throw error;
        resources.invalidate();
        return await statusTable.read((await getResources()).statusTableUrls, sourceIds);
      }
    },
    async removeStatuses(sourceIds) {
      const removed = await statusTable.remove((await getResources()).statusTableUrls, sourceIds);
      if (removed !== null) return removed;
      // Perhaps because the keys were changed.
      resources.invalidate();
      return statusTable.remove((await getResources()).statusTableUrls, sourceIds);
    },
    async describeTable(question) {
      try {
        return await readTableFacts(engine, question);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `check table "${question.table}"`);
      }
    },
    async countRowsByTag(input) {
      try {
        return await countRows(engine, input);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `count the rows of table "${input.table}"`);
      }
    },
    async countRowsByPath(input) {
      try {
        return await countRowsByPath(engine, input);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `count the rows of table "${input.table}" by path`);
      }
    },
    async listExtents(input) {
      try {
        return await listTaggedExtents(engine, input);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `list the extents of table "${input.table}"`);
      }
    },
    async dropExtents(input) {
      try {
        await dropTaggedExtents(engine, input);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `drop extents of table "${input.table}"`);
      }
    },
    async listDependents(input) {
      try {
        return await listTableDependents(engine, input);
      } catch (error) {
        throw clusterErrorOf(error, cluster, `ask what depends on table "${input.table}"`);
      }
    },
  };
}
