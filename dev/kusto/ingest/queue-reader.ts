import type { DequeuedMessageItem, QueueClient } from '@azure/storage-queue';
import type { Faults } from '../faults.ts';
import { nameOf, retryPassing, TRY_TIMEOUT_MS } from '../storage/storage-retry.ts';
import type { Batcher, BatchItem } from './batching.ts';
import { runConcurrently } from './concurrency.ts';
import type { FaultyReporter } from './faulty-reporter.ts';
import type { IngestionCounters } from './ingestion-counters.ts';
import { type ReadMessage, readIngestionMessage, UnreadableMessage } from './ingestion-message.ts';
import { makeReport } from './status-reports.ts';

const IDLE_POLL_MS = 200;
const MESSAGES_PER_POLL = 32;
const MAX_DROPPED = 200;

export interface QueueReaderOptions {
  readonly queues: readonly QueueClient[];
  readonly batcher: Batcher;
  readonly reporter: FaultyReporter;
  readonly faults: Faults;
  readonly counters: IngestionCounters;
  /** How long a message is hidden from other readers; renewed while it is held. */
  readonly visibilitySeconds: number;
}

/** A message that this endpoint holds. */
interface Lease {
  readonly queue: QueueClient;
  readonly messageId: string;
  popReceipt: string;
  renewAtMs: number;
  /** Its source is done with; it only has to go from its queue. */
  isSettled: boolean;
  /** An update and a delete at the same time would use the same receipt. */
  busy: Promise<unknown>;
}

/** Polls the ready queues. A message stays in its queue, hidden, until its item is settled. */
export class QueueReader {
  readonly #options: QueueReaderOptions;
  readonly #leases = new Map<string, Lease>();
  readonly #retries = new Set<NodeJS.Timeout>();
  readonly #dropped: { readonly droppedAt: string; readonly reason: string }[] = [];
  readonly #loops: Promise<void>[];
  readonly #renewing: NodeJS.Timeout;
  readonly #abort = new AbortController();

  constructor(options: QueueReaderOptions) {
    this.#options = options;
    this.#loops = options.queues.map((queue) => this.#poll(queue));
    this.#renewing = setInterval(() => void this.#renew(), Math.min(10_000, options.visibilitySeconds * 250));
  }

  /** Messages that could not be read, newest last. */
  get dropped(): readonly { readonly droppedAt: string; readonly reason: string }[] {
    return this.#dropped;
  }

  /** Messages taken from the queues and not yet settled. */
  get heldCount(): number {
    return [...this.#leases.values()].filter((lease) => !lease.isSettled).length;
  }

  retryLater(item: BatchItem, delayMs: number): void {
    if (this.#abort.signal.aborted) return;
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      this.#options.batcher.add(item);
    }, delayMs);
    this.#retries.add(timer);
  }

  /** Ends the polling and forgets the open batches; messages stay hidden until `release`. */
  async stop(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#renewing);
    for (const timer of this.#retries) clearTimeout(timer);
    await Promise.all(this.#loops);
    this.#options.batcher.abandon();
  }

  /** Shows the messages that are still held again, for the next reader of the same queues. */
  async release(): Promise<void> {
    const held = [...this.#leases.values()].filter((lease) => !lease.isSettled);
    await runConcurrently(held, MESSAGES_PER_POLL, async (lease) => {
      await lease.busy;
      await lease.queue.updateMessage(lease.messageId, lease.popReceipt, undefined, 0).catch(() => undefined);
    });
  }

  async #poll(queue: QueueClient): Promise<void> {
    while (!this.#abort.signal.aborted) {
      let messages: readonly DequeuedMessageItem[] = [];
      try {
        const response = await queue.receiveMessages({
          numberOfMessages: MESSAGES_PER_POLL,
          visibilityTimeout: this.#options.visibilitySeconds,
          abortSignal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TRY_TIMEOUT_MS)]),
        });
        messages = response.receivedMessageItems;
      } catch {
        // The storage is away or the queue was removed: asked again at the next turn.
      }
      for (const message of messages) {
        try {
          await this.#take(queue, message);
        } catch (error) {
          // Not held any more, it shows again when its time is over.
          this.#leases.delete(message.messageId);
          console.error(`kusto: message ${message.messageId} could not be taken:`, error);
        }
      }
      if (messages.length === 0 && !this.#abort.signal.aborted)
        await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
    }
  }

