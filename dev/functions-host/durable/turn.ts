import type { CachedHistory } from './instances.ts';
import { type Decision, type ReplayOutcome, replay } from './replay.ts';
import type { InboxMessage, InstanceRow } from './store.ts';
import {
  actionTypes,
  eventTypes,
  type HistoryEvent,
  type OrchestratorAnswer,
  type SdkState,
  toJsonText,
  toReplayEvent,
} from './wire-v3.ts';

/** Most UTF-16 bytes of a custom status. */
const customStatusLimitBytes = 16 * 1024;
const actionLimit = 100_000;

/** What the orchestrator function did in one turn. */
export interface OrchestratorRun {
  /** Null when the SDK itself failed. */
  readonly answer: OrchestratorAnswer | null;
  readonly failureMessage: string;
  readonly sdk: SdkState;
  /** Functions that were called without a yield; empty when the orchestrator threw. */
  readonly unyieldedCalls: readonly string[];
}

export type TurnResult =
  | { readonly kind: 'running' }
  | { readonly kind: 'finished'; readonly status: 'Completed' | 'Failed'; readonly output: string | null }
  | {
      readonly kind: 'continueAsNew';
      readonly input: string | null;
      readonly carried: readonly InboxMessage[];
    };

/** What one turn leads to; nothing of it is done yet. */
export interface TurnPlan {
  readonly result: TurnResult;
  readonly customStatus: string | null;
  readonly decisions: readonly Decision[];
  /** Why the instance fails although its orchestrator did not; for the log. */
  readonly refusal: string | null;
  /** Something that will differ from what its author expects, without being wrong. */
  readonly warning: string | null;
}

export interface FunctionNames {
  readonly activities: ReadonlySet<string>;
  readonly orchestrators: ReadonlySet<string>;
}

/** Works out the consequences of an orchestrator's answer. `messages[i]` is what `newEvents[i + 1]` came from. */
export function planTurn(params: {
  readonly row: InstanceRow;
  readonly history: CachedHistory;
  readonly newEvents: readonly HistoryEvent[];
  readonly messages: readonly InboxMessage[];
  readonly run: OrchestratorRun;
  readonly known: FunctionNames;
}): TurnPlan {
  const { row, history, run, known } = params;
  const { answer } = run;
  if (answer === null) return refuse(row, run.failureMessage);
  const outcome = replay({
    events: history.events.concat(params.newEvents.map(toReplayEvent)),
    actions: answer.actions,
    isKnownActivity: (name) => known.activities.has(name),
    isKnownOrchestrator: (name) => known.orchestrators.has(name),
  });
  const refusal = findRefusal({ outcome, answer, run, known });
  if (refusal !== null) return refuse(row, refusal);
  const customStatus = toJsonText(answer.customStatus);
  if (customStatus !== null && customStatus.length * 2 > customStatusLimitBytes) {
    return refuse(
      row,
      `The custom status is longer than ${customStatusLimitBytes} bytes of UTF-16. Make it smaller.`,
    );
  }
  return {
    result: findResult({
      row,
      outcome,
      answer,
      messages: params.messages,
      pastEvents: history.events.length,
    }),
    customStatus,
    decisions: outcome.decisions,
    refusal: null,
    warning: findWarning({ outcome, answer }),
  };
}

function refuse(row: InstanceRow, message: string): TurnPlan {
  const output = JSON.stringify(`Orchestrator function '${row.name}' failed: ${message}`);
  return {
    result: { kind: 'finished', status: 'Failed', output },
    customStatus: row.customStatus,
    decisions: [],
    refusal: message,
    warning: null,
  };
}

function findResult(params: {
  row: InstanceRow;
  outcome: ReplayOutcome;
  answer: OrchestratorAnswer;
  messages: readonly InboxMessage[];
  pastEvents: number;
}): TurnResult {
  const { row, outcome, answer } = params;
  if (!outcome.isSettled) return { kind: 'running' };
  if (outcome.continueAsNew !== null) {
    // The first new event is the turn's own start and came from no message.
    const firstMessage = Math.max(0, outcome.continueAsNew.fromEventIndex - params.pastEvents - 1);
    const carried = params.messages.slice(firstMessage).filter((each) => isRaisedEvent(each));
    return { kind: 'continueAsNew', input: toJsonText(outcome.continueAsNew.input), carried };
  }
  if (answer.error !== undefined) {
    const output = JSON.stringify(`Orchestrator function '${row.name}' failed: ${answer.error}`);
    return { kind: 'finished', status: 'Failed', output };
  }
  if (!answer.isDone) return { kind: 'running' };
  return { kind: 'finished', status: 'Completed', output: toJsonText(answer.output) };
}

function isRaisedEvent(message: InboxMessage): boolean {
  return message.event.startsWith(`{"EventType":${eventTypes.eventRaised},`);
}

