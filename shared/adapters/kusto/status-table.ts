import type { TableClient } from '@azure/data-tables';
import type { IngestionStatus } from '../../domain/ingestion-status.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { IngestionRequest } from '../../ports/ingestion.ts';
import { isLoopback } from './cluster-endpoints.ts';
import { createFreshConnections, type FreshConnections } from './fresh-connections.ts';

const REQUESTS_IN_FLIGHT = 32;
const INSERT_TIMEOUT_MS = 30_000;

/**
 * - `inserted`: the entity is there, and this call wrote it.
 * - `exists`: another call wrote it before.
 * - `failed`: it may be there or not; `denied` when the SAS was refused, `throttled` when the table is asked too often.
 */
export type InsertResult =
  | { readonly result: 'inserted' | 'exists' }
  | {
      readonly result: 'failed';
      readonly denied: boolean;
      readonly throttled: boolean;
      readonly message: string;
    };

/** The entities into which ADX writes what became of a message, keyed by source id. */
export interface StatusTable {
  /** Writes the `Pending` entity that ADX will overwrite. Tried once. */
  insertPending(tableUrl: string, request: IngestionRequest, now: Date): Promise<InsertResult>;
  /**
   * Point reads, 32 at a time; an id is looked for in every table until it is found.
   *
   * @throws {LoaderError} `clusterThrottled`, `clusterUnavailable`, after the SDK's retries.
   */
  read(
    tableUrls: readonly string[],
    sourceIds: readonly string[],
  ): Promise<ReadonlyMap<string, IngestionStatus | null>>;
  /**
   * Deletes the entities of these ids, 32 at a time, from those of the tables whose SAS permits it.
   *
   * @returns how many were there; `null` where no SAS permits it, as it says itself or the table does.
   * @throws {LoaderError} as `read`.
   */
  remove(tableUrls: readonly string[], sourceIds: readonly string[]): Promise<number | null>;
}

interface Clients {
  readonly url: string;
  /** Without retries: after a lost answer, a second insert would meet the first one's entity. */
  readonly inserting: TableClient;
  readonly reading: TableClient;
}

/**
 * Status tables by their SAS URLs. Clients are kept, so that connections are used again.
 *
 * @param connections - Default connections of its own.
 */
export function createStatusTable(connections: FreshConnections = createFreshConnections()): StatusTable {
  const known = new Map<string, Clients>();

  async function clientsOf(url: string): Promise<Clients> {
    const name = url.split('?')[0] ?? url;
    const clients = known.get(name);
    if (clients?.url === url) return clients;
    const made = await makeClients(url, connections);
    known.set(name, made);
    return made;
  }

  return {
    async insertPending(tableUrl, request, now) {
      try {
        const { inserting } = await clientsOf(tableUrl);
        await inserting.createEntity(makePendingEntity(request, now), {
          abortSignal: AbortSignal.timeout(INSERT_TIMEOUT_MS),
        });
        return { result: 'inserted' };
      } catch (error) {
        const { statusCode, code } = error as { statusCode?: number; code?: string };
        if (statusCode === 409) return { result: 'exists' };
        const said = statusCode === undefined ? (code ?? 'no answer') : `HTTP ${statusCode}`;
        const message = `The status entity could not be written to ${tableUrl.split('?')[0]}: ${said}.`;
        return { result: 'failed', denied: statusCode === 403, throttled: isBusy(statusCode), message };
      }
    },

    async read(tableUrls, sourceIds) {
      const tables = await Promise.all(tableUrls.map(clientsOf));
      const found = new Map<string, IngestionStatus | null>();
      await forEachId(sourceIds, async (id) => void found.set(id, await readOne(tables, id)));
      return found;
    },

    async remove(tableUrls, sourceIds) {
      const tables = await Promise.all(tableUrls.filter(permitsDeletion).map(clientsOf));
      if (tables.length === 0) return null;
      let removed = 0;
      try {
        await forEachId(sourceIds, async (id) => {
          if (await removeOne(tables, id)) removed += 1;
        });
        return removed;
      } catch (error) {
        if (error instanceof LoaderError && error.facts['statusCode'] === 403) return null;
        throw error;
      }
    },
  };
}

async function forEachId(ids: readonly string[], of: (id: string) => Promise<void>): Promise<void> {
  const waiting = [...new Set(ids)];
  const work = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) await of(id);
  };
  await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT }, work));
}

