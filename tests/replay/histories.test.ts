import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { app, InvocationContext } from '@azure/functions';
import { beforeAll, describe, expect, test, vi } from 'vitest';

import { replay } from '../../dev/functions-host/durable/replay.ts';
import {
  eventTypes,
  type HistoryEvent,
  type OrchestratorAnswer,
  readAnswer,
  readFailure,
  renderEvent,
  renderTurn,
  toReplayEvent,
} from '../../dev/functions-host/durable/wire-v3.ts';
import { ACTIVITIES, ORCHESTRATORS } from '../../shared/contracts/durable.ts';
import type { RecordedInstance } from './recorded-instance.ts';

/**
 * Histories that releases have written, replayed by today's orchestrators through the real Durable SDK. One that does not
 * decide as it was recorded would fail in Azure when it is deployed while a run is in flight; see Upgrading in
 * docs/OPERATIONS.md.
 */
const FOLDER = path.join(import.meta.dirname, 'histories');
const releases = readdirSync(FOLDER).map((file) => ({
  release: path.parse(file).name,
  instances: readFileSync(path.join(FOLDER, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedInstance),
}));

type Handler = (trigger: unknown, context: InvocationContext) => Promise<unknown>;
const handlers = new Map<string, Handler>();

beforeAll(async () => {
  vi.spyOn(app, 'generic').mockImplementation((name, options) => {
    handlers.set(name, options.handler as Handler);
  });
  await import('../../functions/orchestrators/orchestrators.ts');
});

/** What the orchestrator of today answers to a history. */
async function answerTo(
  instance: RecordedInstance,
  events: readonly HistoryEvent[],
): Promise<OrchestratorAnswer> {
  const { string } = renderTurn({
    pastText: '',
    newText: events.map((event) => renderEvent(event, true)).join(','),
    inputText: JSON.stringify(instance.input),
    instanceId: instance.id,
    parentInstanceId: null,
  }) as { string: string };
  const context = new InvocationContext({ functionName: instance.name, logHandler: () => undefined });
  try {
    const answer = await handlers.get(instance.name)!(JSON.parse(string), context);
    return readAnswer({ json: JSON.stringify(answer) });
  } catch (thrown) {
    const answer = readFailure(thrown);
    if (answer === null) throw thrown;
    return answer;
  }
}

async function replayed(instance: RecordedInstance, turns = instance.turns.length) {
  const events = instance.turns.slice(0, turns).flat();
  const answer = await answerTo(instance, events);
  const names = (of: object) => (name: string) => (Object.values(of) as string[]).includes(name);
  const outcome = replay({
    events: events.map(toReplayEvent),
    actions: answer.actions,
    isKnownActivity: names(ACTIVITIES),
    isKnownOrchestrator: names(ORCHESTRATORS),
  });
  return { answer, outcome };
}

test('there are histories of every orchestrator', () => {
  expect(releases.length).toBeGreaterThan(0);
  for (const { instances } of releases)
    expect(new Set(instances.map(({ name }) => name))).toEqual(new Set(Object.values(ORCHESTRATORS)));
});

describe.each(releases)('histories of $release', ({ instances }) => {
  test.each(instances.map((instance) => [instance.name, instance.id, instance] as const))(
    '%s %s decides as it was recorded, at each turn',
    async (_name, _id, instance) => {
      expect(instance.turns.length).toBeGreaterThan(0);
      for (let turns = 1; turns <= instance.turns.length; turns += 1) {
        const { answer, outcome } = await replayed(instance, turns);
        expect({ turns, problem: outcome.problem }).toEqual({ turns, problem: null });
        // All that it decides by then is in the history.
        expect({ turns, new: outcome.decisions }).toEqual({ turns, new: [] });
        const isLast = turns === instance.turns.length;
        expect({ turns, isDone: answer.isDone }).toEqual({
          turns,
          isDone: isLast && instance.status === 'Completed',
        });
      }
    },
  );
});

describe('an orchestrator that has changed is found out', () => {
  const changed = (instance: RecordedInstance, change: (event: HistoryEvent) => HistoryEvent | null) => ({
    ...instance,
    turns: instance.turns.map((turn) => turn.flatMap((event) => change(event) ?? [])),
  });
  const anyOf = (name: string) => releases[0]!.instances.find((instance) => instance.name === name)!;

  test('by another activity', async () => {
    const instance = changed(anyOf(ORCHESTRATORS.lane), (event) =>
      event.EventType === eventTypes.taskScheduled ? { ...event, Name: ACTIVITIES.finishRun } : event,
    );
    expect((await replayed(instance)).outcome.problem).not.toBeNull();
  });

  test('by one decision more than was recorded', async () => {
    const planner = anyOf(ORCHESTRATORS.planner);
    const first = planner.turns.flat().find(({ EventType }) => EventType === eventTypes.taskScheduled)!;
    const instance = changed(planner, (event) =>
      event.EventId === first.EventId && event.EventType === eventTypes.taskScheduled ? null : event,
    );
    const { outcome } = await replayed(instance);
    expect(outcome.problem !== null || outcome.decisions.length > 0).toBe(true);
  });
});
