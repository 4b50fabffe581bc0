import { describe, expect, it } from 'vitest';
import { replay } from '../../../dev/functions-host/durable/replay.ts';
import {
  type Action,
  actionTypes,
  eventTypes,
  type ReplayEvent,
} from '../../../dev/functions-host/durable/wire-v3.ts';

const dayMs = 86_400_000;

function event(type: number, fields: Partial<ReplayEvent> = {}): ReplayEvent {
  return { type, eventId: -1, timestampMs: 0, taskId: -1, name: '', isNonRetriable: false, ...fields };
}

const start = (timestampMs = 0) => [
  event(eventTypes.orchestratorStarted, { timestampMs }),
  event(eventTypes.executionStarted),
];
const turn = (timestampMs: number) => event(eventTypes.orchestratorStarted, { timestampMs });
const scheduled = (eventId: number, name = 'a') => event(eventTypes.taskScheduled, { eventId, name });
const completed = (taskId: number) => event(eventTypes.taskCompleted, { taskId });
const failed = (taskId: number) => event(eventTypes.taskFailed, { taskId });
const created = (eventId: number) => event(eventTypes.timerCreated, { eventId });
const fired = (taskId: number) => event(eventTypes.timerFired, { taskId });
const raised = (name: string) => event(eventTypes.eventRaised, { name });

const call: Action = { actionType: actionTypes.callActivity, functionName: 'a' };
const wait: Action = { actionType: actionTypes.waitForExternalEvent, externalEventName: 'e' };
const all = (...compoundActions: Action[]): Action => ({ actionType: actionTypes.whenAll, compoundActions });
const any = (...compoundActions: Action[]): Action => ({ actionType: actionTypes.whenAny, compoundActions });
const retried = (maxNumberOfAttempts: number, more: object = {}): Action => ({
  actionType: actionTypes.callActivityWithRetry,
  functionName: 'a',
  retryOptions: { firstRetryIntervalInMilliseconds: 100, maxNumberOfAttempts, ...more },
});
const timer = (fireAtMs: number, isCanceled = false): Action => ({
  actionType: actionTypes.createTimer,
  fireAt: new Date(fireAtMs).toISOString(),
  isCanceled,
});

const run = (events: ReplayEvent[], ...actions: Action[]) =>
  replay({ events, actions, isKnownActivity: (name) => name === 'a', isKnownOrchestrator: () => false });

