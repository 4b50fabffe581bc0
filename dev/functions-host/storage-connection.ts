import { QueueServiceClient } from '@azure/storage-queue';

/**
 * Queue service of the connection that a binding names.
 *
 * @param name app setting with a connection string; `AzureWebJobsStorage` when the binding names none
 * @throws when the setting is missing, and for identity-based connections, which have no place on one machine
 */
export function connectQueues(name: string | undefined): QueueServiceClient {
  const setting = name === undefined || name === '' ? 'AzureWebJobsStorage' : name;
  const value = process.env[setting] ?? process.env[`AzureWebJobs${setting}`];
  if (value === undefined || value === '') {
    if (
      process.env[`${setting}__queueServiceUri`] !== undefined ||
      process.env[`${setting}__accountName`] !== undefined
    ) {
      throw new Error(
        `Setting ${setting} is identity-based, which this host does not support. Set a connection string.`,
      );
    }
    throw new Error(
      `Setting ${setting} with a storage connection string is missing. Set it, for example to Azurite's.`,
    );
  }
  return QueueServiceClient.fromConnectionString(value);
}
