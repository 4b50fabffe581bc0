import type { OrchestrationContext } from 'durable-functions';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { lane } from '../../functions/orchestrators/lane.ts';
import { loadRun } from '../../functions/orchestrators/load-run.ts';
import { loadShard } from '../../functions/orchestrators/load-shard.ts';
import { operation } from '../../functions/orchestrators/operation.ts';
import { planner } from '../../functions/orchestrators/planner.ts';
import { settler } from '../../functions/orchestrators/settler.ts';
import { type Orchestration, TURNS_PER_EXECUTION } from '../../functions/orchestrators/steps.ts';

/** What an orchestrator asked the runtime for, as far as a history would record it. */
interface Action {
  readonly kind: 'activity' | 'subOrchestration' | 'timer' | 'all' | 'continueAsNew' | 'return';
  readonly name?: string;
  readonly input?: unknown;
  readonly instanceId?: string;
  readonly fireAt?: string;
  readonly tasks?: readonly Action[];
}

/** What the runtime answers to the n-th yielded task, and what time it is then. */
interface Answer {
  readonly value: unknown;
  readonly fails: boolean;
  readonly at: Date;
}

const START = new Date('2026-01-31T12:00:00.000Z');

/** Runs an orchestrator from its beginning with the first `answers` of a history; the actions that it comes to. */
function replay(
  orchestrator: (context: OrchestrationContext) => Orchestration,
  input: unknown,
  answers: readonly Answer[],
): readonly Action[] {
  const actions: Action[] = [];
  const df = {
    currentUtcDateTime: START,
    getInput: () => structuredClone(input),
    callActivity: (name: string, of: unknown): Action => ({
      kind: 'activity',
      name,
      input: structuredClone(of),
    }),
    callActivityWithRetry: (name: string, _retry: unknown, of: unknown): Action => ({
      kind: 'activity',
      name,
      input: structuredClone(of),
    }),
    callSubOrchestrator: (name: string, of: unknown, instanceId: string): Action => ({
      kind: 'subOrchestration',
      name,
      input: structuredClone(of),
      instanceId,
    }),
    createTimer: (fireAt: Date): Action => ({ kind: 'timer', fireAt: fireAt.toISOString() }),
    continueAsNew: (of: unknown) => void actions.push({ kind: 'continueAsNew', input: structuredClone(of) }),
    Task: { all: (tasks: readonly Action[]): Action => ({ kind: 'all', tasks }) },
  };
  const generator = orchestrator({ df } as unknown as OrchestrationContext);
  let step = generator.next();
  for (let turn = 0; ; turn += 1) {
    if (step.done === true) {
      actions.push({ kind: 'return', input: step.value });
      return actions;
    }
    actions.push(step.value as unknown as Action);
    const answer = answers[turn];
    if (answer === undefined) return actions;
    df.currentUtcDateTime = answer.at;
    step = answer.fails ? generator.throw(new Error('host failure')) : generator.next(answer.value);
  }
}

/** The law: replaying any beginning of a history gives the beginning of the same actions. */
function expectDeterministic(
  orchestrator: (context: OrchestrationContext) => Orchestration,
  input: unknown,
  answers: readonly Answer[],
): readonly Action[] {
  const whole = replay(orchestrator, input, answers);
  for (let length = 0; length <= answers.length; length += 1) {
    const part = replay(orchestrator, input, answers.slice(0, length));
    expect(part).toEqual(whole.slice(0, part.length));
  }
  return whole;
}

const ref = { v: 1 as const, runId: 'flights-20260131T120000Z-abcd', epoch: 2 };

function answersOf(values: fc.Arbitrary<unknown>, mostTurns = 2 * TURNS_PER_EXECUTION + 5) {
  return fc
    .array(
      fc.record({ value: values, fails: fc.constant(false), afterMs: fc.integer({ min: 0, max: 60_000 }) }),
      { minLength: 0, maxLength: mostTurns },
    )
    .map((turns) => {
      let at = START.getTime();
      return turns.map(
        ({ value, fails, afterMs }): Answer => ({ value, fails, at: new Date((at += afterMs)) }),
      );
    });
}

const wait = fc.record({ kind: fc.constant('wait'), waitMs: fc.integer({ min: 1, max: 60_000 }) });
const stop = fc.constant({ kind: 'stop' });

