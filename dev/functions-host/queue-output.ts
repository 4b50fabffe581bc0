import type { QueueClient } from '@azure/storage-queue';
import type { RegisteredFunction } from './functions-core.ts';
import type { BindingInfo, RpcInvocationResponse, RpcTypedData } from './rpc.ts';
import { connectQueues, resolveQueueName } from './storage-connection.ts';

/** Writes `queue` output bindings. */
export class QueueOutputs {
  readonly #encoding: 'base64' | 'none';
  readonly #queues = new Map<BindingInfo, QueueClient>();
  readonly #created = new Map<string, Promise<unknown>>();

  /** @throws when a queue's name or connection can't be resolved */
  constructor(functions: readonly RegisteredFunction[], encoding: 'base64' | 'none') {
    this.#encoding = encoding;
    for (const fn of functions) {
      for (const binding of Object.values(fn.bindings)) {
        if (isQueueOutput(binding)) this.#queues.set(binding, connect(binding, fn.name));
      }
    }
  }

  /** Writes all messages of one response, in order. @throws what the queue service refused */
  async write(fn: RegisteredFunction, response: RpcInvocationResponse): Promise<void> {
    for (const [name, binding] of Object.entries(fn.bindings)) {
      const queue = this.#queues.get(binding);
      if (queue === undefined) continue;
      const data =
        name === '$return'
          ? response.returnValue
          : response.outputData.find((each) => each.name === name)?.data;
      const messages = toMessages(data);
      if (messages.length === 0) continue;
      await this.#create(queue);
      for (const text of messages) await queue.sendMessage(encodeMessage(text, this.#encoding));
    }
  }

  /** Makes the queue once; a failure is not kept. */
  #create(queue: QueueClient): Promise<unknown> {
    let created = this.#created.get(queue.url);
    if (created === undefined) {
      created = queue.createIfNotExists();
      this.#created.set(queue.url, created);
      created.catch(() => this.#created.delete(queue.url));
    }
    return created;
  }
}

function isQueueOutput(binding: BindingInfo): boolean {
  return binding.direction === 'out' && binding.type.toLowerCase() === 'queue';
}

function connect(binding: BindingInfo, functionName: string): QueueClient {
  const where = `the queue output of ${functionName}`;
  return connectQueues(binding.connection, where).getQueueClient(resolveQueueName(binding.queueName, where));
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
