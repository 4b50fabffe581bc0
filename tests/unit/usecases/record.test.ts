import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';

import { createHistoryTables } from '../../../shared/adapters/kusto/history-tables.ts';
import { createOtlpRecorder } from '../../../shared/adapters/otlp/otlp-recorder.ts';
import { readSettings } from '../../../shared/config/settings.ts';
import type { EndedShard, Recorder } from '../../../shared/ports/recorder.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { createMemoryIngestion } from '../../fakes/memory-ingestion.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { putObjects, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

async function runWith(...recorders: readonly Recorder[]) {
  const made = createTestLoader();
  const under = { ...made, loader: { ...made.loader, recorders } };
  await putLoad(under.loader, 'flights', definitionOf());
  putObjects(under, 7);
  return { ...under, summary: await runLoad(under, createMemoryOrchestrations()) };
}

const failing: Recorder = {
  name: 'failing',
  shardEnded: () => Promise.reject(new Error('away')),
  runEnded: () => Promise.reject(new Error('away')),
};

test('a recorder that fails is logged, and keeps neither another one nor the run', async () => {
  const told: string[] = [];
  const other: Recorder = {
    name: 'other',
    shardEnded: async ({ shard, outcomes }) => void told.push(`${shard}: ${outcomes.length}`),
    runEnded: async ({ state }) => void told.push(state),
  };
  const { summary, logged } = await runWith(failing, other);
  expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 7 } });
  expect(told).toEqual(['0000-000: 7', 'completed']);
  expect(logged.filter((line) => line.includes('notRecorded'))).toHaveLength(2);
});

test('what is told to the tables twice is posted once', async () => {
  const ingestion = createMemoryIngestion();
  const tables = createHistoryTables({ database: 'db', ingestion: async () => ingestion });
  const shards: EndedShard[] = [];
  const twice: Recorder = {
    name: 'twice',
    shardEnded: async (shard) => void shards.push(shard),
    runEnded: async (summary, run) => {
      for (const shard of [...shards, ...shards]) await tables.shardEnded(shard);
      await Promise.all([tables.runEnded(summary, run), tables.runEnded(summary, run)]);
    },
  };
  const { logged } = await runWith(twice);
  expect(ingestion.messages.map(({ table }) => table)).toEqual(['LoaderObjects', 'LoaderRuns']);
  expect(logged.join('\n')).not.toContain('notRecorded');
});

test('tables whose cluster refuses are told of in the log', async () => {
  const ingestion = createMemoryIngestion();
  ingestion.endPosts('refused');
  const { logged } = await runWith(createHistoryTables({ database: 'db', ingestion: async () => ingestion }));
  expect(logged.filter((line) => line.includes('notRecorded'))).toHaveLength(2);
});

test('neither the headers for the collector nor its address are in the log', async () => {
  const server = createServer((request, response) =>
    response.writeHead(403).end(String(request.headers['x-key'])),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path`;
  const options = { headers: { 'x-key': 'canary-key' }, serviceName: 's' };
  const away = createOtlpRecorder({ endpoint: 'http://user:canary-password@127.0.0.1:1', ...options });
  const { logged } = await runWith(createOtlpRecorder({ endpoint, ...options }), away);
  server.close();
  expect(logged.join('\n')).toContain('HTTP 403');
  expect(logged.filter((line) => line.includes('notRecorded'))).toHaveLength(4);
  expect(logged.join('\n')).not.toMatch(/canary|secret-path/);
});

test('settings: headers are read as OpenTelemetry writes them, and what is missing is named', () => {
  const base = {
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    LOADER_IDENTITY: 'none',
    LOADER_APP_ID: 'app',
  };
  const read = (env: Record<string, string>) => readSettings({ ...base, ...env });
  expect(read({})).toMatchObject({ otlp: null, history: null });
  const collector = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  expect(read({ ...collector, OTEL_EXPORTER_OTLP_HEADERS: 'a=1%202, b=x=y,' }).otlp).toEqual({
    endpoint: 'http://collector:4318',
    headers: { a: '1 2', b: 'x=y' },
    serviceName: 'app',
  });
  expect(() => read({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' })).toThrow(
    /OTEL_EXPORTER_OTLP_ENDPOINT/,
  );
  expect(() => read({ ...collector, OTEL_EXPORTER_OTLP_HEADERS: 'secret' })).toThrow(
    /must be name=value pairs/,
  );
  expect(() => read({ LOADER_HISTORY_CLUSTER: 'https://c.kusto.windows.net' })).toThrow(
    /LOADER_HISTORY_DATABASE/,
  );
  expect(() => read({ LOADER_HISTORY_DATABASE: 'db' })).toThrow(/LOADER_HISTORY_CLUSTER/);
});
