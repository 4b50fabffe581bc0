import type { InstanceRow } from './store.ts';
import { eventTypes, type HistoryEvent } from './wire-v3.ts';

/** An instance as status queries show it. Absent values are null, never missing: the client insists on the keys. */
export function renderStatus(
  row: InstanceRow,
  params: { readonly showInput: boolean; readonly historyEvents?: unknown[] },
): Record<string, unknown> {
  return {
    name: row.name,
    instanceId: row.id,
    runtimeStatus: row.status,
    input: params.showInput ? parseOrText(row.input) : null,
    customStatus: parseOrText(row.customStatus),
    output: parseOrText(row.output),
    createdTime: renderTime(row.createdMs),
    lastUpdatedTime: renderTime(row.updatedMs),
    ...(params.historyEvents === undefined ? {} : { historyEvents: params.historyEvents }),
  };
}

/** History for people: one entry per piece of work, with the time it was scheduled and the time it ended. */
export function renderHistory(
  events: readonly HistoryEvent[],
  params: { readonly showOutput: boolean; readonly showInput: boolean },
): unknown[] {
  const scheduled = new Map<number, HistoryEvent>();
  const shown: Record<string, unknown>[] = [];
  for (const event of events) {
    const { EventType: type } = event;
    if (type === eventTypes.orchestratorStarted || type === eventTypes.orchestratorCompleted) continue;
    if (isScheduling(type)) {
      scheduled.set(event.EventId, event);
      continue;
    }
    const id = event.TaskScheduledId ?? event.TimerId;
    const origin = typeof id === 'number' ? scheduled.get(id) : undefined;
    if (origin !== undefined) scheduled.delete(origin.EventId);
    shown.push(renderShown({ event, origin, ...params }));
  }
  for (const event of scheduled.values()) shown.push(renderShown({ event, origin: undefined, ...params }));
  return shown;
}

function isScheduling(type: number): boolean {
  return (
    type === eventTypes.taskScheduled ||
    type === eventTypes.subOrchestrationCreated ||
    type === eventTypes.timerCreated
  );
}

const hiddenFields = new Set([
  'EventType',
  'EventId',
  'IsPlayed',
  'TaskScheduledId',
  'TimerId',
  'Result',
  'Input',
]);

function renderShown(params: {
  event: HistoryEvent;
  origin: HistoryEvent | undefined;
  showOutput: boolean;
  showInput: boolean;
}): Record<string, unknown> {
  const { event, origin } = params;
  const { EventType, Result, Input } = event;
  const rest = Object.fromEntries(Object.entries(event).filter(([name]) => !hiddenFields.has(name)));
  return {
    EventType: nameOf(EventType),
    ...rest,
    ...(params.showOutput && Result !== undefined ? { Result: parseOrText(Result as string | null) } : {}),
    ...(params.showInput && Input !== undefined ? { Input: parseOrText(Input as string | null) } : {}),
    ...(origin === undefined ? {} : { ScheduledTime: origin.Timestamp }),
    ...(typeof origin?.Name === 'string' ? { FunctionName: origin.Name } : {}),
  };
}

const eventNames = new Map<number, string>([
  [eventTypes.executionStarted, 'ExecutionStarted'],
  [eventTypes.executionCompleted, 'ExecutionCompleted'],
  [eventTypes.executionTerminated, 'ExecutionTerminated'],
  [eventTypes.taskScheduled, 'TaskScheduled'],
  [eventTypes.taskCompleted, 'TaskCompleted'],
  [eventTypes.taskFailed, 'TaskFailed'],
  [eventTypes.subOrchestrationCreated, 'SubOrchestrationInstanceCreated'],
  [eventTypes.subOrchestrationCompleted, 'SubOrchestrationInstanceCompleted'],
  [eventTypes.subOrchestrationFailed, 'SubOrchestrationInstanceFailed'],
  [eventTypes.timerCreated, 'TimerCreated'],
  [eventTypes.timerFired, 'TimerFired'],
  [eventTypes.eventRaised, 'EventRaised'],
]);

function nameOf(type: number): string {
  return eventNames.get(type) ?? String(type);
}

function parseOrText(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

// Whole seconds, cut, as the extension writes them.
function renderTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
