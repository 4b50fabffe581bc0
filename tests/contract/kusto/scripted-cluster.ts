import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TableServiceClient } from '@azure/data-tables';
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  type QueueClient,
  QueueServiceClient,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-queue';
import { startAzurite } from '../../../dev/azurite/index.ts';

type Cell = string | number | boolean | null;

/** A table of one result, or an error with a Kusto error body. */
export type Answer =
  | { readonly rows: readonly Readonly<Record<string, Cell>>[] }
  | { readonly status: number; readonly message?: string; readonly permanent?: boolean }
  | 'hang';

/** Answers every command as the test says; its queues and status table are real ones, in Azurite. */
export interface ScriptedCluster {
  readonly url: string;
  readonly queues: readonly QueueClient[];
  readonly queueUrls: readonly string[];
  readonly tableUrl: string;
  readonly commands: readonly string[];
  /** Answers commands that match; the latest rule wins. `null` from the function leaves it to earlier rules. */
  on(pattern: RegExp, answer: Answer | (() => Answer | null)): void;
  /** The resources as the cluster hands them out from now on. */
  offer(resources: { readonly queueUrls?: readonly string[]; readonly tableUrls?: readonly string[] }): void;
  reset(): void;
  signed(url: string, expiresOn?: Date): string;
  stop(): Promise<void>;
}

export async function startScriptedCluster(): Promise<ScriptedCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'kusto-contract-'));
  const azurite = await startAzurite({ folder, inMemory: true });
  const { accountName, accountKey, queueEndpoint, tableEndpoint } = azurite.settings;
  const key = new StorageSharedKeyCredential(accountName, accountKey);
  const signed = (url: string, expiresOn = new Date(Date.now() + 24 * 3600_000)) => {
    const sas = generateAccountSASQueryParameters(
      {
        expiresOn,
        services: AccountSASServices.parse('qt').toString(),
        resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
        permissions: AccountSASPermissions.parse('rwdlacup'),
        protocol: SASProtocol.HttpsAndHttp,
      },
      key,
    );
    return `${url}?${sas.toString()}`;
  };

  const service = QueueServiceClient.fromConnectionString(azurite.connectionString);
  const queues = ['ready-a', 'ready-b'].map((name) => service.getQueueClient(name));
  await Promise.all(queues.map((queue) => queue.create()));
  const tables = TableServiceClient.fromConnectionString(azurite.connectionString, {
    allowInsecureConnection: true,
  });
  await tables.createTable('ingestionstatus');
  const queueUrls = ['ready-a', 'ready-b'].map((name) => signed(`${queueEndpoint}/${name}`));
  const tableUrl = signed(`${tableEndpoint}/ingestionstatus`);

  let offered: { queueUrls: readonly string[]; tableUrls: readonly string[] } = {
    queueUrls,
    tableUrls: [tableUrl],
  };
  let rules: { pattern: RegExp; answer: Answer | (() => Answer | null) }[] = [];
  const commands: string[] = [];

  const builtIn = (command: string): Answer => {
    if (command === '.get kusto identity token')
      return { rows: [{ AuthorizationContext: 'identity-token' }] };
    if (command !== '.get ingestion resources') return { status: 400, message: `No answer to ${command}` };
    const rowsOf = (ResourceTypeName: string, urls: readonly string[]) =>
      urls.map((StorageRoot) => ({ ResourceTypeName, StorageRoot }));
    return {
      rows: [
        ...rowsOf('SecuredReadyForAggregationQueue', offered.queueUrls),
        ...rowsOf('IngestionsStatusTable', offered.tableUrls),
      ],
    };
  };

  const server = createServer(async (request, response) => {
    if (request.method === 'GET') return void response.writeHead(404).end();
    let body = '';
    for await (const chunk of request) body += chunk;
    const command = (JSON.parse(body) as { csl: string }).csl;
    commands.push(command);
    let answer: Answer | null = null;
    for (const rule of rules.filter(({ pattern }) => pattern.test(command)).reverse()) {
      answer ??= typeof rule.answer === 'function' ? rule.answer() : rule.answer;
    }
    answer ??= builtIn(command);
    if (answer === 'hang') return;
    response.setHeader('content-type', 'application/json');
    if ('status' in answer) {
      const { status, message = 'said no', permanent = status < 500 } = answer;
      return void response
        .writeHead(status)
        .end(JSON.stringify({ error: { code: 'X', message, '@message': message, '@permanent': permanent } }));
    }
    const names = Object.keys(answer.rows[0] ?? { Nothing: '' });
    const Columns = names.map((ColumnName) => ({ ColumnName, DataType: 'String', ColumnType: 'string' }));
    const Rows = answer.rows.map((row) => names.map((name) => row[name]));
    const table = { TableName: 'Table_0', Columns, Rows };
    const isQuery = request.url?.startsWith('/v2/') === true;
    const frames = [
      { FrameType: 'DataSetHeader', IsProgressive: false, Version: 'v2.0' },
      { FrameType: 'DataTable', TableId: 0, TableKind: 'PrimaryResult', ...table },
      { FrameType: 'DataSetCompletion', HasErrors: false, Cancelled: false },
    ];
    response.end(JSON.stringify(isQuery ? frames : { Tables: [table] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    queues,
    queueUrls,
    tableUrl,
    commands,
    signed,
    on(pattern, answer) {
      rules.push({ pattern, answer });
    },
    offer(resources) {
      offered = { ...offered, ...resources };
    },
    reset() {
      rules = [];
      commands.length = 0;
      offered = { queueUrls, tableUrls: [tableUrl] };
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await azurite.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
