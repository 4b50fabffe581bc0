import type { TableClient } from '@azure/data-tables';
import type { TokenCredential } from '@azure/identity';
import type { ContainerClient } from '@azure/storage-blob';
import type { RequestHook } from './entity-table.ts';
import { requestBodyPolicy, requestCountPolicy, timeoutPolicy } from './table-request-policies.ts';

/** A storage account: with its key in a connection string, or by name (global Azure) or endpoints and an identity. */
export type StorageAccount =
  | { readonly connectionString: string }
  | { readonly accountName: string; readonly credential: TokenCredential }
  | { readonly endpoints: StorageEndpoints; readonly credential: TokenCredential };

export interface StorageEndpoints {
  readonly blob: string;
  readonly table: string;
}

/**
 * Throttling, 408, 5xx and broken connections are tried again by the SDKs: 4 times after 0.5, 1, 2 and 4 s (with
 * jitter for tables), or when `Retry-After` says. An activity that fails nevertheless is retried by its orchestrator.
 */
const RETRIES = 4;
const RETRY_DELAY_MS = 500;
const RETRY_DELAY_MAX_MS = 8_000;
/** No document is larger than a few MB. */
const BLOB_TRY_TIMEOUT_MS = 60_000;

export async function openTableClient(
  storage: StorageAccount,
  table: string,
  onRequest?: RequestHook,
): Promise<TableClient> {
  const { TableClient } = await import('@azure/data-tables');
  const retryOptions = {
    maxRetries: RETRIES,
    retryDelayInMs: RETRY_DELAY_MS,
    maxRetryDelayInMs: RETRY_DELAY_MAX_MS,
  };
  const client =
    'connectionString' in storage
      ? TableClient.fromConnectionString(storage.connectionString, table, {
          retryOptions,
          allowInsecureConnection: isLocal(storage.connectionString),
        })
      : new TableClient(endpointOf(storage, 'table'), table, storage.credential, {
          retryOptions,
          allowInsecureConnection: isLocal(endpointOf(storage, 'table')),
        });
  client.pipeline.addPolicy(requestBodyPolicy);
  client.pipeline.addPolicy(timeoutPolicy);
  if (onRequest !== undefined) {
    client.pipeline.addPolicy(requestCountPolicy(onRequest), { afterPhase: 'Retry' });
  }
  return client;
}

export async function openContainerClient(
  storage: StorageAccount,
  container: string,
): Promise<ContainerClient> {
  const { BlobServiceClient } = await import('@azure/storage-blob');
  const options = {
    retryOptions: {
      maxTries: RETRIES + 1,
      retryDelayInMs: RETRY_DELAY_MS,
      maxRetryDelayInMs: RETRY_DELAY_MAX_MS,
      tryTimeoutInMs: BLOB_TRY_TIMEOUT_MS,
    },
  };
  const service =
    'connectionString' in storage
      ? BlobServiceClient.fromConnectionString(storage.connectionString, options)
      : new BlobServiceClient(endpointOf(storage, 'blob'), storage.credential, options);
  return service.getContainerClient(container);
}

function endpointOf(
  storage: Exclude<StorageAccount, { connectionString: string }>,
  service: 'blob' | 'table',
): string {
  return 'endpoints' in storage
    ? storage.endpoints[service]
    : `https://${storage.accountName}.${service}.core.windows.net`;
}

/** The stand-in for Azure storage speaks plain http on loopback; nothing else may. */
function isLocal(text: string): boolean {
  return (
    /\bUseDevelopmentStorage=true\b/i.test(text) ||
    /(?:^|TableEndpoint=)http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])[:/]/i.test(text)
  );
}
