import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AzureSASCredential, TableClient } from '@azure/data-tables';
import { QueueClient } from '@azure/storage-queue';
import { Client, KustoConnectionStringBuilder } from 'azure-kusto-data';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import { type KustoOptions, type RunningKusto, startKusto } from '../../../dev/kusto/index.ts';

/** What a small source server answers: a body, a status, or a body that breaks off in its middle. */
export type SourceAnswer = Buffer | string | { readonly status: number } | { readonly cut: string };

/** Serves sources as S3 would serve presigned URLs. */
export interface SourceServer {
  readonly url: string;
  readonly answers: Map<string, SourceAnswer>;
  readonly requests: string[];
  stop(): Promise<void>;
}

async function startSourceServer(): Promise<SourceServer> {
  const answers = new Map<string, SourceAnswer>();
  const requests: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    requests.push(path);
    const answer = answers.get(path) ?? { status: 404 };
    if (typeof answer === 'string' || Buffer.isBuffer(answer)) response.end(answer);
    else if ('cut' in answer) {
      response.setHeader('content-length', answer.cut.length * 2);
      response.write(answer.cut, () => request.socket.destroy());
    } else {
      response.statusCode = answer.status;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    requests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface PostOptions {
  readonly rawSize?: number | null;
  readonly id?: string;
  readonly properties?: Record<string, unknown>;
  readonly reportMethod?: number;
  readonly reportLevel?: number;
  readonly flushImmediately?: boolean;
  readonly database?: string;
  readonly withEntity?: boolean;
  /** Where the message says its status table is; default: where it is. */
  readonly tableOrigin?: string;
}

export interface LocalKusto {
  readonly azurite: RunningAzurite;
  readonly kusto: RunningKusto;
  readonly client: Client;
  readonly sources: SourceServer;
  /** Runs a query or command and gives rows as plain arrays. */
  rows(text: string): Promise<unknown[][]>;
  /** Posts a message by hand, with a status entity as a loader writes it. @returns the source id. */
  post(table: string, url: string, options?: PostOptions): Promise<string>;
  statusOf(id: string): Promise<Record<string, unknown>>;
  /** Waits until the status entity is final. */
  finalStatusOf(id: string): Promise<Record<string, unknown>>;
  /** Takes what is in the queues, seals and loads it. */
  load(messageCount: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startLocalKusto(options: Partial<KustoOptions> = {}): Promise<LocalKusto> {
  const folder = await mkdtemp(join(tmpdir(), 'kusto-test-'));
  const azurite = await startAzurite({ folder, inMemory: true });
  const [kusto, sources] = await Promise.all([
    startKusto({ azurite: azurite.settings, batchingTimeScale: 60, ...options }),
    startSourceServer(),
  ]);
  const { endpoint } = kusto.settings;
  const client = new Client(
    options.token?.value === undefined
      ? new KustoConnectionStringBuilder(endpoint)
      : KustoConnectionStringBuilder.withAccessToken(endpoint, options.token.value),
  );
  const rows = async (text: string) => {
    const result = await client.execute('local', text).catch((error: unknown) => {
      // The client's own error prints as pages of sockets.
      const body = (error as { response?: { data?: { error?: Record<string, unknown> } } }).response?.data
        ?.error;
      throw body === undefined ? error : new Error(`${String(body['code'])}: ${String(body['@message'])}`);
    });
    const [table] = result.primaryResults;
    return table === undefined ? [] : table._rows.map((row) => row as unknown[]);
  };
  const resources = await rows('.get ingestion resources');
  const urlsOf = (kind: string) => resources.filter(([name]) => name === kind).map(([, url]) => String(url));
  const queues = urlsOf('SecuredReadyForAggregationQueue').map((url) => new QueueClient(url));
  const tableUrl = urlsOf('IngestionsStatusTable')[0] ?? '';
  const { origin, pathname, search } = new URL(tableUrl);
  const tableName = pathname.split('/').at(-1) ?? '';
  const table = new TableClient(
    `${origin}${pathname.slice(0, -tableName.length - 1)}`,
    tableName,
    new AzureSASCredential(search.slice(1)),
    {
      allowInsecureConnection: true,
    },
  );
  let turn = 0;
  let expected = 0;
  const statusOf = async (id: string) => ({ ...(await table.getEntity(id, id)) });
  return {
    azurite,
    kusto,
    client,
    sources,
    rows,
    post: async (tableName_, url, post = {}) => {
      const id = post.id ?? randomUUID();
      const reportMethod = post.reportMethod ?? 1;
      if (post.withEntity !== false && reportMethod > 0) {
        await table.upsertEntity({ partitionKey: id, rowKey: id, Status: 'Pending', Owner: 'the loader' });
      }
      const message = {
        IngestionStatusInTable:
          reportMethod > 0
            ? {
                tableConnectionString: tableUrl.replace(origin, post.tableOrigin ?? origin),
                partitionKey: id,
                rowKey: id,
              }
            : null,
        BlobPath: url,
        RawDataSize: post.rawSize === undefined ? 1_000 : post.rawSize,
        DatabaseName: post.database ?? 'local',
        TableName: tableName_,
        RetainBlobOnSuccess: true,
        FlushImmediately: post.flushImmediately ?? false,
        IgnoreSizeLimit: false,
        ReportLevel: post.reportLevel ?? 2,
        ReportMethod: reportMethod,
        SourceMessageCreationTime: new Date().toISOString(),
        Id: id,
        AdditionalProperties: { format: 'json', ...post.properties },
      };
      turn += 1;
      await queues[turn % queues.length]?.sendMessage(
        Buffer.from(JSON.stringify(message)).toString('base64'),
      );
      return id;
    },
    statusOf,
    finalStatusOf: async (id) => {
      for (let attempt = 0; attempt < 400; attempt += 1) {
        const entity = await statusOf(id);
        if (entity['Status'] !== 'Pending') return entity;
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      throw new Error(`${id} is still pending`);
    },
    load: async (messageCount) => {
      expected += messageCount;
      while (kusto.control.stats().messagesReceived < expected)
        await new Promise((resolve) => setTimeout(resolve, 20));
      kusto.control.flush();
      await kusto.control.idle();
    },
    stop: async () => {
      client.close();
      await kusto.stop();
      await sources.stop();
      await azurite.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
