import { DatabaseSync } from 'node:sqlite';
import { TableClient, TableServiceClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { QueueServiceClient } from '@azure/storage-queue';
import type { Written } from './secret-forms.ts';

/** All blobs of a storage account: names, metadata, content. */
export async function* blobsOf(connectionString: string): AsyncGenerator<Written> {
  const account = BlobServiceClient.fromConnectionString(connectionString);
  for await (const { name: container } of account.listContainers()) {
    const client = account.getContainerClient(container);
    for await (const { name, metadata } of client.listBlobsFlat({ includeMetadata: true })) {
      const content = (await client.getBlobClient(name).downloadToBuffer()).toString('latin1');
      yield { where: `blob ${container}/${name}`, text: `${name}\n${JSON.stringify(metadata)}\n${content}` };
    }
  }
}

/** All entities of a storage account. */
export async function* entitiesOf(connectionString: string): AsyncGenerator<Written> {
  const options = { allowInsecureConnection: true };
  const account = TableServiceClient.fromConnectionString(connectionString, options);
  for await (const { name = '' } of account.listTables()) {
    for await (const entity of TableClient.fromConnectionString(
      connectionString,
      name,
      options,
    ).listEntities())
      yield { where: `table ${name}`, text: JSON.stringify(entity) };
  }
}

/** The messages that stand in the queues of a storage account, as they are and decoded; but for the queues named. */
export async function* messagesOf(
  connectionString: string,
  without: ReadonlySet<string>,
): AsyncGenerator<Written> {
  const account = QueueServiceClient.fromConnectionString(connectionString);
  for await (const { name } of account.listQueues()) {
    if (without.has(name)) continue;
    const { peekedMessageItems } = await account.getQueueClient(name).peekMessages({ numberOfMessages: 32 });
    for (const { messageText } of peekedMessageItems) {
      const decoded = Buffer.from(messageText, 'base64').toString('utf8');
      yield { where: `queue ${name}`, text: `${messageText}\n${decoded}` };
    }
  }
}

/** Every row of the host's state file: instances, histories, timers; but for the table in which the host keeps its keys. */
export function* rowsOf(stateFile: string): Generator<Written> {
  const database = new DatabaseSync(stateFile);
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    for (const { name } of tables) {
      if (name === 'host_key') continue;
      for (const row of database.prepare(`SELECT * FROM "${String(name)}"`).iterate()) {
        const values = Object.values(row).map((value) =>
          value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
        );
        yield { where: `state file, ${String(name)}`, text: values.join('\n') };
      }
    }
  } finally {
    database.close();
  }
}
