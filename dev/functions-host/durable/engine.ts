import type { FunctionRunner } from '../function-runner.ts';
import type { RegisteredFunction } from '../functions-core.ts';
import { contextOfFailure, type Invoker } from '../invocation.ts';
import { describeError, type Logger, type LogLevel } from '../log.ts';
import type { DurableCounters } from '../metrics.ts';
import { ActivityDispatcher } from './activities.ts';
import { CallWatch } from './call-watch.ts';
import { newExecutionId } from './execution-id.ts';
import { putIntoInbox, renderStarted, takeMessages } from './inbox.ts';
import { type LiveInstance, LiveInstances, renderPlayed } from './instances.ts';
import {
  type ActivityRow,
  type DurableStore,
  type InboxMessage,
  isFinished,
  type TimerRow,
} from './store.ts';
import { DurableTimers } from './timers.ts';
import { type FunctionNames, type OrchestratorRun, planTurn, toDecisionEvents, toEndEvents } from './turn.ts';
import { commitTurn, type TurnEffects } from './turn-commit.ts';
import {
  eventTypes,
  type HistoryEvent,
  readAnswer,
  readFailure,
  readSdkState,
  renderEvent,
  renderTurn,
} from './wire-v3.ts';

export interface EngineParams {
  readonly store: DurableStore;
  readonly invoker: Invoker;
  readonly runner: FunctionRunner;
  readonly orchestrators: ReadonlyMap<string, RegisteredFunction>;
  readonly activities: ReadonlyMap<string, RegisteredFunction>;
  readonly logger: Logger;
  readonly counters: DurableCounters;
  readonly eventsPerTurn: number;
  readonly maxConcurrentActivities: number;
  readonly maxConcurrentTurns: number;
  /** Test mode: each activity runs twice at the same time. */
  readonly runsActivitiesTwice: boolean;
}

/** Runs orchestrations: one turn at a time per instance, everything that counts on disk before it shows. */
export class DurableEngine {
  readonly #params: EngineParams;
  readonly #store: DurableStore;
  readonly #live: LiveInstances;
  readonly #activities: ActivityDispatcher;
  readonly #timers: DurableTimers;
  readonly #names: FunctionNames;
  readonly #runnable: LiveInstance[] = [];
  #turns = 0;
  #isStopped = false;

