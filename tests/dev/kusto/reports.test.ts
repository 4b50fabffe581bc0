import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DequeuedMessageItem, QueueClient } from '@azure/storage-queue';
import { expect, test, vi } from 'vitest';
import { Faults } from '../../../dev/kusto/faults.ts';
import { Batcher, type BatchItem, defaultBatchingPolicy } from '../../../dev/kusto/ingest/batching.ts';
import { FaultyReporter } from '../../../dev/kusto/ingest/faulty-reporter.ts';
import { makeCounters } from '../../../dev/kusto/ingest/ingestion-counters.ts';
import { QueueReader } from '../../../dev/kusto/ingest/queue-reader.ts';
import { StatusReporter } from '../../../dev/kusto/ingest/status-reports.ts';
import { startLocalKusto } from './local-kusto.ts';

/** Passes requests on to `target`, after `cut` connections that break off and `busy` answers with 503. */
async function startFlakyProxy(target: URL, { cut, busy }: { cut: number; busy: number }) {
  let seen = 0;
  const server = createServer((incoming, answer) => {
    seen += 1;
    if (seen <= cut) {
      incoming.socket.destroy();
      return;
    }
    if (seen <= cut + busy) {
      answer.writeHead(503).end();
      return;
    }
    const { method, url, headers } = incoming;
    const outgoing = request(
      { port: target.port, host: target.hostname, method, path: url, headers },
      (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(answer);
      },
    );
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a report whose storage breaks off and is busy is written in the end; one that can not be written is named', async () => {
  const local = await startLocalKusto();
  const proxy = await startFlakyProxy(new URL(local.azurite.settings.tableEndpoint), { cut: 2, busy: 2 });
  const told = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  try {
    await local.rows('.create table R (a:long)');
    local.sources.answers.set('/r.json', '{"a":1}');
    const url = `${local.sources.url}/r.json?sig=secret`;
    const id = await local.post('R', url, { tableOrigin: proxy.origin });
    await local.load(1);
    expect(await local.statusOf(id)).toMatchObject({ Status: 'Succeeded' });
    const { statusReportsLost, statusReportsRetried } = local.kusto.control.stats();
    expect(statusReportsLost).toBe(0);
    expect(statusReportsRetried).toBeGreaterThan(1);
    expect(told).not.toHaveBeenCalled();

    const missing = await local.post('R', url, { withEntity: false });
    await local.load(1);
    expect(local.kusto.control.stats().statusReportsLost).toBe(1);
    const said = told.mock.calls.map((call) => call.join(' ')).join('\n');
    expect(said).toContain(missing);
    expect(said).not.toContain('secret');
  } finally {
    told.mockRestore();
    await proxy.stop();
    await local.stop();
  }
});

test('a message that shows again after it was settled is removed, and an error while taking one ends nothing', async () => {
  const message = {
    BlobPath: 'http://127.0.0.1:1/a',
    DatabaseName: 'd',
    TableName: 't',
    Id: 'i',
    RawDataSize: 1,
  };
  const item = (popReceipt: string) =>
    ({
      messageId: 'm',
      popReceipt,
      messageText: Buffer.from(JSON.stringify(message)).toString('base64'),
    }) as DequeuedMessageItem;
  const shown = [[item('first')], [item('second')], [item('third')]];
  const deletes: string[] = [];
  const queue = {
    receiveMessages: async () => ({ receivedMessageItems: shown.shift() ?? [] }),
    deleteMessage: async (_id: string, receipt: string) => {
      deletes.push(receipt);
      if (receipt !== 'third')
        throw Object.assign(new Error(), { statusCode: 400, code: 'PopReceiptMismatch' });
    },
  } as unknown as QueueClient;
  const counters = makeCounters();
  const taken: BatchItem[] = [];
  const batcher = new Batcher({
    timeScale: 1,
    policyOf: () => defaultBatchingPolicy,
    onSealed: () => undefined,
  });
  let calls = 0;
  batcher.add = (added) => {
    calls += 1;
    if (calls === 1) throw new Error('a mistake of this endpoint');
    taken.push(added);
    void added.settle();
  };
  const told = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const faults = new Faults();
  const reporter = new StatusReporter({
    failedQueues: [],
    succeededQueues: [],
    onLost: () => undefined,
    onRetried: () => undefined,
    onReport: () => undefined,
  });
  const reader = new QueueReader({
    queues: [queue],
    batcher,
    reporter: new FaultyReporter(reporter, faults, counters),
    faults,
    counters,
    visibilitySeconds: 60,
  });
  try {
    await expect.poll(() => deletes).toEqual(['second', 'third']);
    expect(taken).toHaveLength(1);
    expect(told).toHaveBeenCalledOnce();
    expect(reader.heldCount).toBe(0);
  } finally {
    told.mockRestore();
    await reader.stop();
  }
});
