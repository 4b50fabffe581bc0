import { newExecutionId } from './execution-id.ts';
import { renderStarted } from './inbox.ts';
import type { LiveInstance } from './instances.ts';
import type { Decision } from './replay.ts';
import type { ActivityRow, DurableStore, InboxMessage, InstanceRow } from './store.ts';
import { childInstanceId, type TurnPlan } from './turn.ts';
import { eventTypes, toJsonText } from './wire-v3.ts';

/** What is to be done once a turn is on disk. */
export interface TurnEffects {
  /** The instance after the turn. */
  readonly row: InstanceRow;
  /** Messages that come before all others: the start of the next execution; null when there is none. */
  readonly front: readonly InboxMessage[] | null;
  readonly activities: readonly ActivityRow[];
  readonly startedIds: readonly string[];
  readonly messages: readonly { readonly instanceId: string; readonly message: InboxMessage }[];
  readonly firstTimerMs: number | null;
}

interface CommitParams {
  readonly store: DurableStore;
  readonly instance: LiveInstance;
  readonly consumed: readonly InboxMessage[];
  /** Null when only suspend, resume or stale messages were taken. */
  readonly plan: TurnPlan | { readonly terminateReason: string } | null;
  readonly turnText: string | null;
  readonly turn: number;
  readonly nowMs: number;
}

/** Writes everything that a turn led to in one transaction. */
export async function commitTurn(params: CommitParams): Promise<TurnEffects> {
  let effects: TurnEffects | undefined;
  await params.store.write(() => {
    params.store.deleteMessages(params.consumed);
    effects = write(params);
  });
  return effects as TurnEffects;
}

function write(params: CommitParams): TurnEffects {
  const { plan, instance, nowMs } = params;
  const { row } = instance;
  if (plan === null) {
    const status = instance.isSuspended ? 'Suspended' : row.status === 'Suspended' ? 'Running' : row.status;
    return keep(params, { ...row, status, updatedMs: nowMs });
  }
  if ('terminateReason' in plan) {
    return finish(params, { ...row, status: 'Terminated', output: JSON.stringify(plan.terminateReason) });
  }
  const { result, customStatus } = plan;
  if (result.kind === 'continueAsNew') return startNext(params, { plan, result });
  const work = dispatch(params, plan.decisions);
  appendTurn(params);
  if (result.kind === 'finished') {
    const ended = finish(params, { ...row, status: result.status, output: result.output, customStatus });
    return { ...work, row: ended.row, firstTimerMs: null, messages: [...work.messages, ...ended.messages] };
  }
  const status = instance.isSuspended ? 'Suspended' : 'Running';
  return { ...work, row: keep(params, { ...row, status, customStatus, updatedMs: nowMs }).row };
}

function appendTurn(params: CommitParams): void {
  const { id: instanceId, executionId } = params.instance.row;
  if (params.turnText === null) return;
  params.store.insertTurn({ instanceId, executionId, turn: params.turn, events: params.turnText });
}

function keep(params: CommitParams, row: InstanceRow): TurnEffects {
  params.store.upsertInstance(row);
  return { row, front: null, activities: [], startedIds: [], messages: [], firstTimerMs: null };
}

function finish(params: CommitParams, ended: InstanceRow): TurnEffects {
  const row = { ...ended, updatedMs: params.nowMs };
  const { store } = params;
  store.upsertInstance(row);
  store.deleteInbox(row.id);
  store.deleteTimers(row.id, row.executionId);
  const { parent } = row;
  const messages: { instanceId: string; message: InboxMessage }[] = [];
  if (parent !== null) {
    const event = renderChildEnd(row, parent.taskId);
    const { instanceId, executionId } = parent;
    const message = store.insertMessage({ instanceId, executionId, event });
    if (message !== null) messages.push({ instanceId, message });
  }
  return { row, front: null, activities: [], startedIds: [], messages, firstTimerMs: null };
}

function renderChildEnd(row: InstanceRow, taskId: number): string {
  const common = { EventId: -1, TaskScheduledId: taskId };
  if (row.status === 'Completed') {
    return JSON.stringify({ EventType: eventTypes.subOrchestrationCompleted, ...common, Result: row.output });
  }
  const reason: unknown = row.output === null ? row.status : JSON.parse(row.output);
  return JSON.stringify({
    EventType: eventTypes.subOrchestrationFailed,
    ...common,
    Reason: String(reason),
    Details: `The sub-orchestrator function '${row.name}' ended as ${row.status}.`,
  });
}

