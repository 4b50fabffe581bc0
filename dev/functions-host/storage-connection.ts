import { QueueServiceClient } from '@azure/storage-queue';
import { resolveSettingNames } from './settings.ts';

/** What a setting's name is followed by when the connection is one by identity. */
const identitySuffixes = ['queueServiceUri', 'serviceUri', 'accountName'];

/**
 * Queue service of the connection that a binding names.
 *
 * @param connection the binding's `connection`: an app setting with a connection string, with or without the prefix
 *   `AzureWebJobs`; `AzureWebJobsStorage` when the binding names none
 * @param where what needs it, for errors
 * @throws when the setting is missing, and for identity-based connections, which have no place on one machine
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
    const identity = identitySuffixes
      .map((suffix) => `${setting}__${suffix}`)
      .find((each) => process.env[each]);
    if (identity !== undefined) {
      throw new Error(
        `${where}: the connection ${name} is identity-based (${identity}), which this host does not support. ` +
          `Set ${name} to a connection string, for example Azurite's.`,
      );
    }
  }
  throw new Error(
    `${where}: setting ${name} with a storage connection string is missing. Set it, for example to Azurite's.`,
  );
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
