import type { QueueClient } from '@azure/storage-queue';
import type { RegisteredFunction } from './functions-core.ts';
import type { BindingInfo, RpcInvocationResponse, RpcTypedData } from './rpc.ts';
import { resolveSettingNames } from './settings.ts';
import { connectQueues } from './storage-connection.ts';

/** Writes `queue` output bindings. */
export class QueueOutputs {
  readonly #encoding: 'base64' | 'none';
  readonly #clients = new Map<string, Promise<QueueClient>>();

  constructor(encoding: 'base64' | 'none') {
    this.#encoding = encoding;
  }

  /** Writes all messages of one response, in order. @throws what the queue service refused */
  async write(fn: RegisteredFunction, response: RpcInvocationResponse): Promise<void> {
    for (const [name, binding] of Object.entries(fn.bindings)) {
      if (binding.direction !== 'out' || binding.type.toLowerCase() !== 'queue') continue;
      const data =
        name === '$return'
          ? response.returnValue
          : response.outputData.find((each) => each.name === name)?.data;
      const messages = toMessages(data);
      if (messages.length === 0) continue;
      const client = await this.#client(binding, fn.name);
      for (const text of messages) await client.sendMessage(encodeMessage(text, this.#encoding));
    }
  }

  #client(binding: BindingInfo, functionName: string): Promise<QueueClient> {
    const queueName = resolveSettingNames(
      String(binding.queueName ?? ''),
      `the queue output of ${functionName}`,
    );
    const connection = typeof binding.connection === 'string' ? binding.connection : undefined;
    const key = `${connection ?? ''} ${queueName}`;
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = createQueue(connection, queueName);
      this.#clients.set(key, client);
      client.catch(() => this.#clients.delete(key));
    }
    return client;
  }
}

async function createQueue(connection: string | undefined, queueName: string): Promise<QueueClient> {
  const client = connectQueues(connection).getQueueClient(queueName);
  await client.createIfNotExists();
  return client;
}

/** Message text as it goes over the wire. */
function encodeMessage(text: string, encoding: 'base64' | 'none'): string {
  return encoding === 'base64' ? Buffer.from(text, 'utf8').toString('base64') : text;
}

function toMessages(data: RpcTypedData | null | undefined): string[] {
  if (data === null || data === undefined) return [];
  if (data.string !== undefined) return [data.string];
  if (data.bytes !== undefined) return [Buffer.from(data.bytes).toString('utf8')];
  if (data.json !== undefined) {
    const value: unknown = JSON.parse(data.json);
    if (!Array.isArray(value)) return [data.json];
    return value.map((each) => (typeof each === 'string' ? each : JSON.stringify(each)));
  }
  const number = data.int ?? data.double;
  return number === undefined ? [] : [String(number)];
}