  async #take(queue: QueueClient, item: DequeuedMessageItem): Promise<void> {
    const { batcher, faults, counters, reporter } = this.#options;
    const held = this.#leases.get(item.messageId);
    if (held !== undefined) {
      // The renewal came too late and the message showed again: it is the same delivery, with a new receipt.
      held.popReceipt = item.popReceipt;
      held.renewAtMs = this.#nextRenewalMs();
      if (held.isSettled) await this.#remove(held);
      return;
    }
    counters.messagesReceived += 1;
    const lease: Lease = {
      queue,
      messageId: item.messageId,
      popReceipt: item.popReceipt,
      renewAtMs: this.#nextRenewalMs(),
      isSettled: false,
      busy: Promise.resolve(),
    };
    this.#leases.set(item.messageId, lease);
    const settle = () => this.#settle(lease);
    let read: ReadMessage;
    try {
      read = readIngestionMessage(item.messageText);
    } catch (error) {
      if (!(error instanceof UnreadableMessage)) throw error;
      counters.messagesDropped += 1;
      this.#dropped.push({ droppedAt: new Date().toISOString(), reason: error.message });
      if (this.#dropped.length > MAX_DROPPED) this.#dropped.shift();
      await settle();
      return;
    }
    const { message, error } = read;
    if (faults.takeIngestionFault(message, 'lose') !== undefined) {
      counters.messagesLost += 1;
      await settle();
      return;
    }
    if (error !== undefined) {
      counters.sourcesFailed += 1;
      await reporter.write([
        makeReport(message, {
          status: 'Failed',
          errorCode: error.errorCode,
          failureStatus: error.failureStatus,
          details: error.message,
        }),
      ]);
      await settle();
      return;
    }
    batcher.add({ message, attempt: 0, settle });
    if (faults.takeIngestionFault(message, 'deliverTwice') !== undefined) {
      counters.duplicateDeliveries += 1;
      batcher.add({ message, attempt: 0, settle: async () => undefined });
    }
  }

  async #settle(lease: Lease): Promise<void> {
    if (lease.isSettled) return;
    lease.isSettled = true;
    await lease.busy;
    await this.#remove(lease);
  }

  /** A message whose receipt is out of date stays known: when it shows again it is removed, not loaded. */
  async #remove(lease: Lease): Promise<void> {
    try {
      await retryPassing(
        (abortSignal) => lease.queue.deleteMessage(lease.messageId, lease.popReceipt, { abortSignal }),
        { signal: this.#abort.signal },
      );
    } catch (error) {
      if ((error as { code?: string }).code === 'PopReceiptMismatch') return;
      if ((error as { statusCode?: number }).statusCode !== 404)
        console.error(`kusto: message ${lease.messageId} could not be removed: ${nameOf(error)}`);
    }
    this.#leases.delete(lease.messageId);
  }

  async #renew(): Promise<void> {
    const now = Date.now();
    const due = [...this.#leases.values()].filter((lease) => !lease.isSettled && lease.renewAtMs <= now);
    await runConcurrently(due, MESSAGES_PER_POLL, async (lease) => {
      lease.renewAtMs = this.#nextRenewalMs();
      const renewal = lease.queue
        .updateMessage(lease.messageId, lease.popReceipt, undefined, this.#options.visibilitySeconds)
        .then((response) => {
          if (response.popReceipt !== undefined) lease.popReceipt = response.popReceipt;
        })
        .catch(() => undefined);
      lease.busy = renewal;
      await renewal;
    });
  }

  #nextRenewalMs(): number {
    return Date.now() + this.#options.visibilitySeconds * 500;
  }
}
