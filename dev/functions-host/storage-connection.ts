import type { TokenCredential } from '@azure/identity';
import { QueueServiceClient } from '@azure/storage-queue';
import { resolveSettingNames } from './settings.ts';

/** What a setting's name is followed by when the connection is one by identity. */
const endpointSuffixes = ['queueServiceUri', 'serviceUri'];

/**
 * Queue service of the connection that a binding names.
 *
 * @param connection the binding's `connection`: an app setting with a connection string, with or without the prefix
 *   `AzureWebJobs`, or settings `__queueServiceUri` (or `__serviceUri`, `__accountName`) and, for a user-assigned
 *   identity, `__clientId`; `AzureWebJobsStorage` when the binding names none
 * @param where what needs it, for errors
 * @throws when the setting is missing, and for connections by identity where there is no managed identity
 */
export function connectQueues(connection: unknown, where: string): QueueServiceClient {
  const name = typeof connection === 'string' && connection !== '' ? connection : 'AzureWebJobsStorage';
  // The prefixed one wins, as in the real host.
  const settings = [`AzureWebJobs${name}`, name];
  for (const setting of settings) {
    const value = process.env[setting];
    if (value !== undefined && value !== '') return QueueServiceClient.fromConnectionString(value);
  }
  for (const setting of settings) {
    const url = endpointOf(setting);
    if (url === null) continue;
    if (!process.env['IDENTITY_ENDPOINT']) {
      throw new Error(
        `${where}: the connection ${name} is by identity (${setting}__...), and there is no managed identity here. ` +
          `Set ${name} to a connection string, for example Azurite's.`,
      );
    }
    return new QueueServiceClient(url, managedIdentity(process.env[`${setting}__clientId`]));
  }
  throw new Error(
    `${where}: setting ${name} with a storage connection string is missing. Set it, for example to Azurite's.`,
  );
}

function endpointOf(setting: string): string | null {
  const url = endpointSuffixes.map((suffix) => process.env[`${setting}__${suffix}`]).find(Boolean);
  const account = process.env[`${setting}__accountName`];
  return url ?? (account ? `https://${account}.queue.core.windows.net` : null);
}

const identities = new Map<string, TokenCredential>();

/** One for all bindings, because it keeps the tokens. The library takes long to load: it is loaded with the first token. */
function managedIdentity(clientId = ''): TokenCredential {
  const known = identities.get(clientId);
  if (known !== undefined) return known;
  let made: Promise<TokenCredential> | null = null;
  const credential: TokenCredential = {
    getToken: async (...request) => {
      made ??= import('@azure/identity').then(
        ({ ManagedIdentityCredential }) => new ManagedIdentityCredential(clientId === '' ? {} : { clientId }),
      );
      return (await made).getToken(...request);
    },
  };
  identities.set(clientId, credential);
  return credential;
}

/**
 * Name of the queue that a binding names: with its `%SETTING%`s filled in, in small letters, as the real host does it.
 *
 * @throws when a setting is missing, or when no queue can have the name
 */
export function resolveQueueName(queueName: unknown, where: string): string {
  const name = resolveSettingNames(String(queueName ?? ''), where).toLowerCase();
  if (/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) && name.length >= 3 && name.length <= 63) return name;
  throw new Error(
    `${where}: "${name}" is no name of a queue. Use 3 to 63 letters, digits and single hyphens inside.`,
  );
}
