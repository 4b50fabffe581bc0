import type { IngestClient } from 'azure-kusto-ingest';
import type { AddressReach } from '../../config/allowed-endpoints.ts';
import { expectReachable } from '../../config/guarded-lookup.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import {
  type ClusterClientOptions,
  connectingBy,
  makeConnection,
  retryTransient,
  withTimeout,
} from './cluster-client.ts';

/** What the cluster hands out for queued ingestion. Every URL holds a SAS. */
export interface IngestionResources {
  readonly queueUrls: readonly string[];
  /** In the order of their names, which is the same for every process. */
  readonly statusTableUrls: readonly [string, ...string[]];
  readonly authorizationContext: string;
  /** Containers for what the loader itself writes; empty where the cluster offers none. */
  readonly containerUrls: readonly string[];
}

export interface IngestionResourceCache {
  /** The resources, with one request for all callers. */
  get(): Promise<IngestionResources>;
  /** The next `get` asks the cluster again, unless it answered in the last 10 s. */
  invalidate(): void;
}

export interface IngestionResourceOptions extends ClusterClientOptions {
  readonly now: () => Date;
  /** Where the queues, tables and containers may be that the cluster hands out. */
  readonly reach: AddressReach;
}

/** The cluster's documentation asks for a refresh each hour. */
const REFRESH_AFTER_MS = 55 * 60_000;
/** How long after a refresh that brought nothing better the next one is tried while the old resources still work. */
const RETRY_AFTER_MS = 60_000;
/** ADX writes its report by the SAS of the status table in the message, when its batch is done: within the settle deadline. */
const TIME_TO_REPORT_MS = 30 * 60_000;
/** Keeps a storm of refused posts from becoming a storm of refreshes. */
const LEAST_AGE_MS = 10_000;
/** A SAS with less than this left counts as ended. */
const SAS_MARGIN_MS = 60_000;

interface Cached {
  readonly resources: IngestionResources;
  readonly endsAt: number;
  readonly fetchedAt: number;
  refreshAt: number;
}

/**
 * Queues, status tables and identity token of a cluster. The SDK asks for them once per caller and has no time limit;
 * this asks once for all callers, and keeps the old ones over a failed refresh for as long as their SAS lasts.
 */
export function createIngestionResources(options: IngestionResourceOptions): IngestionResourceCache {
  const { now, timeoutMs } = options;
  let client: Promise<IngestClient> | null = null;
  let cached: Cached | null = null;
  let refreshing: Promise<Cached> | null = null;

  const getClient = () => {
    client ??= makeClient(options).catch((error: unknown) => {
      client = null;
      throw error;
    });
    return client;
  };

  const refresh = () => {
    refreshing ??= retryTransient(options, async () =>
      withTimeout(fetchResources(await getClient(), options.reach), timeoutMs, 'the ingestion endpoint'),
    )
      .then((resources) => {
        const at = now().getTime();
        const endsAt = endOf(resources);
        cached = { resources, endsAt, fetchedAt: at, refreshAt: refreshAtOf(endsAt, at) };
        return cached;
      })
      .finally(() => {
        refreshing = null;
      });
    return refreshing;
  };

  return {
    async get() {
      const old = cached;
      const at = now().getTime();
      const isUsable = old !== null && old.endsAt - SAS_MARGIN_MS > at;
      if (isUsable && old.refreshAt > at) return old.resources;
      try {
        return (await refresh()).resources;
      } catch (error) {
        if (!isUsable) throw error;
        old.refreshAt = now().getTime() + RETRY_AFTER_MS;
        return old.resources;
      }
    },
    invalidate() {
      if (cached !== null) cached.refreshAt = Math.min(cached.refreshAt, cached.fetchedAt + LEAST_AGE_MS);
    },
  };
}

async function makeClient(options: IngestionResourceOptions): Promise<IngestClient> {
  const { IngestClient } = await import('azure-kusto-ingest');
  const client = new IngestClient(await makeConnection(options), undefined, false);
  connectingBy(options.lookup, client.resourceManager.kustoClient);
  return client;
}

async function fetchResources(client: IngestClient, reach: AddressReach): Promise<IngestionResources> {
  const manager = client.resourceManager;
  // One after the other: the first request of a process also fetches the cluster's metadata, which the second then uses.
  const found = await manager.getIngestClientResourcesFromService();
  const authorizationContext = (await manager.getAuthorizationContextFromService()).trim();
  const queueUrls = (found.securedReadyForAggregationQueues ?? []).map(({ uri }) => uri);
  const [firstTable, ...otherTables] = (found.statusTables ?? []).map(({ uri }) => uri).sort();
  if (queueUrls.length === 0 || firstTable === undefined) {
    const lacking = queueUrls.length === 0 ? 'queue' : 'status table';
    throw new LoaderError('clusterUnavailable', `The cluster offers no ${lacking} for queued ingestion.`);
  }
  const containerUrls = (found.containers ?? []).map(({ uri }) => uri);
  for (const url of [...queueUrls, firstTable, ...otherTables, ...containerUrls]) expectReachable(url, reach);
  return { queueUrls, statusTableUrls: [firstTable, ...otherTables], authorizationContext, containerUrls };
}

/** A cluster that hands out less than the time to report is not asked before each post. */
function refreshAtOf(endsAt: number, fetchedAt: number): number {
  const due = Math.min(fetchedAt + REFRESH_AFTER_MS, endsAt - TIME_TO_REPORT_MS);
  return Math.max(due, fetchedAt + RETRY_AFTER_MS);
}

/** When the first SAS ends; a URL without an end lasts. */
function endOf(resources: IngestionResources): number {
  const ends = [...resources.queueUrls, ...resources.statusTableUrls, ...resources.containerUrls].map((url) =>
    Date.parse(new URL(url).searchParams.get('se') ?? ''),
  );
  return Math.min(...ends.map((end) => (Number.isNaN(end) ? Number.POSITIVE_INFINITY : end)));
}
