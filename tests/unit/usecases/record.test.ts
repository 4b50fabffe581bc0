import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, test, vi } from 'vitest';

import { createHistoryTables } from '../../../shared/adapters/kusto/history-tables.ts';
import { createOtlpRecorder } from '../../../shared/adapters/otlp/otlp-recorder.ts';
import { readSettings } from '../../../shared/config/settings.ts';
import type { ObjectOutcome } from '../../../shared/domain/run-summary.ts';
import type { EndedShard, Recorder } from '../../../shared/ports/recorder.ts';
import { cancelRun } from '../../../shared/usecases/cancel-run.ts';
import { finishRun } from '../../../shared/usecases/finish-run.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { record } from '../../../shared/usecases/record.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { crashAt } from '../../fakes/crashing-loader.ts';
import { createMemoryIngestion } from '../../fakes/memory-ingestion.ts';
import { createMemoryOrchestrations, drive } from '../../fakes/memory-orchestrations.ts';
import { postShard, takeFirstShard } from '../../fakes/run-by-hand.ts';
import { putObjects, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf, type TestClock } from '../../fakes/test-loader.ts';

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

/** A cancelled run with one shard posted, which nobody came to settle until it is given up, and four that no lane has taken. */
async function leaveShards(whenTold: (clock: TestClock) => void) {
  const made = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  const outcomes: ObjectOutcome[] = [];
  const told: string[] = [];
  const telling: Recorder = {
    name: 'telling',
    shardEnded: async (ended) => {
      told.push(ended.shard);
      outcomes.push(...ended.outcomes);
      whenTold(made.clock);
    },
    runEnded: async () => void told.push('run'),
  };
  const under = { ...made, loader: { ...made.loader, recorders: [telling] } };
  const concurrency = { lanes: 1, maxInFlight: 2, objectsPerActivity: 2 };
  await putLoad(under.loader, 'flights', definitionOf({ concurrency }));
  putObjects(under, 10);
  const { runId } = await startRun(under.loader, orchestrations, { load: 'flights', trigger: 'manual' });
  const ref = { v: 1, runId, epoch: 1 } as const;
  const { shard } = await takeFirstShard(under, ref);
  await cancelRun(under.loader, runId);
  await postShard(under, { ...ref, shard, unit: 0 });
  return { under, ref, outcomes, told };
}

test.each(['before', 'after'] as const)(
  'a host that dies %s a side effect has told, or tells again, every shard and the end of the run',
  async (moment) => {
    let crashes = 0;
    for (let number = 0; ; number += 1) {
      const made = createTestLoader();
      const orchestrations = createMemoryOrchestrations();
      const told = new Set<string>();
      const telling: Recorder = {
        name: 'telling',
        shardEnded: async ({ shard, outcomes }) => void told.add(`${shard}: ${outcomes.length}`),
        runEnded: async ({ state }) => void told.add(state),
      };
      await putLoad(made.loader, 'flights', definitionOf());
      putObjects(made, 7);
      const { runId } = await startRun(made.loader, orchestrations, { load: 'flights', trigger: 'manual' });
      const host = crashAt({ ...made.loader, recorders: [telling] }, number, moment);
      const input = orchestrations.started.get(`${runId}-e1`)!;
      await drive(host.loader, made.clock, input, { host, whenIdle: () => void made.ingestion.settleAll() });
      // An object whose message the host died at is unknown.
      const { finalState } = (await made.loader.runs.readRun(runId))!.run.value;
      expect([...told]).toEqual(['0000-000: 7', finalState]);
      if (host.deaths() === 0) break;
      crashes += 1;
    }
    expect(crashes).toBeGreaterThan(10);
  },
);

test('a recorder that never answers keeps a run for a minute', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const { loader, logged } = createTestLoader();
    const silent: Recorder = { ...failing, name: 'silent', shardEnded: () => new Promise(() => undefined) };
    const telling = record({ ...loader, recorders: [silent] }, 'run', (recorder) =>
      recorder.shardEnded({} as EndedShard),
    );
    await vi.advanceTimersByTimeAsync(60_000);
    await telling;
    expect(logged.join()).toMatch(/notRecorded.*silent.*no answer within 60 s/);
  } finally {
    vi.useRealTimers();
  }
});