  constructor(params: EngineParams) {
    this.#params = params;
    this.#store = params.store;
    this.#live = new LiveInstances(params.store, () => {
      params.counters.historiesLoaded += 1;
    });
    this.#names = {
      activities: new Set(params.activities.keys()),
      orchestrators: new Set(params.orchestrators.keys()),
    };
    this.#timers = new DurableTimers(params.store, (due) => this.#fireTimers(due));
    this.#activities = new ActivityDispatcher({
      runner: params.runner,
      functions: params.activities,
      limit: params.maxConcurrentActivities,
      runsTwice: params.runsActivitiesTwice,
      onResult: (row, event) => this.#completeActivity(row, event),
      onFailure: (row, error) =>
        this.#log('error', `Activity '${row.name}' of ${row.instanceId} failed: ${describeError(error)}`),
      onDifference: (row, results) =>
        this.#log(
          'information',
          `Activity '${row.name}' of ${row.instanceId}, run twice, gave ${results.join(' and ')}`,
        ),
    });
  }

  get knownOrchestrators(): ReadonlySet<string> {
    return this.#names.orchestrators;
  }

  /** Takes up everything that a former host left: messages, activities, timers. */
  start(): void {
    this.#activities.enqueue(this.#store.readActivities());
    for (const id of this.#store.readRunnable()) this.#wake(id);
    this.#timers.start();
  }

  /** Starts nothing any more; what runs may end and is stored. */
  stop(): void {
    this.#isStopped = true;
    this.#timers.stop();
    this.#activities.stop();
  }

  /**
   * Starts an instance.
   * @returns false when an unfinished instance has the id
   */
  async startInstance(params: {
    id: string;
    name: string;
    version: string | null;
    input: string | null;
  }): Promise<boolean> {
    const executionId = newExecutionId();
    const nowMs = Date.now();
    const { id, name, version, input } = params;
    let isStarted = false;
    await this.#store.write(() => {
      isStarted = this.#store.insertInstance(
        {
          id,
          executionId,
          name,
          version,
          status: 'Pending',
          input,
          output: null,
          customStatus: null,
          createdMs: nowMs,
          updatedMs: nowMs,
          parent: null,
        },
        renderStarted({ id, executionId, name, version, input, parent: null }),
      );
    });
    if (!isStarted) return false;
    this.#params.counters.instancesStarted += 1;
    this.#wake(id);
    return true;
  }

  /** Puts a message into an instance's inbox. @returns false when the instance is unknown or finished */
  async send(instanceId: string, event: string): Promise<boolean> {
    let message: InboxMessage | null = null;
    await this.#store.write(() => {
      message = this.#store.insertMessage({ instanceId, executionId: null, event });
    });
    if (message === null) return false;
    this.#receive(instanceId, message);
    return true;
  }

  #wake(id: string): void {
    const instance = this.#live.load(id);
    if (instance !== null) this.#makeRunnable(instance);
  }

  #receive(id: string, message: InboxMessage): void {
    const known = this.#live.peek(id);
    const instance = known ?? this.#live.load(id);
    if (instance === null) return;
    putIntoInbox(instance, message);
    this.#makeRunnable(instance);
  }

  #makeRunnable(instance: LiveInstance): void {
    if (instance.isQueued || instance.isRunning || instance.inbox.length === 0) return;
    if (instance.isSuspended && instance.controlMessages === 0) return;
    instance.isQueued = true;
    this.#runnable.push(instance);
    this.#startTurns();
  }

  // Turns start after the event loop's other work, so that messages of one commit share a turn. Each has an
  // immediate of its own: an orchestrator never waits, so its CPU time is its own and not its neighbour's too.
  #startTurns(): void {
    while (!this.#isStopped && this.#turns < this.#params.maxConcurrentTurns) {
      const instance = this.#runnable.shift();
      if (instance === undefined) return;
      this.#turns += 1;
      setImmediate(() => {
        instance.isQueued = false;
        instance.isRunning = true;
        void this.#runTurn(instance).finally(() => this.#endTurn(instance));
      });
    }
  }

  #endTurn(instance: LiveInstance): void {
    this.#turns -= 1;
    instance.isRunning = false;
    if (this.#live.peek(instance.row.id) === instance) this.#makeRunnable(instance);
    this.#startTurns();
  }

  async #runTurn(instance: LiveInstance): Promise<void> {
    const history = this.#live.historyOf(instance);
    const nowMs = Math.max(Date.now(), history.latestTurnMs);
    const timestamp = new Date(nowMs).toISOString();
    const taken = takeMessages(instance, this.#params.eventsPerTurn);
    if (taken.terminateReason !== null || taken.messages.length === 0) {
      await this.#commitWithoutTurn(instance, { taken, nowMs });
      return;
    }
    const newEvents: HistoryEvent[] = [
      { EventType: eventTypes.orchestratorStarted, EventId: -1, Timestamp: timestamp },
      ...taken.messages.map((message) => ({
        ...(JSON.parse(message.event) as HistoryEvent),
        Timestamp: timestamp,
      })),
    ];
    this.#params.counters.turns += 1;
    this.#params.counters.events += taken.messages.length;
    const run = await this.#invokeOrchestrator(instance, { pastText: history.text, newEvents });
    const { row } = instance;
    const plan = planTurn({ row, history, newEvents, messages: taken.messages, run, known: this.#names });
    if (plan.refusal !== null)
      this.#log('error', `Instance ${row.id} ('${row.name}') is failed: ${plan.refusal}`);
    if (plan.warning !== null) this.#log('warning', `Instance ${row.id} ('${row.name}'): ${plan.warning}`);
    const events = [
      ...newEvents,
      ...toDecisionEvents({ row, decisions: plan.decisions, timestamp }),
      ...toEndEvents(plan, timestamp),
      { EventType: eventTypes.orchestratorCompleted, EventId: -1, Timestamp: timestamp },
    ];
    const text = renderPlayed(events);
    history.latestTurnMs = nowMs;
    const effects = await commitTurn({
      store: this.#store,
      instance,
      consumed: taken.consumed,
      plan,
      turnText: text,
      turn: history.turns,
      nowMs,
    });
    const bytes = history.bytes + Buffer.byteLength(text);
    if (plan.result.kind === 'running') this.#live.append(instance, { text, events });
    this.#apply(instance, effects);
    const inputs = effects.activities.map(({ input }) => input);
    noteLengths(this.#params.counters, bytes, [...inputs, ...events.flatMap(payloadsOf)]);
  }

  async #commitWithoutTurn(
    instance: LiveInstance,
    params: { taken: ReturnType<typeof takeMessages>; nowMs: number },
  ): Promise<void> {
    const { taken, nowMs } = params;
    const terminated = taken.terminateReason !== null;
    const effects = await commitTurn({
      store: this.#store,
      instance,
      consumed: taken.consumed,
      plan: terminated ? { terminateReason: taken.terminateReason ?? '' } : null,
      turnText: null,
      turn: 0,
      nowMs,
    });
    this.#apply(instance, effects);
  }

  #apply(instance: LiveInstance, effects: TurnEffects): void {
    const { counters } = this.#params;
    instance.row = effects.row;
    if (effects.front !== null) {
      this.#live.dropHistory(instance);
      instance.inbox = [...effects.front, ...instance.inbox];
    }
    if (isFinished(effects.row.status)) {
      counters.instancesFinished += 1;
      this.#live.remove(instance.row.id);
    }
    counters.activitiesScheduled += effects.activities.length;
    counters.instancesStarted += effects.startedIds.length;
    this.#activities.enqueue(effects.activities);
    for (const id of effects.startedIds) this.#wake(id);
    for (const { instanceId, message } of effects.messages) this.#receive(instanceId, message);
    if (effects.firstTimerMs !== null) this.#timers.arm(effects.firstTimerMs);
  }

  async #invokeOrchestrator(
    instance: LiveInstance,
    params: { pastText: string; newEvents: readonly HistoryEvent[] },
  ): Promise<OrchestratorRun> {
    const { row } = instance;
    const fn = this.#params.orchestrators.get(row.name);
    if (fn === undefined) {
      return {
        answer: null,
        failureMessage: `No orchestrator function named '${row.name}' is registered.`,
        sdk: readSdkState(undefined),
        unyieldedCalls: [],
      };
    }
    const triggerData = renderTurn({
      pastText: params.pastText,
      newText: params.newEvents.map((event) => renderEvent(event, false)).join(','),
      inputText: row.input,
      instanceId: row.id,
      parentInstanceId: row.parent?.instanceId ?? null,
    });
    const watch = new CallWatch();
    const onContext = (context: unknown) => watch.attach(context);
    try {
      const { response, context } = await this.#params.invoker.invoke(fn, { triggerData, onContext });
      return {
        answer: readAnswer(response.returnValue),
        failureMessage: '',
        sdk: readSdkState(context),
        unyieldedCalls: watch.findUnyielded(),
      };
    } catch (error) {
      const failureMessage = error instanceof Error ? error.message : String(error);
      const sdk = readSdkState(contextOfFailure(error));
      return { answer: readFailure(error), failureMessage, sdk, unyieldedCalls: [] };
    }
  }

  async #completeActivity(row: ActivityRow, event: string): Promise<void> {
    let message: InboxMessage | null = null;
    await this.#store.write(() => {
      if (!this.#store.deleteActivity(row)) return;
      message = this.#store.insertMessage({
        instanceId: row.instanceId,
        executionId: row.executionId,
        event,
      });
    });
    if (message !== null) this.#receive(row.instanceId, message);
  }

  async #fireTimers(due: readonly TimerRow[]): Promise<void> {
    const sent: { instanceId: string; message: InboxMessage }[] = [];
    await this.#store.write(() => {
      for (const row of due) {
        this.#store.deleteTimer(row);
        const { instanceId, executionId, taskId, fireAtMs } = row;
        const FireAt = new Date(fireAtMs).toISOString();
        const event = JSON.stringify({
          EventType: eventTypes.timerFired,
          EventId: -1,
          TimerId: taskId,
          FireAt,
        });
        const message = this.#store.insertMessage({ instanceId, executionId, event });
        if (message !== null) sent.push({ instanceId, message });
      }
    });
    for (const { instanceId, message } of sent) this.#receive(instanceId, message);
  }

  #log(level: LogLevel, message: string): void {
    this.#params.logger.log({ level, category: 'durable', message });
  }
}

/** What the app has handed over in an event. Inputs of activities are in none. */
function payloadsOf({ Input, Result }: HistoryEvent): readonly unknown[] {
  return [Input, Result];
}

function noteLengths(counters: DurableCounters, historyBytes: number, payloads: readonly unknown[]): void {
  counters.longestHistoryBytes = Math.max(counters.longestHistoryBytes, historyBytes);
  for (const payload of payloads) {
    if (typeof payload !== 'string') continue;
    counters.longestPayloadBytes = Math.max(counters.longestPayloadBytes, Buffer.byteLength(payload));
  }
}
