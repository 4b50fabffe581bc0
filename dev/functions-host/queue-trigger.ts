import { setTimeout as wait } from 'node:timers/promises';
import type { DequeuedMessageItem, QueueClient, QueueServiceClient } from '@azure/storage-queue';
import type { FunctionRunner } from './function-runner.ts';
import type { RegisteredFunction } from './functions-core.ts';
import { describeError, type Logger } from './log.ts';
import type { RpcTypedData } from './rpc.ts';
import type { QueueSettings } from './settings.ts';
import { connectQueues, resolveQueueName } from './storage-connection.ts';

/** How long a message stays hidden while its function runs; renewed at half time. */
const leaseMs = 600_000;
const shortestPollMs = 100;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Polls one function's queue and runs the function for each message. */
export class QueueTrigger {
  readonly #fn: RegisteredFunction;
  readonly #runner: FunctionRunner;
  readonly #settings: QueueSettings;
  readonly #logger: Logger;
  readonly #runsTwice: boolean;
  readonly #service: QueueServiceClient;
  readonly #queue: QueueClient;
  readonly #abort = new AbortController();
  #running = 0;
  #loop: Promise<void> | undefined;

  /** @throws when the queue's name or connection can't be resolved */
  constructor(params: {
    fn: RegisteredFunction;
    runner: FunctionRunner;
    settings: QueueSettings;
    logger: Logger;
    /** Test mode: the function gets each delivery twice at the same time. */
    runsTwice: boolean;
  }) {
    this.#fn = params.fn;
    this.#runner = params.runner;
    this.#settings = params.settings;
    this.#logger = params.logger;
    this.#runsTwice = params.runsTwice;
    const { trigger, name } = params.fn;
    const where = `the queue trigger of ${name}`;
    const queueName = resolveQueueName(trigger.queueName, where);
    this.#service = connectQueues(trigger.connection, where);
    this.#queue = this.#service.getQueueClient(queueName);
  }

  start(): void {
    this.#loop = this.#poll();
  }

  /** Takes no more messages; those at work may end. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#loop;
  }

  async #poll(): Promise<void> {
    let delayMs = shortestPollMs;
    while (!this.#abort.signal.aborted) {
      const room = this.#running <= this.#settings.newBatchThreshold;
      const count = room ? await this.#takeBatch() : 0;
      const longestMs = Math.max(shortestPollMs, this.#settings.maxPollingIntervalMs);
      delayMs = count > 0 || !room ? shortestPollMs : Math.min(delayMs * 2, longestMs);
      if (count > 0) continue;
      await wait(room ? delayMs : 20, undefined, { signal: this.#abort.signal }).catch(() => undefined);
    }
  }

  async #takeBatch(): Promise<number> {
    try {
      const { receivedMessageItems } = await this.#queue.receiveMessages({
        numberOfMessages: this.#settings.batchSize,
        visibilityTimeout: leaseMs / 1000,
        abortSignal: this.#abort.signal,
      });
      for (const message of receivedMessageItems) {
        this.#running += 1;
        void this.#handle(message).finally(() => {
          this.#running -= 1;
        });
      }
      return receivedMessageItems.length;
    } catch (error) {
      // The real host too waits for a queue that is not there yet.
      const isMissing = (error as { statusCode?: number }).statusCode === 404;
      if (!isMissing && !this.#abort.signal.aborted)
        this.#log('warning', `can't be polled: ${describeError(error)}`);
      return 0;
    }
  }

  async #handle(message: DequeuedMessageItem): Promise<void> {
    let popReceipt = message.popReceipt;
    const renew = async () => {
      const renewed = await this.#queue.updateMessage(
        message.messageId,
        popReceipt,
        undefined,
        leaseMs / 1000,
      );
      popReceipt = renewed.popReceipt ?? popReceipt;
    };
    const renewal = setInterval(() => void renew().catch(() => undefined), leaseMs / 2);
    try {
      if (!this.#isEncoded(message.messageText)) {
        await this.#poison(message, popReceipt, 'is not base64, which host.json asks for');
        return;
      }
      if (message.dequeueCount > this.#settings.maxDequeueCount) {
        await this.#poison(message, popReceipt);
        return;
      }
      if (await this.#run(message)) {
        await this.#queue.deleteMessage(message.messageId, popReceipt);
      } else if (message.dequeueCount >= this.#settings.maxDequeueCount) {
        await this.#poison(message, popReceipt);
      } else {
        const delaySeconds = Math.floor(this.#settings.visibilityTimeoutMs / 1000);
        await this.#queue.updateMessage(message.messageId, popReceipt, undefined, delaySeconds);
      }
    } catch (error) {
      this.#log('error', `message ${message.messageId} can't be settled: ${describeError(error)}`);
    } finally {
      clearInterval(renewal);
    }
  }

  async #run(message: DequeuedMessageItem): Promise<boolean> {
    const request = {
      triggerData: { string: this.#decode(message.messageText) },
      triggerMetadata: toMetadata(message, this.#decode(message.messageText)),
    };
    const runs = [this.#runner.run(this.#fn, request)];
    if (this.#runsTwice) runs.push(this.#runner.run(this.#fn, request));
    const results = await Promise.allSettled(runs);
    for (const result of results) {
      if (result.status === 'rejected') {
        this.#log(
          'error',
          `message ${message.messageId}, delivery ${message.dequeueCount}: ${describeError(result.reason)}`,
        );
      }
    }
    return results.some((result) => result.status === 'fulfilled');
  }

  async #poison(
    message: DequeuedMessageItem,
    popReceipt: string,
    why = `has failed ${message.dequeueCount} times`,
  ): Promise<void> {
    const poison = this.#service.getQueueClient(`${this.#queue.name}-poison`);
    await poison.createIfNotExists();
    await poison.sendMessage(message.messageText);
    await this.#queue.deleteMessage(message.messageId, popReceipt);
    this.#log('warning', `message ${message.messageId} ${why} and is now in ${poison.name}`);
  }

  /** The real host puts a message aside that it can't decode; it never comes to the function. */
  #isEncoded(text: string): boolean {
    return this.#settings.messageEncoding === 'none' || (text.length % 4 === 0 && BASE64.test(text));
  }

  #decode(text: string): string {
    return this.#settings.messageEncoding === 'base64' ? Buffer.from(text, 'base64').toString('utf8') : text;
  }

  #log(level: 'warning' | 'error', text: string): void {
    this.#logger.log({
      level,
      category: 'queue',
      message: `${this.#queue.name} of '${this.#fn.name}': ${text}`,
    });
  }
}

function toMetadata(message: DequeuedMessageItem, text: string): Record<string, RpcTypedData> {
  return {
    Id: { string: message.messageId },
    DequeueCount: { string: String(message.dequeueCount) },
    InsertionTime: { string: message.insertedOn.toISOString() },
    ExpirationTime: { string: message.expiresOn.toISOString() },
    NextVisibleTime: { string: message.nextVisibleOn.toISOString() },
    PopReceipt: { string: message.popReceipt },
    QueueTrigger: { string: text },
  };
}
