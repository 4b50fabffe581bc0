import { isControl, type LiveInstance } from './instances.ts';
import type { InboxMessage } from './store.ts';
import { eventTypes, type ParentLink } from './wire-v3.ts';

/** What a turn took out of an inbox. */
export interface TakenMessages {
  /** Events for the orchestrator, in order of arrival. */
  readonly messages: readonly InboxMessage[];
  /** All that was taken, with what is used up without an event: stale completions, suspend, resume. */
  readonly consumed: readonly InboxMessage[];
  /** Set when the instance is to be terminated; nothing else counts then. */
  readonly terminateReason: string | null;
}

/** Hands a message over that is in the store. One that was read with the instance is in its inbox already. */
export function putIntoInbox(instance: LiveInstance, message: InboxMessage): void {
  if (message.seq <= instance.loadedSeq) return;
  instance.inbox.push(message);
  if (isControl(message)) instance.controlMessages += 1;
}

/** Takes the messages of one turn, at most `limit` events; while suspended, events stay where they are. */
export function takeMessages(instance: LiveInstance, limit: number): TakenMessages {
  const consumed: InboxMessage[] = [];
  const terminateReason = takeControl(instance, consumed);
  if (terminateReason !== null || instance.isSuspended) return { messages: [], consumed, terminateReason };
  const messages: InboxMessage[] = [];
  let index = 0;
  for (; index < instance.inbox.length && messages.length < limit; index += 1) {
    const message = instance.inbox[index] as InboxMessage;
    consumed.push(message);
    const isStale = message.executionId !== null && message.executionId !== instance.row.executionId;
    if (!isStale) messages.push(message);
  }
  instance.inbox = instance.inbox.slice(index);
  return { messages, consumed, terminateReason };
}

/** Suspend, resume and terminate act before the events that wait beside them. */
function takeControl(instance: LiveInstance, consumed: InboxMessage[]): string | null {
  if (instance.controlMessages === 0) return null;
  let terminateReason: string | null = null;
  for (const message of instance.inbox) {
    if (!isControl(message)) continue;
    consumed.push(message);
    terminateReason ??= applyControl(instance, message);
  }
  instance.inbox = instance.inbox.filter((each) => !isControl(each));
  instance.controlMessages = 0;
  return terminateReason;
}

function applyControl(instance: LiveInstance, message: InboxMessage): string | null {
  const event = JSON.parse(message.event) as { EventType: number; Input?: string };
  if (event.EventType === eventTypes.executionTerminated) return event.Input ?? '';
  instance.isSuspended = event.EventType === eventTypes.executionSuspended;
  return null;
}

/** JSON text of the event that starts an execution. */
export function renderStarted(params: {
  id: string;
  executionId: string;
  name: string;
  version: string | null;
  input: string | null;
  parent: ParentLink | null;
}): string {
  const { id, executionId, name, version, input, parent } = params;
  return JSON.stringify({
    EventType: eventTypes.executionStarted,
    EventId: -1,
    Name: name,
    Version: version,
    Input: input,
    Tags: null,
    OrchestrationInstance: { InstanceId: id, ExecutionId: executionId },
    ParentInstance:
      parent === null
        ? null
        : {
            Name: parent.name,
            OrchestrationInstance: { InstanceId: parent.instanceId, ExecutionId: parent.executionId },
            TaskScheduleId: parent.taskId,
          },
  });
}
