import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

interface Point {
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
  readonly asInt?: string;
  readonly count?: string;
}

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code: number };
}

/** A collector that keeps what it is sent, and that refuses a request without its key. */
const spans: Span[] = [];
const points = new Map<string, Point[]>();
let refused = 0;
let collector: Server;
let under: StackUnderTest;

beforeAll(async () => {
  collector = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    if (request.headers['x-key'] !== 'a secret') {
      refused += 1;
      return void response.writeHead(401).end();
    }
    const body = JSON.parse(text);
    if (request.url === '/v1/traces') spans.push(...body.resourceSpans[0].scopeSpans[0].spans);
    else
      for (const { name, sum, histogram } of body.resourceMetrics[0].scopeMetrics[0].metrics)
        points.set(name, [...(points.get(name) ?? []), ...(sum ?? histogram).dataPoints]);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  under = await startStackUnderTest({
    settings: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20secret',
    },
    history: true,
  });
}, 60_000);

afterAll(async () => {
  await under?.stop();
  collector?.close();
});

const sumOf = (name: string) => (points.get(name) ?? []).reduce((sum, { asInt }) => sum + Number(asInt), 0);

test('a run is told to a collector as a trace with metrics, and in KQL by the tables of its history', async () => {
  await under.createHistoryTables();
  await under.createTable('Told');
  await under.upload([
    ...jsonObjects('told', 30),
    { key: 'told/broken.json.gz', body: Buffer.from('no gzip') },
  ]);
  await under.putLoad('told', { destination: { table: 'Told' }, concurrency: { maxInFlight: 10 } });
  const { runId, summary } = await under.run('told');
  expect(summary).toMatchObject({ state: 'completedWithFailures', objects: { ingested: 30, failed: 1 } });

  await expect
    .poll(() => spans.filter(({ name }) => name === 'run told').length, { timeout: 20_000 })
    .toBe(1);
  const run = spans.find(({ name }) => name === 'run told')!;
  const shards = spans.filter(({ name }) => name === 'shard');
  const objects = spans.filter(({ name }) => name === 'object');
  expect(shards.length).toBeGreaterThan(1);
  expect(objects).toHaveLength(31);
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  expect(run.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(run.spanId).toMatch(/^[0-9a-f]{16}$/);
  for (const { parentSpanId } of shards) expect(parentSpanId).toBe(run.spanId);
  const shardIds = shards.map(({ spanId }) => spanId);
  for (const { parentSpanId } of objects) expect(shardIds).toContain(parentSpanId);
  for (const { startTimeUnixNano, endTimeUnixNano } of spans)
    expect(BigInt(endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(startTimeUnixNano));
  expect(objects.filter(({ status }) => status.code === 2)).toHaveLength(1);
  await expect.poll(() => sumOf('loader.runs'), { timeout: 20_000 }).toBe(1);
  expect(sumOf('loader.objects')).toBe(31);
  expect(points.get('loader.object.duration')!.reduce((sum, { count }) => sum + Number(count), 0)).toBe(30);
  expect(refused).toBe(0);

  const rowsOf = (table: string) => under.kusto.query(`${table} | where RunId == '${runId}'`);
  await expect.poll(async () => (await rowsOf('LoaderRuns')).length, { timeout: 60_000 }).toBe(1);
  await expect.poll(async () => (await rowsOf('LoaderObjects')).length, { timeout: 60_000 }).toBe(31);
  const [row] = await rowsOf('LoaderRuns');
  expect(row).toMatchObject({ Load: 'told', State: 'completedWithFailures', Bucket: 'e2e' });
  expect(row!['AppId']).not.toBe('');
  expect(Number(row!['Ingested'])).toBe(30);
  const failed = (await rowsOf('LoaderObjects')).filter(({ State }) => State === 'failed');
  expect(failed).toMatchObject([{ Key: 'told/broken.json.gz', Load: 'told', AppId: row!['AppId'] }]);
  expect(failed[0]!['Code']).not.toBe('');
});
