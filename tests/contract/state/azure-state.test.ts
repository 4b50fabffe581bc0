import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import {
  type RunningStorageProxy,
  type StorageFaultRule,
  startStorageProxy,
} from '../../../dev/storage-proxy/index.ts';
import { createAzureState } from '../../../shared/adapters/state/azure-state.ts';
import type { State } from '../../../shared/adapters/state/state.ts';
import { partitionOf } from '../../../shared/domain/ledger-key.ts';
import { AT, entryOf, partOfRun, runOf, shardOf } from './samples.ts';
import { countRequests } from './state-under-test.ts';

let folder: string;
let azurite: RunningAzurite;
let storage: RunningStorageProxy;
let states = 0;
const requests = countRequests();
const name = { load: 'daily', generation: 1 };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'azure-state-'));
  azurite = await startAzurite({ folder, inMemory: true });
  storage = await startStorageProxy({ azurite });
});
afterAll(async () => {
  await storage?.stop();
  await azurite?.stop();
  await rm(folder, { recursive: true, force: true });
});

function throughProxy(): State {
  const { connectionString } = storage;
  const { onRequest } = requests;
  return createAzureState({ storage: { connectionString }, namePrefix: `lossy${++states}`, onRequest });
}

async function newState(): Promise<State> {
  const state = throughProxy();
  await state.ensureCreated();
  requests.take();
  return state;
}

/** Carries out a call whose first answer is lost, so that the SDK sends it a second time. */
async function withLostAnswer<Result>(
  lost: Omit<StorageFaultRule, 'action'>,
  call: () => Promise<Result>,
): Promise<Result> {
  storage.clearFaults();
  storage.injectFault({ ...lost, action: { kind: 'reset', when: 'after' } });
  const result = await call();
  expect(storage.faults()).toMatchObject([{ hits: 1 }]);
  return result;
}

const batch = { service: 'table', method: 'POST', path: '/$batch' } as const;
const insert = { service: 'table', method: 'POST' } as const;
const update = { service: 'table', method: 'PUT' } as const;
const put = { service: 'blob', method: 'PUT' } as const;

describe('a write whose answer is lost is known for what it is', () => {
  test('an insert of one ledger entry', async () => {
    const state = await newState();
    const writes = [{ entry: entryOf('a'), etag: null }];
    const [etag] = await withLostAnswer(insert, () => state.ledger.write(name, writes));
    expect(requests.take()).toEqual({ 'table insert': 2, 'table get': 2 });
    expect((await state.ledger.readKeys(name, ['a'])).get('a')).toEqual({ value: entryOf('a'), etag });
    // The same content written by another call is a conflict.
    expect(await state.ledger.write(name, writes)).toEqual([null]);
  });

  test('an update of one ledger entry', async () => {
    const state = await newState();
    const [first] = await state.ledger.write(name, [{ entry: entryOf('a'), etag: null }]);
    const writes = [{ entry: entryOf('a', { state: 'queued' }), etag: first! }];
    const [etag] = await withLostAnswer(update, () => state.ledger.write(name, writes));
    expect(etag).not.toBeNull();
    expect((await state.ledger.readKeys(name, ['a'])).get('a')!.etag).toBe(etag);
    expect(await state.ledger.write(name, writes)).toEqual([null]);
  });

  test('a transaction of ledger entries, one of which has a conflict', async () => {
    const state = await newState();
    const keys = Array.from({ length: 3_000 }, (_, at) => `key-${at}`).filter(
      (key) => partitionOf(key) === 3,
    );
    await state.ledger.write(name, [{ entry: entryOf(keys[5]!), etag: null }]);
    const writes = keys.slice(0, 20).map((key) => ({ entry: entryOf(key, { epoch: 2 }), etag: null }));
    // The first transaction fails for the conflict; the second lands and its answer is lost.
    const etags = await withLostAnswer({ ...batch, skip: 1 }, () => state.ledger.write(name, writes));
    expect(etags.flatMap((etag, at) => (etag === null ? [at] : []))).toEqual([5]);
    const read = await state.ledger.readKeys(name, keys);
    for (const at of [0, 4, 6, 19]) expect(read.get(keys[at]!)!.etag).toBe(etags[at]);
  });

  test('the creation of a run, a commit, and the end of a shard', async () => {
    const state = await newState();
    expect(await withLostAnswer(batch, () => state.runs.createRun(runOf('r')))).toBe(true);
    expect(await state.runs.createRun(runOf('r'))).toBe(false);
    const rows = [shardOf('1', { state: 'posted' }), partOfRun('settler-0')].map((value) => ({
      value,
      etag: null,
    }));
    expect(await withLostAnswer(batch, () => state.runs.commit('r', rows))).toBe(true);
    const { shards, parts } = (await state.runs.readRun('r'))!;
    const settle = () =>
      state.runs.commit('r', [
        { value: { ...shards[0]!.value, state: 'settled' }, etag: shards[0]!.etag },
        { value: partOfRun('settler-0', { turn: 1 }), etag: parts[0]!.etag },
      ]);
    expect(await withLostAnswer(batch, settle)).toBe(true);
    expect((await state.runs.settledShards('r')).length).toBe(1);
    expect(await settle()).toBe(false);
  });

  test('a lock, an idempotency key, a schedule', async () => {
    const state = await newState();
    const request = {
      runId: 'r',
      load: 'daily',
      trigger: 'manual',
      options: runOf('r').options,
      createdAt: AT,
    } as const;
    const lock = { load: 'daily', request, acquiredAt: AT };
    expect(await withLostAnswer(insert, () => state.loads.acquireLock(lock))).toEqual({
      acquired: true,
    });
    expect(await state.loads.acquireLock(lock)).toEqual({ acquired: false, heldBy: lock });
    const claim = { load: 'daily', idempotencyKey: 'k', runId: 'r', fingerprint: 'f' };
    expect((await withLostAnswer(insert, () => state.loads.claimIdempotencyKey(claim))).isNew).toBe(true);
    expect((await state.loads.claimIdempotencyKey(claim)).isNew).toBe(false);
    const schedule = { setAt: AT, checkedUntil: AT, waiting: null, etag: null };
    expect(await withLostAnswer(insert, () => state.loads.writeSchedule('daily', schedule))).toBe(true);
    const remove = () => state.loads.releaseLock('daily', 'r');
    await withLostAnswer({ service: 'table', method: 'DELETE' }, remove);
    expect(await state.loads.readLock('daily')).toBeNull();
  });

  test('a document that was to be new, or over a version', async () => {
    const state = await newState();
    const putNew = () => state.documents.put('a.json', '{}', 'ifAbsent');
    expect(await withLostAnswer(put, putNew)).toEqual({ written: true });
    expect(await putNew()).toEqual({ written: false });
    const { etag } = (await state.documents.get('a.json'))!;
    const replace = () => state.documents.put('a.json', '[]', { etag });
    expect(await withLostAnswer(put, replace)).toEqual({ written: true });
    expect(await replace()).toEqual({ written: false });
  });

  test('pending objects that are removed', async () => {
    const state = await newState();
    const list = { load: 'daily', bucket: 'bucket' };
    await withLostAnswer(batch, () => state.loads.addPending(list, ['a', 'b', 'c']));
    const pending = await state.loads.readPending(list, { afterKey: null, limit: 10 });
    await withLostAnswer(batch, () => state.loads.removePending(list, pending));
    expect(await state.loads.readPending(list, { afterKey: null, limit: 10 })).toEqual([]);
  });
});

