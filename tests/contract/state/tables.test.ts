import { expect, test } from 'vitest';
import {
  openContainerClient,
  openTableClient,
} from '../../../shared/adapters/state/azure-storage-clients.ts';
import { ledgerTable } from '../../../shared/adapters/state/ledger-table.ts';
import { mapLimited } from '../../../shared/adapters/state/map-limited.ts';
import { memoryEntityTable } from '../../../shared/adapters/state/memory-entity-table.ts';
import { runTable } from '../../../shared/adapters/state/run-table.ts';
import { transactOnce } from '../../../shared/adapters/state/transact-once.ts';
import { entryOf, runOf } from './samples.ts';

test('a run whose creation was cut off is listed once it is created again', async () => {
  const table = memoryEntityTable();
  let isCutOff = true;
  const runs = runTable({
    ...table,
    transact: async (partitionKey, operations) => {
      if (isCutOff && partitionKey.startsWith('index')) throw new Error('cut off');
      return table.transact(partitionKey, operations);
    },
  });
  await expect(runs.createRun(runOf('r'))).rejects.toThrow('cut off');
  expect(await runs.listRuns({ limit: 5 })).toEqual({ runs: [], next: null });
  isCutOff = false;
  // The instant differs when a start is completed later; the run keeps its own, and is listed once.
  expect(await runs.createRun(runOf('r', { createdAt: '2026-11-24T04:00:00.000Z' }))).toBe(false);
  expect(await runs.createRun(runOf('r'))).toBe(false);
  for (const load of ['daily', undefined]) {
    const page = await runs.listRuns({ limit: 5, ...(load === undefined ? {} : { load }) });
    expect(page).toEqual({ runs: [runOf('r')], next: null });
  }
});

test('a run that is gone is left out of the list, and the list goes on behind it', async () => {
  const table = memoryEntityTable();
  const runs = runTable(table);
  for (const runId of ['a', 'b', 'c']) await runs.createRun(runOf(runId));
  await table.transact('b', [{ kind: 'delete', rowKey: 'run', etag: null }]);
  const first = await runs.listRuns({ limit: 2 });
  expect(first.runs.map(({ runId }) => runId)).toEqual(['a']);
  const second = await runs.listRuns({ limit: 2, after: first.next });
  expect(second).toEqual({ runs: [runOf('c')], next: null });
});

test('an entity that somebody else changed since the lost answer does not count as written', async () => {
  const table = memoryEntityTable();
  const insert = (rowKey: string) => ({ kind: 'insert' as const, rowKey, fields: { from: 'us' } });
  const result = await transactOnce(
    {
      ...table,
      transact: async (partitionKey, operations) => {
        await table.transact(partitionKey, operations);
        await table.transact(partitionKey, [{ kind: 'upsert', rowKey: 'b', fields: { from: 'them' } }]);
        return { ok: false, failedAt: 0 };
      },
    },
    'p',
    [insert('a'), insert('b')],
  );
  const etag = (await table.get('p', 'a'))!.etag;
  expect(result).toEqual({ ok: true, etags: [etag, null] });
});

test('an entry of a ledger stays where it stands: what was written by earlier versions is found', async () => {
  const table = memoryEntityTable();
  await ledgerTable(table).write({ load: 'daily', generation: 1 }, [
    { entry: entryOf('in/a b.csv'), etag: null },
    { entry: entryOf('logs/2026/11/24/part-000001.json.gz'), etag: null },
  ]);
  expect(await table.get('daily.1.22', 'kin.a!20b-csv')).toMatchObject({ fields: { key: 'in/a b.csv' } });
  expect(await table.get('daily.1.07', 'klogs.2026.11.24.part,000001-json-gz')).not.toBeNull();
});

test.each([5, 31, 200])(
  'of %i keys that are scattered over a large ledger few of the entries between them are read',
  async (count) => {
    const table = memoryEntityTable();
    let entries = 0;
    let lookUps = 0;
    const ledger = ledgerTable(
      {
        ...table,
        get: (...which) => {
          lookUps += 1;
          return table.get(...which);
        },
        query: async function* (range) {
          for await (const page of table.query(range)) {
            entries += page.length;
            yield page;
          }
        },
      },
      1,
    );
    const name = { load: 'daily', generation: 1 };
    const keys = Array.from({ length: 20_000 }, (_, at) => `in/${String(at).padStart(5, '0')}`);
    await ledger.write(
      name,
      keys.map((key) => ({ entry: entryOf(key), etag: null })),
    );
    const scattered = Array.from({ length: count }, (_, at) => keys[Math.floor((at * keys.length) / count)]!);
    const read = await ledger.readKeys(name, [...scattered, ...scattered.map((key) => `${key}.gone`)]);
    expect(new Set(read.keys())).toEqual(new Set(scattered));
    expect(entries).toBeLessThanOrEqual(2 * count * 64);
    expect(lookUps).toBeLessThan(2 * count);
    // Neighbours cost no look-up, also where the ledger does not know them.
    entries = 0;
    lookUps = 0;
    const neighbours = keys.slice(5_000, 5_000 + count);
    await ledger.readKeys(name, [...neighbours, ...neighbours.map((key) => `${key}.gone`)]);
    expect([entries, lookUps]).toEqual([count, 0]);
  },
);

test('mapLimited keeps to its limit, keeps the order, and awaits what is under way when one fails', async () => {
  let underWay = 0;
  let most = 0;
  const step = async (item: number): Promise<number> => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise((resolve) => setTimeout(resolve, item % 3));
    underWay -= 1;
    if (item === 50) throw new Error('fifty');
    return item * 2;
  };
  const items = Array.from({ length: 40 }, (_, at) => at);
  expect(await mapLimited(items, 7, step)).toEqual(items.map((item) => item * 2));
  expect(most).toBe(7);
  const begun: number[] = [];
  const failing = mapLimited([1, 50, 2, ...items], 3, (item) => {
    begun.push(item);
    return step(item);
  });
  await expect(failing).rejects.toThrow('fifty');
  expect(underWay).toBe(0);
  expect(begun.length).toBeLessThan(12);
});

test('an account is addressed by name or by endpoints', async () => {
  const credential = { getToken: async () => null };
  const named = { accountName: 'acct', credential };
  expect((await openTableClient(named, 's3adxruns')).url).toBe('https://acct.table.core.windows.net');
  expect((await openContainerClient(named, 's3adx')).url).toBe('https://acct.blob.core.windows.net/s3adx');
  const endpoints = { blob: 'https://b.example.cn', table: 'https://t.example.cn' };
  expect((await openTableClient({ endpoints, credential }, 's3adxruns')).url).toBe('https://t.example.cn');
  expect((await openContainerClient({ endpoints, credential }, 's3adx')).url).toBe(
    'https://b.example.cn/s3adx',
  );
});
