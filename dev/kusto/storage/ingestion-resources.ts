import {
  AzureNamedKeyCredential,
  AzureSASCredential,
  generateTableSas,
  TableClient,
  type TableSasPermissions,
  TableServiceClient,
} from '@azure/data-tables';
import {
  BlobServiceClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import {
  generateQueueSASQueryParameters,
  type QueueClient,
  QueueSASPermissions,
  QueueServiceClient,
  StorageSharedKeyCredential as QueueSharedKeyCredential,
} from '@azure/storage-queue';

const REMOVE_TIMEOUT_MS = 5_000;

export type ResourceProfile = 'single' | 'multi';

export interface StorageAccount {
  readonly accountName: string;
  readonly accountKey: string;
  readonly blobEndpoint: string;
  readonly queueEndpoint: string;
  readonly tableEndpoint: string;
}

const profileSizes: Readonly<
  Record<ResourceProfile, { readonly ready: number; readonly other: number; readonly containers: number }>
> = {
  single: { ready: 1, other: 1, containers: 1 },
  multi: { ready: 3, other: 2, containers: 3 },
};

/** Row of `.get ingestion resources`. */
export interface ResourceRow {
  readonly kind: string;
  readonly url: string;
}

/** @throws Error naming the part that is missing. */
export function readConnectionString(connectionString: string): StorageAccount {
  const parts = new Map(
    connectionString
      .split(';')
      .filter((part) => part.includes('='))
      .map((part) => [
        part.slice(0, part.indexOf('=')).trim().toLowerCase(),
        part.slice(part.indexOf('=') + 1).trim(),
      ]),
  );
  const need = (name: string) => {
    const value = parts.get(name.toLowerCase());
    if (value === undefined || value === '') throw new Error(`The Azurite connection string has no ${name}.`);
    return value.replace(/\/$/, '');
  };
  return {
    accountName: need('AccountName'),
    accountKey: need('AccountKey'),
    blobEndpoint: need('BlobEndpoint'),
    queueEndpoint: need('QueueEndpoint'),
    tableEndpoint: need('TableEndpoint'),
  };
}

/** The queues, containers and status table that this endpoint hands out, named after its instance. */
export class IngestionResources {
  readonly readyQueues: readonly QueueClient[];
  readonly failedQueues: readonly QueueClient[];
  readonly succeededQueues: readonly QueueClient[];
  readonly containerNames: readonly string[];
  readonly statusTableName: string;
  readonly #account: StorageAccount;
  readonly #blobService: BlobServiceClient;
  readonly #tableService: TableServiceClient;

  constructor(account: StorageAccount, profile: ResourceProfile, instanceId: string) {
    this.#account = account;
    const sizes = profileSizes[profile];
    const queues = new QueueServiceClient(
      account.queueEndpoint,
      new QueueSharedKeyCredential(account.accountName, account.accountKey),
    );
    const named = (kind: string, count: number) =>
      Array.from({ length: count }, (_, index) =>
        queues.getQueueClient(`kusto${instanceId}-${kind}-${index}`),
      );
    this.readyQueues = named('ready', sizes.ready);
    this.failedQueues = named('failed', sizes.other);
    this.succeededQueues = named('succeeded', sizes.other);
    this.containerNames = Array.from(
      { length: sizes.containers },
      (_, index) => `kusto${instanceId}-temp-${index}`,
    );
    this.statusTableName = `kusto${instanceId}status`;
    this.#blobService = new BlobServiceClient(
      account.blobEndpoint,
      new StorageSharedKeyCredential(account.accountName, account.accountKey),
    );
    this.#tableService = new TableServiceClient(
      account.tableEndpoint,
      new AzureNamedKeyCredential(account.accountName, account.accountKey),
      { allowInsecureConnection: true },
    );
  }

  async create(): Promise<void> {
    await Promise.all([
      ...this.#allQueues().map((queue) => queue.createIfNotExists()),
      ...this.containerNames.map((name) => this.#blobService.getContainerClient(name).createIfNotExists()),
      this.#tableService.createTable(this.statusTableName),
    ]);
  }

  /** As far as the storage answers within seconds: it may be on its way out, too. */
  async remove(): Promise<void> {
    const options = { abortSignal: AbortSignal.timeout(REMOVE_TIMEOUT_MS) };
    await Promise.allSettled([
      ...this.#allQueues().map((queue) => queue.deleteIfExists(options)),
      ...this.containerNames.map((name) =>
        this.#blobService.getContainerClient(name).deleteIfExists(options),
      ),
      this.#tableService.deleteTable(this.statusTableName, options),
    ]);
  }

  /** True for blobs in a container of this endpoint. */
  ownsBlob(url: string): boolean {
    return this.containerNames.some((name) => url.startsWith(`${this.#account.blobEndpoint}/${name}/`));
  }

  /** Deletes a blob of ours with the account's key, whatever the SAS in `url` allows. */
  async deleteBlob(url: string): Promise<void> {
    const [container = '', ...path] = new URL(url).pathname
      .slice(new URL(this.#account.blobEndpoint).pathname.length + 1)
      .split('/');
    await this.#blobService
      .getContainerClient(container)
      .getBlobClient(decodeURIComponent(path.join('/')))
      .deleteIfExists();
  }

  /**
   * @param lifetimeMs how long the signatures are good for; negative for signatures that have already expired.
   */
  listRows(lifetimeMs: number): readonly ResourceRow[] {
    const startsOn = new Date(Date.now() - 15 * 60_000 + Math.min(0, lifetimeMs));
    const expiresOn = new Date(Date.now() + lifetimeMs);
    const { accountName, accountKey, blobEndpoint, tableEndpoint } = this.#account;
    const queueKey = new QueueSharedKeyCredential(accountName, accountKey);
    const blobKey = new StorageSharedKeyCredential(accountName, accountKey);
    const queueRow = (kind: string, permissions: string) => (queue: QueueClient) => ({
      kind,
      url: `${queue.url}?${generateQueueSASQueryParameters(
        { queueName: queue.name, permissions: QueueSASPermissions.parse(permissions), startsOn, expiresOn },
        queueKey,
      ).toString()}`,
    });
    const containerRow = (containerName: string) => ({
      kind: 'TempStorage',
      url: `${blobEndpoint}/${containerName}?${generateBlobSASQueryParameters(
        { containerName, permissions: ContainerSASPermissions.parse('rw'), startsOn, expiresOn },
        blobKey,
      ).toString()}`,
    });
    const permissions: TableSasPermissions = { query: true, add: true, update: true };
    const tableSas = generateTableSas(
      this.statusTableName,
      new AzureNamedKeyCredential(accountName, accountKey),
      {
        permissions,
        startsOn,
        expiresOn,
      },
    );
    return [
      // Clients may only add to the ready queues, and read and take from the others.
      ...this.readyQueues.map(queueRow('SecuredReadyForAggregationQueue', 'a')),
      ...this.failedQueues.map(queueRow('FailedIngestionsQueue', 'rp')),
      ...this.succeededQueues.map(queueRow('SuccessfulIngestionsQueue', 'rp')),
      ...this.containerNames.map(containerRow),
      { kind: 'IngestionsStatusTable', url: `${tableEndpoint}/${this.statusTableName}?${tableSas}` },
    ];
  }

  #allQueues(): QueueClient[] {
    return [...this.readyQueues, ...this.failedQueues, ...this.succeededQueues];
  }
}

/** A client for the table that a message names: `<account url>/<table>?<sas>`. @throws Error when it is no such URL. */
export function openStatusTable(tableUrl: string): TableClient {
  const url = new URL(tableUrl);
  const at = url.pathname.lastIndexOf('/');
  const tableName = url.pathname.slice(at + 1);
  return new TableClient(
    `${url.origin}${url.pathname.slice(0, at)}`,
    tableName,
    new AzureSASCredential(url.search.slice(1)),
    {
      allowInsecureConnection: true,
      // Whoever writes there tries again by itself.
      retryOptions: { maxRetries: 0 },
    },
  );
}