describe('failures', () => {
  test('missing tables and a missing container are errors, never an empty answer', async () => {
    const state = throughProxy();
    const calls = [
      () => state.ledger.readKeys(name, ['a']),
      () => state.ledger.readEach(name, new Map([['a', 1]]), () => true),
      () => state.ledger.write(name, [{ entry: entryOf('a'), etag: null }]),
      () => state.ledger.write(name, [{ entry: entryOf('a'), etag: 'W/"x"' }]),
      () => state.runs.readRun('r'),
      () => state.runs.createRun(runOf('r')),
      () => state.loads.readLock('daily'),
      () => state.loads.removeUnsettled({ load: 'daily', runId: 'r' }),
      () => state.documents.get('a'),
      () => state.documents.getRange('a', 0, 1),
      () => state.documents.getRange('a', 0, 0),
      () => state.documents.list(''),
      () => state.documents.delete('a'),
      () => state.documents.put('a', '', { etag: '"x"' }),
    ];
    for (const call of calls) {
      await expect(call(), call.toString()).rejects.toMatchObject({
        code: 'stateUnavailable',
        message: expect.stringMatching(/lossy\d|document/),
      });
    }
  });

  test('creating is done once', async () => {
    const state = throughProxy();
    requests.take();
    await Promise.all([state.ensureCreated(), state.ensureCreated()]);
    await state.ensureCreated();
    expect(requests.take()).toEqual({ 'table create': 4, 'blob create': 1 });
    // Another instance of the app finds everything there.
    states -= 1;
    await throughProxy().ensureCreated();
    expect(await state.ledger.readKeys(name, ['a'])).toEqual(new Map());
  });

  test('an error tells the status and no secret', async () => {
    const key = Buffer.from('not the right key of the account').toString('base64');
    const connectionString = azurite.connectionString.replace(/AccountKey=[^;]+/, `AccountKey=${key}`);
    const { onRequest } = requests;
    const state = createAzureState({ storage: { connectionString }, namePrefix: 'denied', onRequest });
    requests.take();
    for (const tries of [1, 2]) {
      await expect(state.ensureCreated(), `try ${tries}`).rejects.toMatchObject({ code: 'stateUnavailable' });
      // A failure is not kept: the next call tries again.
      expect(requests.take()['blob create']).toBe(1);
    }
    for (const call of [() => state.runs.readRun('r'), () => state.documents.get('a')]) {
      const error = await call().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'stateUnavailable', message: expect.stringContaining('HTTP 403') });
      const { inspect } = await import('node:util');
      const shown = inspect(error, { depth: 20, showHidden: true });
      expect(shown).not.toContain(key);
      expect(shown).not.toMatch(/SharedKey\w* devstoreaccount1/);
    }
  });

  test('a prefix that is no name of a table is refused', () => {
    for (const namePrefix of ['', 'ab', '1abc', 'Abc', 'a-b', 'a'.repeat(51)]) {
      expect(() => createAzureState({ storage: azurite, namePrefix })).toThrow(/name prefix/);
    }
  });
});

test('importing the state loads no SDK', async () => {
  const module = new URL('../../../shared/adapters/state/azure-state.ts', import.meta.url).href;
  const script = `
    const { registerHooks } = await import('node:module');
    const loaded = [];
    registerHooks({ resolve: (specifier, context, next) => { loaded.push(specifier); return next(specifier, context); } });
    const { createAzureState } = await import(${JSON.stringify(module)});
    createAzureState({ storage: { connectionString: 'UseDevelopmentStorage=true' }, namePrefix: 's3adx' });
    console.log(JSON.stringify(loaded));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded.some((specifier) => specifier.endsWith('ledger-table.ts'))).toBe(true);
  expect(loaded.filter((specifier) => !/^(?:node:|\.|file:)/.test(specifier))).toEqual([]);
});