test('objects that an ended run has left are told for a minute at the most, and the rest is missing with a word', async () => {
  const { under, ref, told } = await leaveShards((clock) => clock.advance(30_000));
  expect(await finishRun(under.loader, ref, { givenUp: true })).toMatchObject({ state: 'failed' });
  expect(told).toEqual(['0000-000', '0000-001', 'run']);
  expect(under.logged.filter((line) => line.includes('3 shards took too long to tell'))).toHaveLength(1);
});

test('objects that an ended run has left are told as its summary counts them', async () => {
  const { under, ref, outcomes } = await leaveShards(() => undefined);
  const summary = (await finishRun(under.loader, ref, { givenUp: true }))!;
  expect(summary.objects).toMatchObject({ unknown: 2, notStarted: 8 });
  const counts = Object.groupBy(outcomes, ({ state }) => state);
  expect([counts.unknown?.length, counts.notStarted?.length]).toEqual([2, 8]);
  const list = await listObjects(under.loader, ref.runId, { state: null, limit: 100, after: null });
  expect(outcomes).toEqual(list.objects);
});

test('what is told to the tables twice is posted once', async () => {
  const ingestion = createMemoryIngestion();
  const tables = createHistoryTables({ appId: 'app', database: 'db', ingestion: async () => ingestion });
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

test('runs of two apps that have one id are both in the tables', async () => {
  const ingestion = createMemoryIngestion();
  const tablesOf = (appId: string) =>
    createHistoryTables({ appId, database: 'db', ingestion: async () => ingestion });
  await runWith(tablesOf('north'), tablesOf('south'));
  const tables = ingestion.messages.map(({ table }) => table).toSorted();
  expect(tables).toEqual(['LoaderObjects', 'LoaderObjects', 'LoaderRuns', 'LoaderRuns']);
});

test('each row in the tables names its app, and has the columns that the tables are made with', async () => {
  const ingestion = createMemoryIngestion();
  const { postRows } = ingestion;
  const rows: { table: string; row: Record<string, unknown> }[] = [];
  ingestion.postRows = (request) => {
    for (const line of request.body.trim().split('\n'))
      rows.push({ table: request.table, row: JSON.parse(line) as Record<string, unknown> });
    return postRows(request);
  };
  await runWith(
    ...['north', 'south'].map((appId) =>
      createHistoryTables({ appId, database: 'db', ingestion: async () => ingestion }),
    ),
  );
  const script = readFileSync(path.join(import.meta.dirname, '../../../infra/history-tables.kql'), 'utf8');
  for (const [, name, columns] of script.matchAll(/^\.create-merge table (\w+) \((.+?)\) with/gm)) {
    const own = rows.filter(({ table }) => table === name).map(({ row }) => row);
    const names = columns!.split(', ').map((column) => column.split(':')[0]!);
    for (const row of own) expect(Object.keys(row).toSorted()).toEqual(names.toSorted());
    expect(new Set(own.map(({ AppId }) => AppId))).toEqual(new Set(['north', 'south']));
  }
  expect(rows).toHaveLength(2 * (7 + 1));
});

test('tables whose cluster refuses are told of in the log', async () => {
  const ingestion = createMemoryIngestion();
  ingestion.endPosts('refused');
  const { logged } = await runWith(
    createHistoryTables({ appId: 'app', database: 'db', ingestion: async () => ingestion }),
  );
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

test.each([301, 307])('a collector that answers %i gets no other host the headers', async (status) => {
  const asked: string[] = [];
  const elsewhere = createServer((request, response) => {
    asked.push(String(request.headers['x-key']));
    response.end();
  });
  const portOf = async (server: typeof elsewhere) => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };
  const location = `http://127.0.0.1:${await portOf(elsewhere)}/`;
  const collector = createServer((_, response) => response.writeHead(status, { location }).end());
  const endpoint = `http://127.0.0.1:${await portOf(collector)}`;
  const { logged } = await runWith(
    createOtlpRecorder({ endpoint, headers: { 'x-key': 'canary-key' }, serviceName: 's' }),
  );
  for (const server of [collector, elsewhere]) server.close();
  expect(asked).toEqual([]);
  expect(logged.filter((line) => line.includes(`HTTP ${status}`))).toHaveLength(2);
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
