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

const resourceKinds = [
  'SecuredReadyForAggregationQueue',
  'FailedIngestionsQueue',
  'SuccessfulIngestionsQueue',
  'TempStorage',
  'IngestionsStatusTable',
] as const;
type ResourceKind = (typeof resourceKinds)[number];

/** Row of `.get ingestion resources`. */
export interface ResourceRow {
  readonly kind: ResourceKind;
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

/** What this endpoint has in one storage account. */
interface AccountShare {
  readonly account: StorageAccount;
  readonly ready: readonly QueueClient[];
  readonly failed: readonly QueueClient[];
  readonly succeeded: readonly QueueClient[];
  readonly containerNames: readonly string[];
  readonly blobs: BlobServiceClient;
  readonly tables: TableServiceClient;
}

/**
 * The queues, containers and status tables that this endpoint hands out, named after its instance. They lie in the
 * accounts by turns, as a cluster has them; each account has a status table.
 */
export class IngestionResources {
  readonly readyQueues: readonly QueueClient[];
  readonly failedQueues: readonly QueueClient[];
  readonly succeededQueues: readonly QueueClient[];
  readonly #shares: readonly AccountShare[];
  readonly #statusTableName: string;

  constructor(accounts: readonly StorageAccount[], profile: ResourceProfile, instanceId: string) {
    const sizes = profileSizes[profile];
    const used = profile === 'single' ? accounts.slice(0, 1) : accounts;
    this.#statusTableName = `kusto${instanceId}status`;
    this.#shares = used.map((account, turn) => {
      const names = (kind: string, count: number) =>
        Array.from({ length: count }, (_, index) => `kusto${instanceId}-${kind}-${index}`).filter(
          (_, index) => index % used.length === turn,
        );
      const queues = new QueueServiceClient(
        account.queueEndpoint,
        new QueueSharedKeyCredential(account.accountName, account.accountKey),
      );
      const named = (kind: string, count: number) =>
        names(kind, count).map((name) => queues.getQueueClient(name));
      return {
        account,
        ready: named('ready', sizes.ready),
        failed: named('failed', sizes.other),
        succeeded: named('succeeded', sizes.other),
        containerNames: names('temp', sizes.containers),
        blobs: new BlobServiceClient(
          account.blobEndpoint,
          new StorageSharedKeyCredential(account.accountName, account.accountKey),
        ),
        tables: new TableServiceClient(
          account.tableEndpoint,
          new AzureNamedKeyCredential(account.accountName, account.accountKey),
          { allowInsecureConnection: true },
        ),
      };
    });
    this.readyQueues = this.#shares.flatMap(({ ready }) => ready);
    this.failedQueues = this.#shares.flatMap(({ failed }) => failed);
    this.succeededQueues = this.#shares.flatMap(({ succeeded }) => succeeded);
  }

  async create(): Promise<void> {
    await Promise.all([
      ...this.#allQueues().map((queue) => queue.createIfNotExists()),
      ...this.#shares.flatMap(({ blobs, tables, containerNames }) => [
        ...containerNames.map((name) => blobs.getContainerClient(name).createIfNotExists()),
        tables.createTable(this.#statusTableName),
      ]),
    ]);
  }

  /** As far as the storage answers within seconds: it may be on its way out, too. */
  async remove(): Promise<void> {
    const options = { abortSignal: AbortSignal.timeout(REMOVE_TIMEOUT_MS) };
    await Promise.allSettled([
      ...this.#allQueues().map((queue) => queue.deleteIfExists(options)),
      ...this.#shares.flatMap(({ blobs, tables, containerNames }) => [
        ...containerNames.map((name) => blobs.getContainerClient(name).deleteIfExists(options)),
        tables.deleteTable(this.#statusTableName, options),
      ]),
    ]);
  }

  /** True for blobs in a container of this endpoint. */
  ownsBlob(url: string): boolean {
    return this.#ownerOf(url) !== undefined;
  }

  /** Deletes a blob of ours with the account's key, whatever the SAS in `url` allows. */
  async deleteBlob(url: string): Promise<void> {
    const owner = this.#ownerOf(url);
    if (owner === undefined) return;
    const [container = '', ...path] = new URL(url).pathname
      .slice(new URL(owner.account.blobEndpoint).pathname.length + 1)
      .split('/');
    await owner.blobs
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
    const rows = this.#shares.flatMap((share) => this.#rowsOf(share, { startsOn, expiresOn }));
    // One kind after the other, as the service lists them.
    return resourceKinds.flatMap((kind) => rows.filter((row) => row.kind === kind));
  }

  #rowsOf(
    { account, ready, failed, succeeded, containerNames }: AccountShare,
    times: { readonly startsOn: Date; readonly expiresOn: Date },
  ): readonly ResourceRow[] {
    const { accountName, accountKey, blobEndpoint, tableEndpoint } = account;
    const queueKey = new QueueSharedKeyCredential(accountName, accountKey);
    const blobKey = new StorageSharedKeyCredential(accountName, accountKey);
    const queueRow = (kind: ResourceKind, permissions: string) => (queue: QueueClient) => ({
      kind,
      url: `${queue.url}?${generateQueueSASQueryParameters(
        { queueName: queue.name, permissions: QueueSASPermissions.parse(permissions), ...times },
        queueKey,
      ).toString()}`,
    });
    const containerRow = (containerName: string) => ({
      kind: 'TempStorage' as const,
      url: `${blobEndpoint}/${containerName}?${generateBlobSASQueryParameters(
        { containerName, permissions: ContainerSASPermissions.parse('rw'), ...times },
        blobKey,
      ).toString()}`,
    });
    const permissions: TableSasPermissions = { query: true, add: true, update: true, delete: true };
    const tableSas = generateTableSas(
      this.#statusTableName,
      new AzureNamedKeyCredential(accountName, accountKey),
      { permissions, ...times },
    );
    return [
      // Clients may only add to the ready queues, and read and take from the others.
      ...ready.map(queueRow('SecuredReadyForAggregationQueue', 'a')),
      ...failed.map(queueRow('FailedIngestionsQueue', 'rp')),
      ...succeeded.map(queueRow('SuccessfulIngestionsQueue', 'rp')),
      ...containerNames.map(containerRow),
      { kind: 'IngestionsStatusTable', url: `${tableEndpoint}/${this.#statusTableName}?${tableSas}` },
    ];
  }

  #ownerOf(url: string): AccountShare | undefined {
    return this.#shares.find(({ account, containerNames }) =>
      containerNames.some((name) => url.startsWith(`${account.blobEndpoint}/${name}/`)),
    );
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