/** Patterns that hang or go wrong in Azure end the instance here, with the remedy. */
function findRefusal(params: {
  outcome: ReplayOutcome;
  answer: OrchestratorAnswer;
  run: OrchestratorRun;
  known: FunctionNames;
}): string | null {
  const { outcome, answer, run, known } = params;
  const { problem } = outcome;
  if (problem?.kind === 'unknownFunction') {
    const names = (of: ReadonlySet<string>) => [...of].sort().join(', ') || 'none';
    return (
      `${problem.message} In Azure the instance would stay Running for ever. Registered activities: ` +
      `${names(known.activities)}. Registered orchestrators: ${names(known.orchestrators)}.`
    );
  }
  if (problem !== null) return problem.message;
  const endedSilently = !answer.didThrow && !answer.isDone && run.sdk.waitsForNothing;
  if (endedSilently || (answer.didThrow && answer.error === undefined)) {
    return (
      'The orchestrator threw an error without a message, or something that is no Error. durable-functions loses it, ' +
      'and the instance would stay Running for ever in Azure. Throw an Error with a message.'
    );
  }
  const misuse = findMisuse({ answer, run });
  if (misuse !== null) return misuse;
  if (outcome.decisions.length > actionLimit) {
    return `The orchestrator scheduled more than ${actionLimit} actions in one turn. Split it into sub-orchestrations.`;
  }
  return findCounterRefusal({ outcome, answer, sdkCount: run.sdk.sequenceNumber });
}

function findMisuse({ answer, run }: { answer: OrchestratorAnswer; run: OrchestratorRun }): string | null {
  if (answer.isDone && run.unyieldedCalls.length > 0) {
    return (
      `The orchestrator called ${run.unyieldedCalls.map((name) => `'${name}'`).join(', ')} and never yielded the task, ` +
      'so it never runs, in Azure neither: there is no fire and forget for activities and sub-orchestrations. ' +
      'Yield the task, alone or in Task.all.'
    );
  }
  const next = answer.actions.find(({ actionType }) => actionType === actionTypes.continueAsNew);
  if (typeof next?.input === 'string') {
    return (
      `continueAsNew was given text: the next execution gets it quoted once more (${next.input}). ` +
      'Give it an object.'
    );
  }
  return null;
}

function findCounterRefusal(params: {
  outcome: ReplayOutcome;
  answer: OrchestratorAnswer;
  sdkCount: number | undefined;
}): string | null {
  const { outcome, answer, sdkCount = outcome.sequenceNumber } = params;
  const counts = `The host counted ${outcome.sequenceNumber} tasks, durable-functions ${sdkCount}.`;
  const isBehind = outcome.unreadActions > 0;
  if (isBehind && outcome.waitsBehindFailure) {
    if (!outcome.mayTakeIds) return null;
    return (
      `${counts} The orchestrator went on after a failure inside Task.all while other children may still retry: ` +
      'results can reach the wrong task. Let activities return their errors as data, or wrap each unit.'
    );
  }
  if (!isBehind && sdkCount === outcome.sequenceNumber) return null;
  if (outcome.continueAsNew !== null && sdkCount > outcome.sequenceNumber) {
    return `${counts} A task was yielded after continueAsNew: it never runs. Return after continueAsNew.`;
  }
  // Once the orchestrator has ended, children of its last Task.all may go on retrying; nobody waits for them.
  const hasEnded = answer.isDone || answer.error !== undefined;
  if (!isBehind && hasEnded && outcome.sequenceNumber > sdkCount) return null;
  return (
    `${counts} A task that was yielded before is yielded again inside a new Task.any or Task.all (a sliding window): ` +
    'Azure runs such tasks again and again. Use Task.all over chunks, or sub-orchestrations as lanes.'
  );
}

function findWarning(params: { outcome: ReplayOutcome; answer: OrchestratorAnswer }): string | null {
  const { outcome, answer } = params;
  const isAhead =
    outcome.unreadActions > 0 || ((answer.isDone || answer.error !== undefined) && !outcome.isSettled);
  if (!isAhead) return null;
  return (
    'The orchestrator went on after the first failure inside Task.all; what it does next starts only when every ' +
    'other child has ended. Let activities return their errors as data.'
  );
}

/** Events that record a turn's decisions. */
export function toDecisionEvents(params: {
  readonly row: InstanceRow;
  readonly decisions: readonly Decision[];
  readonly timestamp: string;
}): HistoryEvent[] {
  return params.decisions.map(({ id, kind, name, action, fireAtMs }) => {
    const common = { EventId: id, Timestamp: params.timestamp };
    switch (kind) {
      case 'activity':
        return { EventType: eventTypes.taskScheduled, ...common, Name: name, Version: null, Input: null };
      case 'subOrchestration':
        return {
          EventType: eventTypes.subOrchestrationCreated,
          ...common,
          Name: name,
          InstanceId: childInstanceId(params.row, { id, action }),
          Version: action.version ?? null,
          Input: toJsonText(action.input),
        };
      case 'timer':
        return { EventType: eventTypes.timerCreated, ...common, FireAt: new Date(fireAtMs).toISOString() };
      default:
        throw new Error(`Unknown decision ${String(kind)}.`);
    }
  });
}

/** The event that records an execution's end; none while it goes on. */
export function toEndEvents(plan: TurnPlan, timestamp: string): HistoryEvent[] {
  const { result } = plan;
  if (result.kind !== 'finished') return [];
  return [
    {
      EventType: eventTypes.executionCompleted,
      EventId: -1,
      Timestamp: timestamp,
      OrchestrationStatus: result.status,
      Result: result.output,
    },
  ];
}

/** Id of a sub-orchestration: the one it was given, else made of the parent's execution and the task's id. */
export function childInstanceId(row: InstanceRow, decision: Pick<Decision, 'id' | 'action'>): string {
  return decision.action.instanceId || `${row.executionId}:${decision.id}`;
}
