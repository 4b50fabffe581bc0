import { expect, it, onTestFinished } from 'vitest';
import { putIntoInbox } from '../../../dev/functions-host/durable/inbox.ts';
import { LiveInstances, renderPlayed } from '../../../dev/functions-host/durable/instances.ts';
import { DurableStore, type InboxMessage } from '../../../dev/functions-host/durable/store.ts';
import { eventTypes } from '../../../dev/functions-host/durable/wire-v3.ts';
import { StateFile } from '../../../dev/functions-host/state-file.ts';

const turn = (id: string, at: number) => [
  { EventType: eventTypes.orchestratorStarted, EventId: -1, Timestamp: new Date(at).toISOString() },
  {
    EventType: eventTypes.eventRaised,
    EventId: -1,
    Timestamp: new Date(at).toISOString(),
    Name: `${id}-${at}`,
  },
];

/** A store with so many instances that have run one turn each. */
async function fillStore(count: number) {
  const onFatal = (error: unknown) => expect.unreachable(String(error));
  const state = new StateFile({ path: ':memory:', onFatal });
  onTestFinished(() => state.close());
  const store = new DurableStore(state);
  const ids = Array.from({ length: count }, (_, at) => `instance-${at}`);
  await store.write(() => {
    for (const id of ids) {
      const common = { input: null, output: null, customStatus: null, parent: null, version: null };
      const row = {
        ...common,
        id,
        executionId: 'e',
        name: 'f',
        status: 'Running',
        createdMs: 1,
        updatedMs: 1,
      } as const;
      store.upsertInstance(row);
      store.insertTurn({ instanceId: id, executionId: 'e', turn: 0, events: renderPlayed(turn(id, 1)) });
    }
  });
  return { store, ids };
}

const namesOf = (live: LiveInstances, id: string) => {
  const instance = live.load(id);
  if (instance === null) return expect.unreachable(`${id} is not there`);
  return live
    .historyOf(instance)
    .events.map(({ name }) => name)
    .filter((name) => name !== '');
};

it.each([
  ['instances', { instances: 5, characters: Number.MAX_SAFE_INTEGER }],
  ['characters', { instances: 1_000, characters: 900 }],
])('keeps no more %s in memory than it may, and reads the rest again', async (_, limits) => {
  const { store, ids } = await fillStore(30);
  let loads = 0;
  const live = new LiveInstances(store, () => (loads += 1), limits);
  for (const [at, id] of ids.entries()) {
    const instance = live.load(id)!;
    expect(namesOf(live, id)).toEqual([`${id}-1`]);
    // What a committed turn does: the store first, then the copy in memory.
    const events = turn(id, 2);
    const text = renderPlayed(events);
    await store.write(() => store.insertTurn({ instanceId: id, executionId: 'e', turn: 1, events: text }));
    instance.isRunning = true;
    live.append(instance, { text, events });
    instance.isRunning = false;
    expect(ids.slice(0, at + 1).filter((each) => live.peek(each) !== undefined).length).toBeLessThanOrEqual(
      6,
    );
  }
  expect(loads).toBe(30);
  for (const id of ids) expect(namesOf(live, id)).toEqual([`${id}-1`, `${id}-2`]);
  expect(loads).toBeGreaterThan(50);
});

it('never drops an instance that is at work or has messages', async () => {
  const { store, ids } = await fillStore(20);
  const live = new LiveInstances(store, () => undefined, { instances: 3, characters: 100 });
  const [running, waiting, ...others] = ids;
  live.load(running!)!.isRunning = true;
  live.load(waiting!)!.inbox.push({ seq: 1, executionId: null, event: '{}' });
  for (const id of others) namesOf(live, id);
  expect(live.peek(running!)).toBeDefined();
  expect(live.peek(waiting!)).toBeDefined();
  expect(live.peek(others[0]!)).toBeUndefined();
});

it('takes every message once that is handed over, whatever the order: who has written it may hear of it late', async () => {
  const { store, ids } = await fillStore(1);
  const instanceId = ids[0]!;
  const event = JSON.stringify({ EventType: eventTypes.eventRaised });
  const write = async (count: number) => {
    const written: InboxMessage[] = [];
    await store.write(() => {
      for (let at = 0; at < count; at += 1)
        written.push(store.insertMessage({ instanceId, executionId: null, event })!);
    });
    return written;
  };
  const before = await write(2);
  const instance = new LiveInstances(store, () => undefined).load(instanceId)!;
  const after = await write(3);
  for (const message of [...before, ...[...after].reverse()]) putIntoInbox(instance, message);
  const seqs = instance.inbox.map(({ seq }) => seq);
  expect(seqs.sort((a, b) => a - b)).toEqual([...before, ...after].map(({ seq }) => seq));
});
