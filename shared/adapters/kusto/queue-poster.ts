import type { QueueClient } from '@azure/storage-queue';
import { redact } from '../../errors/loader-error.ts';
import type { PostResult } from '../../ports/ingestion.ts';
import { createFreshConnections, type FreshConnections, sendingBy } from './fresh-connections.ts';

const POST_TIMEOUT_MS = 30_000;

export interface QueuePoster {
  /**
   * Posts a text to one of the queues: each is asked once at most, in random order, and the next one only after a
   * definite refusal.
   */
  post(queueUrls: readonly string[], text: string): Promise<PostResult>;
}

export interface QueuePosterOptions {
  /** 0 inclusive to 1 exclusive. Default `Math.random`. */
  readonly random?: () => number;
  /** Default 30 s. */
  readonly timeoutMs?: number;
  /** Default connections of its own. */
  readonly connections?: FreshConnections;
}

/** Posts to Azure queues by their SAS URLs. Clients are kept, so that connections are used again. */
export function createQueuePoster(options: QueuePosterOptions = {}): QueuePoster {
  const {
    random = Math.random,
    timeoutMs = POST_TIMEOUT_MS,
    connections = createFreshConnections(),
  } = options;
  // By the URL without its SAS: a new SAS takes the place of the old one.
  const clients = new Map<string, { readonly url: string; readonly client: QueueClient }>();

  async function clientOf(url: string): Promise<QueueClient> {
    const name = url.split('?')[0] ?? url;
    const known = clients.get(name);
    if (known?.url === url) return known.client;
    const { newPipeline, QueueClient } = await import('@azure/storage-queue');
    // A retry of the SDK after a lost answer would put the message in twice.
    const pipeline = newPipeline(undefined, { retryOptions: { maxTries: 1 } });
    pipeline.factories.push(sendingBy(connections));
    const client = new QueueClient(url, pipeline);
    clients.set(name, { url, client });
    return client;
  }

  return {
    async post(queueUrls, text) {
      const refusals: string[] = [];
      let throttled = false;
      for (const url of shuffle(queueUrls, random)) {
        try {
          const client = await clientOf(url);
          await client.sendMessage(text, { abortSignal: AbortSignal.timeout(timeoutMs) });
          return { result: 'accepted', ...(throttled && { throttled }) };
        } catch (error) {
          const { result, message, isThrottled } = classifyPostError(error);
          const told = redact(`Queue ${url.split('?')[0]}: ${message}`);
          throttled ||= isThrottled;
          if (result === 'ambiguous') return { result, message: told, throttled };
          refusals.push(told);
        }
      }
      const message = refusals.length === 0 ? 'The cluster offers no queue.' : refusals.join(' ');
      return { result: 'refused', message, throttled };
    },
  };
}

/** Codes of failures that come before anything of the request is sent. */
const NOT_SENT =
  /^(ADDRESS_NOT_ALLOWED|ECONNREFUSED|ENOTFOUND|EAI_\w+|CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|ERR_TLS_CERT_ALTNAME_INVALID)$/;

/** Node's words where the code alone does not say that it was not connected yet. */
const NOT_SENT_MESSAGE = /^(connect |Client network socket disconnected before secure TLS connection)/;

interface StorageFailure {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly statusCode?: number;
  readonly errors?: readonly StorageFailure[];
  readonly cause?: StorageFailure;
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

/**
 * Whether a failed post has certainly put nothing into the queue.
 *
 * Certain are failures to connect, and the queue's own refusals: 4xx with a storage error code, and 503 with
 * `ServerBusy`. After anything else the message may be in: a timeout, a reset, 500, 504, or an answer of a proxy.
 */
export function classifyPostError(error: unknown): {
  readonly result: 'refused' | 'ambiguous';
  readonly message: string;
  /** The queue is asked too often. */
  readonly isThrottled: boolean;
} {
  const failure = error as StorageFailure;
  const { statusCode } = failure;
  const code = failure.response?.headers?.get('x-ms-error-code');
  if (statusCode === undefined) {
    // For a name with several addresses Node tells of each attempt to connect, and nothing in all.
    const attempts = failure.errors ?? failure.cause?.errors ?? [];
    const isNotSent =
      attempts.length > 0
        ? attempts.every(({ message }) => NOT_SENT_MESSAGE.test(message ?? ''))
        : NOT_SENT.test(failure.code ?? '') || NOT_SENT_MESSAGE.test(failure.message ?? '');
    const said = [failure.code, failure.message?.split('\n')[0]].filter(Boolean).join(': ');
    if (failure.name === 'AbortError')
      return { result: 'ambiguous', message: 'no answer in time.', isThrottled: false };
    const result = isNotSent ? 'refused' : 'ambiguous';
    return { result, message: `${said || 'no answer'}.`, isThrottled: false };
  }
  const isRefusal =
    code !== undefined &&
    code !== '' &&
    ((statusCode >= 400 && statusCode < 500) || (statusCode === 503 && code === 'ServerBusy'));
  return {
    result: isRefusal ? 'refused' : 'ambiguous',
    message: `HTTP ${statusCode}${code ? ` ${code}` : ' without a storage error code'}.`,
    isThrottled: statusCode === 429 || (statusCode === 503 && code === 'ServerBusy'),
  };
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  return shuffled;
}
