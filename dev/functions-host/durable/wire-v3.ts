import type { RpcTypedData } from '../rpc.ts';

/**
 * The wire between the Durable extension and durable-functions 3.x: JSON texts, replay schema "V3".
 * The next major speaks gRPC instead; everything that would change then is in this file.
 */

/** Numbers of history events as the SDK reads them. */
export const eventTypes = {
  executionStarted: 0,
  executionCompleted: 1,
  executionTerminated: 3,
  taskScheduled: 4,
  taskCompleted: 5,
  taskFailed: 6,
  subOrchestrationCreated: 7,
  subOrchestrationCompleted: 8,
  subOrchestrationFailed: 9,
  timerCreated: 10,
  timerFired: 11,
  orchestratorStarted: 12,
  orchestratorCompleted: 13,
  eventRaised: 15,
  executionSuspended: 19,
  executionResumed: 20,
} as const;

/** A history event without `IsPlayed`, which depends on who reads it when. */
export interface HistoryEvent {
  readonly EventType: number;
  /** Sequence id on scheduling events, -1 on all others. */
  readonly EventId: number;
  readonly Timestamp: string;
  readonly [field: string]: unknown;
}

/** The part of an event that replay needs; results and inputs are left out. */
export interface ReplayEvent {
  readonly type: number;
  readonly eventId: number;
  readonly timestampMs: number;
  /** TaskScheduledId or TimerId of a completion. */
  readonly taskId: number;
  readonly name: string;
  readonly isNonRetriable: boolean;
}

/** Numbers of the SDK's actions. */
export const actionTypes = {
  callActivity: 0,
  callActivityWithRetry: 1,
  callSubOrchestrator: 2,
  callSubOrchestratorWithRetry: 3,
  continueAsNew: 4,
  createTimer: 5,
  waitForExternalEvent: 6,
  whenAny: 11,
  whenAll: 12,
} as const;

export interface RetryOptions {
  readonly firstRetryIntervalInMilliseconds: number;
  readonly maxNumberOfAttempts: number;
  readonly backoffCoefficient?: number;
  readonly maxRetryIntervalInMilliseconds?: number;
  readonly retryTimeoutInMilliseconds?: number;
}

/** One action as the SDK sends it; which fields are set depends on `actionType`. */
export interface Action {
  readonly actionType: number;
  readonly functionName?: string;
  readonly instanceId?: string;
  readonly version?: string;
  readonly input?: unknown;
  readonly retryOptions?: RetryOptions;
  readonly fireAt?: string;
  readonly isCanceled?: boolean;
  readonly externalEventName?: string;
  readonly compoundActions?: readonly Action[];
}

/** What the SDK answered for one turn. */
export interface OrchestratorAnswer {
  readonly isDone: boolean;
  readonly actions: readonly Action[];
  readonly output: unknown;
  readonly customStatus: unknown;
  /** Message of what the orchestrator threw; undefined when it threw nothing. */
  readonly error: string | undefined;
  /** True when the handler threw, whether or not an error text came across. */
  readonly didThrow: boolean;
}

const outOfProcLabel = '\n\n$OutOfProcData$:';

/** Who started a sub-orchestration. */
export interface ParentLink {
  readonly instanceId: string;
  readonly executionId: string;
  readonly name: string;
  readonly taskId: number;
}

/** JSON text of an event with its `IsPlayed` flag. */
export function renderEvent(event: HistoryEvent, isPlayed: boolean): string {
  return `{"IsPlayed":${isPlayed},${JSON.stringify(event).slice(1)}`;
}

export function toReplayEvent(event: HistoryEvent): ReplayEvent {
  const taskId = event.TaskScheduledId ?? event.TimerId ?? -1;
  const details = event.FailureDetails as { IsNonRetriable?: boolean } | undefined | null;
  return {
    type: event.EventType,
    eventId: event.EventId,
    timestampMs: Date.parse(event.Timestamp),
    taskId: Number(taskId),
    name: typeof event.Name === 'string' ? event.Name : '',
    isNonRetriable: details?.IsNonRetriable === true,
  };
}

/** Trigger payload of one orchestrator turn; `pastText` and `newText` are comma-joined events. */
export function renderTurn(params: {
  readonly pastText: string;
  readonly newText: string;
  readonly inputText: string | null;
  readonly instanceId: string;
  readonly parentInstanceId: string | null;
}): RpcTypedData {
  const { pastText, newText } = params;
  const separator = pastText === '' ? '' : ',';
  const string =
    `{"history":[${pastText}${separator}${newText}],"input":${params.inputText ?? 'null'},` +
    `"instanceId":${JSON.stringify(params.instanceId)},"isReplaying":${pastText !== ''},` +
    `"parentInstanceId":${JSON.stringify(params.parentInstanceId)},"upperSchemaVersion":1,"upperSchemaVersionNew":2,` +
    // "Millseconds" is how the wire spells it.
    '"longRunningTimerIntervalDuration":"3.00:00:00","maximumShortTimerDuration":"6.00:00:00",' +
    '"defaultHttpAsyncRequestSleepTimeMillseconds":30000}';
  return { string };
}