describe('orchestrators replay to the same actions', () => {
  test('planner', () => {
    const answer = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant('page'), next: fc.integer({ min: 1, max: 99 }) }),
      },
      { weight: 3, arbitrary: wait },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('retry'),
          waitMs: fc.integer({ min: 1, max: 60_000 }),
          code: fc.constant('sourceUnavailable'),
        }),
      },
      { weight: 1, arbitrary: stop },
    );
    fc.assert(
      fc.property(
        answersOf(answer),
        (answers) => void expectDeterministic(planner, { ...ref, page: 0 }, answers),
      ),
    );
  });

  test('lane', () => {
    const shard = fc.record({
      kind: fc.constant('shard'),
      shard: fc.constant('0000-001'),
      units: fc.integer({ min: 1, max: 100 }),
      attempt: fc.constant(1),
      ok: fc.boolean(),
      code: fc.constant(null),
    });
    const answer = fc.oneof(
      { weight: 6, arbitrary: shard },
      { weight: 3, arbitrary: wait },
      { weight: 1, arbitrary: stop },
    );
    fc.assert(
      fc.property(
        answersOf(answer),
        (answers) => void expectDeterministic(lane, { ...ref, lane: 3, turn: 0, finished: null }, answers),
      ),
    );
  });

  test('settler', () => {
    const settle = fc.record({ kind: fc.constant('settle'), shard: fc.constant('0000-001') });
    const load = fc.record({
      kind: fc.constant('load'),
      shard: fc.constant('0000-001r1'),
      units: fc.constant(2),
      attempt: fc.constant(1),
    });
    const answer = fc.oneof(
      { weight: 6, arbitrary: settle },
      { weight: 3, arbitrary: load },
      { weight: 3, arbitrary: wait },
      { weight: 1, arbitrary: stop },
    );
    fc.assert(
      fc.property(
        answersOf(answer),
        (answers) =>
          void expectDeterministic(settler, { ...ref, settler: 0, turn: 0, finished: null }, answers),
      ),
    );
  });

  test('settler tells its next turn how a retry shard fared, also as a new instance', () => {
    const finished = { shard: '0000-001r1', ok: true, code: null };
    const load = { kind: 'load', shard: '0000-001r1', units: 2, attempt: 1 };
    const input = { ...ref, settler: 0, turn: TURNS_PER_EXECUTION };
    const at = START;
    // A history of a version that knew no retry shards has no `finished`.
    const answers = [load, finished].map((value) => ({ value, fails: false, at }));
    expect(expectDeterministic(settler, input, answers).slice(1, 3)).toMatchObject([
      { kind: 'subOrchestration', instanceId: expect.stringMatching(/-s0000-001b1$/) },
      { kind: 'activity', name: 'takePosted', input: { finished } },
    ]);
  });

  test('load-shard', () => {
    const outputs = fc.array(
      fc.oneof(fc.constant({ ok: true }), fc.constant({ ok: false, code: 'sourceUnavailable' })),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(outputs, fc.boolean(), (value, fails) => {
        const actions = expectDeterministic(loadShard, { ...ref, shard: '0000-001', units: value.length }, [
          { value, fails, at: START },
        ]);
        const ok = !fails && value.every((output) => output.ok);
        expect(actions.at(-1)).toMatchObject({ kind: 'return', input: { shard: '0000-001', ok } });
      }),
    );
    // A fan-out of nothing would throw in the Durable SDK.
    expect(replay(loadShard, { ...ref, shard: 's', units: 0 }, [])).toEqual([
      { kind: 'return', input: { shard: 's', ok: true, code: null } },
    ]);
  });

  test('operation', () => {
    const answer = fc.oneof({ weight: 9, arbitrary: wait }, { weight: 1, arbitrary: stop });
    const input = { v: 1, operationId: `undo-${ref.runId}`, attempt: 2 };
    fc.assert(
      fc.property(answersOf(answer), (answers) => {
        const actions = expectDeterministic(operation, input, answers);
        // It carries nothing on but its name: where it stands is in its document.
        for (const { name, input: given } of actions) {
          if (name === 'advanceOperation') expect(given).toEqual(input);
        }
        const last = actions.at(-2);
        if (last?.kind === 'continueAsNew') expect(last.input).toEqual(input);
      }),
    );
  });

  test('load-run starts each part once, under an id that another epoch can end', () => {
    const actions = expectDeterministic(loadRun, { ...ref, lanes: 4, settlers: 1 }, [
      { value: [], fails: false, at: START },
      { value: { state: 'completed' }, fails: false, at: START },
    ]);
    expect(actions[0]!.tasks!.map(({ instanceId }) => instanceId)).toEqual(
      ['planner', 'lane-0', 'lane-1', 'lane-2', 'lane-3', 'settler-0'].map(
        (part) => `${ref.runId}-e2-${part}`,
      ),
    );
    expect(actions.slice(1)).toMatchObject([{ kind: 'activity', name: 'finishRun' }, { kind: 'return' }]);
  });

  test('a lane tells what it finished with its next turn, also across continue-as-new', () => {
    const turns = Array.from({ length: TURNS_PER_EXECUTION }, (_, index): Answer[] => [
      { value: { kind: 'shard', shard: `s${index}`, units: 1, attempt: 1 }, fails: false, at: START },
      { value: { shard: `s${index}`, ok: true, code: null }, fails: false, at: START },
    ]).flat();
    const actions = replay(lane, { ...ref, lane: 0, turn: 7, finished: null }, turns);
    const inputs = actions
      .filter(({ name }) => name === 'takeShard')
      .map(({ input }) => input as { turn: number; finished: { shard: string } | null });
    expect(inputs.map(({ turn }) => turn)).toEqual(inputs.map((_, index) => 7 + index));
    expect(inputs.map(({ finished }) => finished?.shard)).toEqual([
      undefined,
      ...inputs.slice(1).map((_, index) => `s${index}`),
    ]);
    expect(actions.at(-2)).toMatchObject({
      kind: 'continueAsNew',
      input: { turn: 7 + TURNS_PER_EXECUTION, finished: { shard: `s${TURNS_PER_EXECUTION - 1}` } },
    });
  });

  test('payloads stay far below the 16 KiB at which histories grow heavy', () => {
    const longest = { ...ref, runId: `${'x'.repeat(63)}-20260131T120000Z-abcd` };
    const actions = replay(loadRun, { ...longest, lanes: 32, settlers: 8 }, []);
    for (const { input } of actions[0]!.tasks!) expect(JSON.stringify(input).length).toBeLessThan(1024);
  });
});