function startNext(
  params: CommitParams,
  next: { plan: TurnPlan; result: Extract<TurnPlan['result'], { kind: 'continueAsNew' }> },
): TurnEffects {
  const { store, instance, nowMs } = params;
  const { plan, result } = next;
  const work = dispatch(params, plan.decisions);
  const { id, name, version, parent } = instance.row;
  const executionId = newExecutionId();
  store.deleteHistory(id);
  store.deleteTimers(id, instance.row.executionId);
  const row: InstanceRow = {
    ...instance.row,
    executionId,
    input: result.input,
    status: instance.isSuspended ? 'Suspended' : 'Running',
    customStatus: plan.customStatus,
    createdMs: nowMs,
    updatedMs: nowMs,
  };
  store.upsertInstance(row);
  const started = renderStarted({ id, executionId, name, version, input: result.input, parent });
  const events = [started, ...result.carried.map((each) => each.event)];
  const firstPosition = instance.firstPosition - events.length;
  instance.firstPosition = firstPosition;
  const front = events.map((event, index) => {
    const target = index === 0 ? executionId : null;
    const message = store.insertMessage({
      instanceId: id,
      executionId: target,
      event,
      position: firstPosition + index,
    });
    return message as InboxMessage;
  });
  return { ...work, row, front, firstTimerMs: null };
}

/** Stores new activities, timers and sub-orchestrations. */
function dispatch(params: CommitParams, decisions: readonly Decision[]): TurnEffects {
  const { store, instance, nowMs } = params;
  const { row } = instance;
  const activities: ActivityRow[] = [];
  const startedIds: string[] = [];
  const messages: { instanceId: string; message: InboxMessage }[] = [];
  let firstTimerMs: number | null = null;
  for (const decision of decisions) {
    const common = { instanceId: row.id, executionId: row.executionId, taskId: decision.id };
    if (decision.kind === 'activity') {
      const activity = { ...common, name: decision.name, input: toJsonText(decision.action.input) };
      store.insertActivity(activity);
      activities.push(activity);
    } else if (decision.kind === 'timer') {
      store.insertTimer({ ...common, fireAtMs: decision.fireAtMs });
      firstTimerMs = Math.min(firstTimerMs ?? decision.fireAtMs, decision.fireAtMs);
    } else {
      const childId = childInstanceId(row, decision);
      const isStarted = startChild({ store, row, decision, childId, nowMs });
      if (isStarted) startedIds.push(childId);
      else messages.push(...refuseChild({ store, row, decision, childId }));
    }
  }
  return { row, front: null, activities, startedIds, messages, firstTimerMs };
}

function startChild(params: {
  store: DurableStore;
  row: InstanceRow;
  decision: Decision;
  childId: string;
  nowMs: number;
}): boolean {
  const { store, row, decision, childId: id, nowMs } = params;
  const executionId = newExecutionId();
  const parent = { instanceId: row.id, executionId: row.executionId, name: row.name, taskId: decision.id };
  const start = {
    id,
    executionId,
    name: decision.name,
    version: decision.action.version ?? null,
    input: toJsonText(decision.action.input),
    parent,
  };
  return store.insertInstance(
    { ...start, status: 'Pending', output: null, customStatus: null, createdMs: nowMs, updatedMs: nowMs },
    renderStarted(start),
  );
}

function refuseChild(params: { store: DurableStore; row: InstanceRow; decision: Decision; childId: string }) {
  const { store, row, decision, childId } = params;
  const event = JSON.stringify({
    EventType: eventTypes.subOrchestrationFailed,
    EventId: -1,
    TaskScheduledId: decision.id,
    Reason: `An instance with id '${childId}' is running already.`,
    Details: `The sub-orchestrator function '${decision.name}' was not started.`,
  });
  const message = store.insertMessage({ instanceId: row.id, executionId: row.executionId, event });
  return message === null ? [] : [{ instanceId: row.id, message }];
}