describe('replay', () => {
  it('numbers the leaves of nested groups depth first', () => {
    const { decisions, sequenceNumber } = run(start(), all(call, any(call, timer(5)), call));
    expect(decisions.map(({ id, kind }) => [id, kind])).toEqual([
      [0, 'activity'],
      [1, 'activity'],
      [2, 'timer'],
      [3, 'activity'],
    ]);
    expect(sequenceNumber).toBe(4);
  });

  it('settles "all" only when every child is, even after a failure', () => {
    const past = [...start(), scheduled(0), scheduled(1), failed(0)];
    expect(run(past, all(call, call), call)).toMatchObject({
      unreadActions: 1,
      waitsBehindFailure: true,
      isSettled: false,
    });
    const { decisions } = run([...past, completed(1)], all(call, call), call);
    expect(decisions.map(({ id }) => id)).toEqual([2]);
  });

  it('settles "any" by its first child and ignores the others', () => {
    const past = [...start(), scheduled(0), scheduled(1), completed(1), completed(0)];
    expect(run(past, any(call, call))).toMatchObject({ isSettled: true, decisions: [] });
  });

  it('schedules tasks again that a sliding window lists again', () => {
    const past = [...start(), scheduled(0), scheduled(1), completed(0)];
    expect(run(past, any(call, call), any(call, call))).toMatchObject({ sequenceNumber: 4 });
  });

  it('retries by timer and new call, with backoff, and waits once more after the last failure', () => {
    const action = retried(2, { backoffCoefficient: 3, maxRetryIntervalInMilliseconds: 150 });
    const first = [...start(1_000), scheduled(0), turn(2_000), failed(0)];
    expect(run(first, action).decisions).toMatchObject([{ id: 1, kind: 'timer', fireAtMs: 2_100 }]);
    const second = [...first, created(1), turn(2_100), fired(1), scheduled(2), turn(3_000), failed(2)];
    expect(run(second, action).decisions).toMatchObject([{ id: 3, kind: 'timer', fireAtMs: 3_000 }]);
    expect(run([...second, created(3)], action).isSettled).toBe(false);
    expect(run([...second, created(3), turn(3_001), fired(3)], action)).toMatchObject({
      isSettled: true,
      sequenceNumber: 4,
    });
  });

  it('caps the wait between attempts', () => {
    const action = retried(5, { backoffCoefficient: 10, maxRetryIntervalInMilliseconds: 150 });
    const past = [...start(), scheduled(0), failed(0), created(1), fired(1), scheduled(2), failed(2)];
    expect(run(past, action).decisions).toMatchObject([{ kind: 'timer', fireAtMs: 150 }]);
  });

  it('makes long timers of slices with an id each', () => {
    const action = timer(10 * dayMs);
    expect(run(start(), action).decisions).toMatchObject([{ id: 0, fireAtMs: 3 * dayMs }]);
    const next = [...start(), created(0), turn(3 * dayMs), fired(0)];
    expect(run(next, action).decisions).toMatchObject([{ id: 1, fireAtMs: 6 * dayMs }]);
    const last = [...next, created(1), turn(6 * dayMs), fired(1)];
    expect(run(last, action).decisions).toMatchObject([{ id: 2, fireAtMs: 10 * dayMs }]);
    expect(run([...last, created(2), turn(10 * dayMs), fired(2)], action).isSettled).toBe(true);
  });

  it('counts a cancelled timer, which settles at once', () => {
    const { decisions, isSettled } = run(start(), timer(5, true), call);
    expect(decisions.map(({ kind }) => kind)).toEqual(['timer', 'activity']);
    expect(isSettled).toBe(false);
  });

  it('buffers early events and leaves those after continue-as-new to the next execution', () => {
    const next: Action = { actionType: actionTypes.continueAsNew, input: { n: 1 } };
    const past = [...start(), raised('e'), raised('other'), raised('e')];
    expect(run(past, wait)).toMatchObject({ isSettled: true, continueAsNew: null });
    expect(run(past, wait, next).continueAsNew).toEqual({ input: { n: 1 }, fromEventIndex: 3 });
  });

  it.each([
    ['another name', scheduled(0, 'b')],
    ['another id', scheduled(7)],
    ['another kind', created(0)],
  ])('reports a history that recorded %s', (_, recorded) => {
    expect(run([...start(), recorded], call).problem?.kind).toBe('nonDeterminism');
  });

  it('reports unknown functions, entities and non-retriable failures under retry', () => {
    expect(run(start(), { ...call, functionName: 'x' }).problem?.kind).toBe('unknownFunction');
    expect(run(start(), { actionType: 7 }).problem?.message).toContain('callEntity');
    const past = [
      ...start(),
      scheduled(0),
      event(eventTypes.taskFailed, { taskId: 0, isNonRetriable: true }),
    ];
    expect(run(past, retried(3)).problem?.kind).toBe('hazard');
  });

  it('stays linear: eight times the activities take about eight times the time', () => {
    const history = (count: number) => {
      const ids = Array.from({ length: count }, (_, index) => index);
      return [...start(), ...ids.map((id) => scheduled(id)), ...ids.map(completed)];
    };
    // CPU time, since what else the machine does must not count; of so much work that the coarsest clock tells it.
    const measure = (count: number, times: number) => {
      const events = history(count);
      const action = all(...Array.from({ length: count }, () => call));
      const from = process.threadCpuUsage();
      for (let time = 0; time < times; time += 1) expect(run(events, action).isSettled).toBe(true);
      const { user, system } = process.threadCpuUsage(from);
      return user + system;
    };
    measure(5000, 1);
    const small = measure(5000, 40);
    expect(small).toBeGreaterThan(0);
    // The same work if it is linear; eight times as much if it grows with the square.
    const ratio = measure(40_000, 5) / small;
    expect(ratio).toBeLessThan(4);
  });
});