/** @throws when the answer is not what durable-functions 3 sends */
export function readAnswer(returnValue: RpcTypedData | null | undefined): OrchestratorAnswer {
  if (typeof returnValue?.json !== 'string') {
    throw new Error('The orchestrator returned no durable state. Register it with df.app.orchestration.');
  }
  return toAnswer(JSON.parse(returnValue.json) as Record<string, unknown>, false);
}

/** Reads the state that the SDK hides in the message of a failure; null when the SDK itself failed. */
export function readFailure(error: unknown): OrchestratorAnswer | null {
  const message = error instanceof Error ? error.message : String(error);
  const at = message.indexOf(outOfProcLabel);
  if (at < 0) return null;
  return toAnswer(JSON.parse(message.slice(at + outOfProcLabel.length)) as Record<string, unknown>, true);
}

function toAnswer(state: Record<string, unknown>, didThrow: boolean): OrchestratorAnswer {
  const lists = (state.actions ?? []) as Action[][];
  if (state.schemaVersion === 0)
    throw new Error('Replay schema V1 is not supported. Use durable-functions 3.');
  return {
    isDone: state.isDone === true,
    actions: lists.length === 1 ? (lists[0] ?? []) : lists.flat(),
    output: state.output,
    customStatus: state.customStatus,
    error: typeof state.error === 'string' ? state.error : undefined,
    didThrow,
  };
}

/** What the SDK knows of a turn and does not send. */
export interface SdkState {
  /** Its own count of tasks; undefined when another SDK version hides it. */
  readonly sequenceNumber: number | undefined;
  /** The task that it waits for has ended already: the orchestrator threw `undefined`, and nothing will wake it. */
  readonly waitsForNothing: boolean;
}

/** Reads the SDK's state off the handler's context: private there, but readable. */
export function readSdkState(context: unknown): SdkState {
  const executor = (context as { df?: { taskOrchestratorExecutor?: Record<string, unknown> } } | undefined)
    ?.df?.taskOrchestratorExecutor;
  const count = executor?.sequenceNumber;
  const task = executor?.currentTask as { hasResult?: unknown } | undefined;
  return {
    sequenceNumber: typeof count === 'number' ? count : undefined,
    waitsForNothing: task?.hasResult === true,
  };
}

/** Activity input as the worker gets it: text goes as it came (the SDK has quoted it), all else as JSON. */
export function toActivityData(input: unknown): RpcTypedData {
  if (input === undefined || input === null) return {};
  return { string: typeof input === 'string' ? input : JSON.stringify(input) };
}

/** JSON text of what an activity returned, or null for nothing. */
export function toResultText(value: RpcTypedData | null | undefined): string | null {
  if (value === undefined || value === null) return null;
  if (value.string !== undefined) return JSON.stringify(value.string);
  if (value.json !== undefined) return value.json;
  if (value.bytes !== undefined) return JSON.stringify(Buffer.from(value.bytes).toString('base64'));
  const number = value.int ?? value.double;
  return number === undefined ? null : JSON.stringify(number);
}

/** Fields of a TaskFailed event; both texts must be there, else the SDK gives up on the orchestration. */
export function toTaskFailure(name: string, error: unknown): Record<string, unknown> {
  const message =
    error instanceof Error ? error.message : typeof error === 'string' ? error : JSON.stringify(error);
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const details = readExceptionProperties(message);
  return {
    Reason: `Activity function '${name}' failed: ${details?.ErrorMessage ?? message ?? 'undefined'}`,
    Details: JSON.stringify({ Message: String(message), StackTraceString: stack }),
    ...(details === null ? {} : { FailureDetails: details }),
  };
}

// An app with an exception properties provider throws its failure details as the message's JSON.
function readExceptionProperties(message: string | undefined): Record<string, unknown> | null {
  if (message?.startsWith('{') !== true || !message.includes('"errorType"')) return null;
  try {
    return toFailureDetails(JSON.parse(message) as Record<string, unknown>);
  } catch {
    return null;
  }
}

function toFailureDetails(value: Record<string, unknown>): Record<string, unknown> | null {
  if (typeof value.errorType !== 'string' || typeof value.errorMessage !== 'string') return null;
  const inner = value.innerFailure as Record<string, unknown> | undefined;
  return {
    ErrorType: value.errorType,
    ErrorMessage: value.errorMessage,
    StackTrace: value.stackTrace ?? null,
    IsNonRetriable: value.isNonRetriable === true,
    Properties: value.properties ?? null,
    InnerFailure: inner ? toFailureDetails(inner) : null,
  };
}

/** JSON text of a value, null for nothing. */
export function toJsonText(value: unknown): string | null {
  return value === undefined || value === null ? null : (JSON.stringify(value) ?? null);
}
