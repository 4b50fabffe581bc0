import { beforeEach, expect, test } from 'vitest';

import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { cancelOperation } from '../../../shared/usecases/cancel-operation.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { readOperation } from '../../../shared/usecases/operation-documents.ts';
import { parseReset, startReset } from '../../../shared/usecases/reset-ledger.ts';
import { startRun } from '../../../shared/usecases/start-run.ts';
import { tick } from '../../../shared/usecases/tick.ts';
import { crashAt, surviving } from '../../fakes/crashing-loader.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { putObjects, runLoad } from '../../fakes/run-load.ts';
import { type DriveOperationOptions, driveOperation } from '../../fakes/run-operation.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

const LEDGER = { load: 'flights', generation: 1 };

let under: Awaited<ReturnType<typeof prepare>>;

/** Objects in/000 to in/009, all of them loaded but in/003, which has failed. */
async function prepare() {
  const made = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  await putLoad(made.loader, 'flights', definitionOf());
  putObjects(made, 10);
  const run = () => runLoad(made, orchestrations);
  await runLoad(made, orchestrations, {
    whenIdle: () => {
      for (const { sourceId, url } of made.ingestion.messages)
        if (url.includes('in/003'))
          made.ingestion.setStatus(sourceId, {
            status: 'Failed',
            errorCode: 'BadRequest_InvalidBlob',
            failureStatus: 'Permanent',
          });
      made.ingestion.settleAll();
    },
  });
  return { ...made, orchestrations, run };
}

beforeEach(async () => {
  under = await prepare();
});

const start = (prefix: string) => {
  under.clock.advance(1000);
  return startReset(under.loader, under.orchestrations, { load: 'flights', prefix });
};
const drive = (options?: DriveOperationOptions) =>
  driveOperation(under.loader, under.clock, under.orchestrations, options);
const entryOf = async (key: string) => (await under.loader.ledger.readKeys(LEDGER, [key])).get(key)!.value;

test('what is under the prefix is loaded again, the rest is not; the numbers of attempts go on', async () => {
  const { operationId } = await start('in/00');
  expect(await drive()).toMatchObject({ kind: 'reset', state: 'succeeded', objects: 10 });
  expect(await readOperation(under.loader, operationId)).toEqual({
    operationId,
    kind: 'reset',
    load: 'flights',
    prefix: 'in/00',
    state: 'succeeded',
    step: 'mark',
    createdAt: expect.any(String),
    endedAt: expect.any(String),
    problem: null,
    objects: 10,
  });
  const before = await entryOf('in/005');
  expect(before).toMatchObject({ state: 'undone', attemptSeq: 1 });
  expect(await under.run()).toMatchObject({ objects: { ingested: 10 } });
  const after = await entryOf('in/005');
  expect(after).toMatchObject({ state: 'ingested', attemptSeq: 2 });
  expect(after.sourceId).not.toBe(before.sourceId);
});

test('a prefix is one of keys, not of folders, and an empty one means all', async () => {
  await start('in/003');
  expect(await drive()).toMatchObject({ objects: 1 });
  expect(await under.run()).toMatchObject({ objects: { ingested: 1 }, plan: { skipped: { unchanged: 9 } } });
  await start('');
  expect(await drive()).toMatchObject({ objects: 10 });
  expect(await under.run()).toMatchObject({ objects: { ingested: 10 } });
  expect(() => parseReset({})).toThrow(LoaderError);
  expect(() => parseReset(undefined)).toThrow(LoaderError);
  expect(parseReset({ prefix: '' })).toEqual({ prefix: '' });
});

test('is refused while the fate of an object under the prefix is open, and changes nothing', async () => {
  under.source.put({ key: 'in/open' });
  under.ingestion.endPosts('ambiguousLost');
  await under.run();
  under.ingestion.endPosts('accepted');
  await start('in/');
  expect(await drive()).toMatchObject({ state: 'failed', problem: { code: 'resetUnsettled' } });
  expect(await entryOf('in/005')).toMatchObject({ state: 'ingested' });
  // Beside it, it is not.
  await start('in/00');
  expect(await drive()).toMatchObject({ state: 'succeeded', objects: 10 });
});

test('holds the lock: neither a run nor another reset begins meanwhile, its twin is named', async () => {
  const { operationId } = await start('in/');
  const busy = { code: 'loadBusy', facts: { operationId } };
  await expect(
    startRun(under.loader, under.orchestrations, { load: 'flights', trigger: 'manual' }),
  ).rejects.toMatchObject(busy);
  await expect(start('other/')).rejects.toMatchObject(busy);
  expect(await start('in/')).toEqual({ operationId });
  await drive();
  expect(await under.run()).toMatchObject({ objects: { ingested: 10 } });
});

test.each(['before', 'after'] as const)(
  'carried out twice at the same time, and by a host that dies %s any of its side effects, it comes to the same',
  async (moment) => {
    let number = 1;
    for (; ; number += 1) {
      under.clock.advance(1000);
      const host = crashAt(under.loader, number, moment);
      await surviving(host, () =>
        startReset(host.loader, host.orchestrations(under.orchestrations), {
          load: 'flights',
          prefix: 'in/00',
        }),
      );
      under.clock.advance(60_000);
      await surviving(host, () => tick(host.loader, host.orchestrations(under.orchestrations)));
      const hasBegun = (await under.loader.loads.readLock('flights')) !== null;
      if (hasBegun) {
        const options = { host, twice: true };
        expect(await driveOperation(host.loader, under.clock, under.orchestrations, options)).toMatchObject({
          state: 'succeeded',
          objects: 10,
        });
        await tick(under.loader, under.orchestrations);
        expect(await under.run()).toMatchObject({ objects: { ingested: 10 } });
      }
      if (host.deaths() === 0) break;
    }
    expect(number).toBeGreaterThan(5);
  },
);

test('is cancelled as long as it has marked nothing, and not any more when it may have', async () => {
  const first = await start('in/');
  expect(await cancelOperation(under.loader, first.operationId)).toMatchObject({
    kind: 'reset',
    state: 'cancelled',
  });
  expect(await drive()).toMatchObject({ state: 'cancelled', step: 'check' });
  expect(await entryOf('in/005')).toMatchObject({ state: 'ingested' });

  const { operationId } = await start('in/');
  const { ledger } = under.loader;
  const refused: Promise<unknown>[] = [];
  const marking = {
    ...under.loader,
    ledger: {
      ...ledger,
      write: async (...args: Parameters<typeof ledger.write>) => {
        const cancelling = cancelOperation(under.loader, operationId);
        refused.push(expect(cancelling).rejects.toMatchObject({ code: 'operationUnderWay' }));
        return ledger.write(...args);
      },
    },
  };
  expect(await driveOperation(marking, under.clock, under.orchestrations)).toMatchObject({
    state: 'succeeded',
    objects: 10,
  });
  await Promise.all(refused);
  expect(refused.length).toBeGreaterThan(0);
});

test('a start that was cut off behind the lock is completed by the tick', async () => {
  const orchestrations = { ...under.orchestrations, startOperation: () => Promise.reject(new Error('away')) };
  under.clock.advance(1000);
  await expect(
    startReset(under.loader, orchestrations, { load: 'flights', prefix: 'in/' }),
  ).rejects.toThrow();
  under.clock.advance(60_000);
  await tick(under.loader, under.orchestrations);
  expect(await drive()).toMatchObject({ state: 'succeeded', objects: 10 });
});

test('of a load that is not there', async () => {
  await expect(
    startReset(under.loader, under.orchestrations, { load: 'none', prefix: '' }),
  ).rejects.toMatchObject({ code: 'loadNotFound' });
});
