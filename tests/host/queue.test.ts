import { randomUUID } from 'node:crypto';
import { QueueServiceClient } from '@azure/storage-queue';
import { beforeAll, describe, expect, it } from 'vitest';
import { setUpTimeoutMs, until, useApp } from './app-under-test.ts';

/** As in the app's host.json. */
const visibilityTimeoutMs = 1_000;
const maxDequeueCount = 3;
const mostAtOnce = 4 + 2;

const app = useApp('queue', { needsStorage: true });

interface Delivery {
  readonly message: { readonly id?: string };
  readonly messageId: string;
  readonly dequeueCount: number;
  readonly insertionTime: string;
  readonly expirationTime: string;
  readonly atMs: number;
}
interface Deliveries {
  readonly deliveries: readonly Delivery[];
  readonly mostAtOnce: number;
}

describe.skipIf(!app.isServed)(app.title, () => {
  const queue = (name: string) => QueueServiceClient.fromConnectionString(app.storage).getQueueClient(name);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');
  const read = async () => (await (await fetch(`${app.url}/api/deliveries`)).json()) as Deliveries;
  const deliveriesOf = async (id: string) =>
    (await read()).deliveries.filter(({ message }) => message?.id === id);

  /** Texts of all messages in a queue, which are taken out; waits until so many have come. */
  async function takeTexts(name: string, least: number): Promise<string[]> {
    const texts: string[] = [];
    const take = async () => {
      const { receivedMessageItems } = await queue(name).receiveMessages({ numberOfMessages: 32 });
      for (const each of receivedMessageItems) {
        texts.push(Buffer.from(each.messageText, 'base64').toString());
        await queue(name).deleteMessage(each.messageId, each.popReceipt);
      }
      return receivedMessageItems.length;
    };
    await until(take, () => texts.length >= least);
    while ((await take()) > 0);
    return texts;
  }

  beforeAll(async () => {
    if (!app.isServed) return;
    const names = ['host-work', 'host-results', 'host-from-http', 'host-to-return', 'host-returned'];
    for (const name of [...names, 'host-work-poison']) {
      await queue(name).createIfNotExists();
      await queue(name).clearMessages();
    }
  }, setUpTimeoutMs);

  it('hands over a message with its metadata, writes the outputs and deletes it', async () => {
    const id = randomUUID();
    const { messageId } = await queue('host-work').sendMessage(encode({ id }));
    const [delivery] = await until(
      () => deliveriesOf(id),
      (found) => found.length > 0,
    );
    expect(delivery).toMatchObject({ message: { id }, messageId, dequeueCount: 1 });
    expect(Math.abs(Date.now() - Date.parse(delivery!.insertionTime))).toBeLessThan(300_000);
    expect(Date.parse(delivery!.expirationTime)).toBeGreaterThan(Date.now());
    const texts = await takeTexts('host-results', 2);
    expect(texts).toEqual([JSON.stringify({ got: { id } }), 'text']);
    await until(
      async () => (await queue('host-work').getProperties()).approximateMessagesCount,
      (count) => count === 0,
    );
  });

  it('gives a failed message again after the visibility timeout, and writes nothing for the failure', async () => {
    const id = randomUUID();
    await queue('host-work').sendMessage(encode({ id, fails: 1 }));
    const [first, second, ...more] = await until(
      () => deliveriesOf(id),
      (found) => found.length >= 2,
    );
    expect([first!.dequeueCount, second!.dequeueCount, more]).toEqual([1, 2, []]);
    // Azure Storage counts whole seconds.
    expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(visibilityTimeoutMs - 100);
    const texts = await takeTexts('host-results', 2);
    expect(texts).toEqual([JSON.stringify({ got: { id, fails: 1 } }), 'text']);
  });

  it('puts a message aside that has failed too often', async () => {
    const id = randomUUID();
    await queue('host-work').sendMessage(encode({ id, fails: 99 }));
    const poison = await takeTexts('host-work-poison', 1);
    expect(poison).toEqual([JSON.stringify({ id, fails: 99 })]);
    const counts = (await deliveriesOf(id)).map(({ dequeueCount }) => dequeueCount);
    expect(counts).toEqual(Array.from({ length: maxDequeueCount }, (_, at) => at + 1));
  });

  it('puts a message aside that it cannot decode, and never runs the function', async () => {
    const before = (await read()).deliveries.length;
    await queue('host-work').sendMessage('{"not":"base64"}');
    const { receivedMessageItems } = await until(
      () => queue('host-work-poison').receiveMessages(),
      (answer) => answer.receivedMessageItems.length > 0,
    );
    const [message] = receivedMessageItems;
    expect(message!.messageText).toBe('{"not":"base64"}');
    await queue('host-work-poison').deleteMessage(message!.messageId, message!.popReceipt);
    expect((await read()).deliveries.length).toBe(before);
  });

  it('works on a batch and the threshold for a new one at once, and never on more', async () => {
    await fetch(`${app.url}/api/resetMost`, { method: 'POST' });
    const ids = Array.from({ length: 12 }, (): string => randomUUID());
    // Two of a batch end early, one after the other: the next batch joins the two that are left, not three.
    const sleepsMs = [200, 600, 1_500, 1_500];
    for (const [at, id] of ids.entries()) {
      await queue('host-work').sendMessage(encode({ id, sleepMs: sleepsMs[at % sleepsMs.length] }), {
        // All become visible together.
        visibilityTimeout: 2,
      });
    }
    const { deliveries, mostAtOnce: most } = await until(read, (answer) => {
      const seen = new Set(answer.deliveries.map(({ message }) => message?.id));
      return ids.every((id) => seen.has(id));
    });
    expect(most).toBe(mostAtOnce);
    expect(deliveries.filter(({ message }) => ids.includes(message?.id ?? '')).length).toBe(ids.length);
    expect(await takeTexts('host-results', 2 * ids.length)).toHaveLength(2 * ids.length);
  });

  it('writes what a function returns, and nothing for nothing', async () => {
    await queue('host-to-return').sendMessage(encode('nothing'));
    await queue('host-to-return').sendMessage(encode({ a: [1, 'b'] }));
    expect(await takeTexts('host-returned', 1)).toEqual([JSON.stringify({ a: [1, 'b'] })]);
  });

  it('writes the outputs of an HTTP function beside its answer, unless it throws', async () => {
    const post = (body: object) =>
      fetch(`${app.url}/api/enqueue`, { method: 'POST', body: JSON.stringify(body) });
    const thrown = await post({ messages: ['lost'], throws: true });
    expect(thrown.status).toBe(500);
    const answer = await post({ messages: [{ n: 1 }, 'two', 3], status: 202 });
    expect([answer.status, await answer.json()]).toEqual([202, { set: true }]);
    expect(await takeTexts('host-from-http', 3)).toEqual(['{"n":1}', 'two', '3']);
  });
});