/** `sp` lists what a SAS permits by letters: r, a, u, d. A URL without one is not signed, and so not limited by it. */
function permitsDeletion(tableUrl: string): boolean {
  return new URL(tableUrl).searchParams.get('sp')?.includes('d') ?? true;
}

/** A connection may be dead without either end knowing it. */
const READ_TIMEOUT_MS = 30_000;

const readTimeoutPolicy: Parameters<TableClient['pipeline']['addPolicy']>[0] = {
  name: 'readTimeoutPolicy',
  sendRequest: (request, next) => {
    request.timeout = READ_TIMEOUT_MS;
    return next(request);
  },
};

function agentPolicyOf(connections: FreshConnections): typeof readTimeoutPolicy {
  return {
    name: 'freshConnectionPolicy',
    sendRequest: (request, next) => {
      request.agent = connections.agentFor(request.url);
      return next(request);
    },
  };
}

async function makeClients(tableUrl: string, connections: FreshConnections): Promise<Clients> {
  const { TableClient, AzureSASCredential } = await import('@azure/data-tables');
  const url = new URL(tableUrl);
  // The last part is the table; what stands before it is the account where the host does not name it.
  const cut = url.pathname.lastIndexOf('/');
  const account = url.origin + url.pathname.slice(0, cut);
  const table = decodeURIComponent(url.pathname.slice(cut + 1));
  const sas = new AzureSASCredential(url.search.slice(1));
  const allowInsecureConnection = isLoopback(url.hostname);
  const reading = new TableClient(account, table, sas, { allowInsecureConnection });
  reading.pipeline.addPolicy(readTimeoutPolicy);
  reading.pipeline.addPolicy(agentPolicyOf(connections));
  const retryOptions = { maxRetries: 0 };
  const inserting = new TableClient(account, table, sas, { allowInsecureConnection, retryOptions });
  inserting.pipeline.addPolicy(agentPolicyOf(connections));
  return { url: tableUrl, inserting, reading };
}

function makePendingEntity(request: IngestionRequest, now: Date) {
  return {
    partitionKey: request.sourceId,
    rowKey: request.sourceId,
    Status: 'Pending',
    IngestionSourceId: request.sourceId,
    IngestionSourcePath: request.url.split(/[?;]/)[0] ?? '',
    Database: request.database,
    Table: request.table,
    UpdatedOn: now,
    Details: '',
  };
}

async function readOne(tables: readonly Clients[], id: string): Promise<IngestionStatus | null> {
  for (const { reading } of tables) {
    try {
      return toStatus(await reading.getEntity(id, id));
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) continue;
      throw failureOf(error, 'read');
    }
  }
  return null;
}

async function removeOne(tables: readonly Clients[], id: string): Promise<boolean> {
  for (const { reading } of tables) {
    try {
      await reading.deleteEntity(id, id);
      return true;
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) continue;
      throw failureOf(error, 'cleaned');
    }
  }
  return false;
}

function failureOf(error: unknown, done: string): LoaderError {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  const said = statusCode === undefined ? (code ?? 'no answer') : `HTTP ${statusCode}`;
  const kind = isBusy(statusCode) ? 'clusterThrottled' : 'clusterUnavailable';
  return new LoaderError(kind, `The status table could not be ${done}: ${said}.`, {
    facts: statusCode === undefined ? {} : { statusCode },
  });
}

/** Azure's tables say 503 (`ServerBusy`) when they are asked too often. */
function isBusy(statusCode: number | undefined): boolean {
  return statusCode === 429 || statusCode === 503;
}

function toStatus(entity: Readonly<Record<string, unknown>>): IngestionStatus {
  return {
    status: toText(entity['Status']) ?? '',
    errorCode: toText(entity['ErrorCode']),
    failureStatus: toText(entity['FailureStatus']),
    details: toText(entity['Details']),
    updatedAt: toInstant(entity['UpdatedOn']) ?? toInstant(entity['timestamp']),
  };
}

function toText(value: unknown): string | null {
  return value === undefined || value === null || value === '' ? null : String(value);
}

/** Clients write instants as `Edm.DateTime`, as ISO 8601 or as milliseconds since 1970 in a text. */
function toInstant(value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null;
  const text = value instanceof Date ? value.toISOString() : String(value);
  const instant = /^\d{10,}$/.test(text) ? new Date(Number(text)) : new Date(text);
  return Number.isNaN(instant.getTime()) ? null : instant.toISOString();
}
