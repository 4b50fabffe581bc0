import {
  describeBadTimer,
  describeNonDeterminism,
  describeNonRetriable,
  describeRetryingLoser,
  describeRetryTimeout,
  describeUnknown,
  describeUnsupported,
  type ReplayProblem,
} from './replay-problems.ts';
import { type Action, actionTypes, eventTypes, type ReplayEvent, type RetryOptions } from './wire-v3.ts';

const dayMs = 86_400_000;
/** Timers longer than this are made of slices. */
const longestShortTimerMs = 6 * dayMs;
const timerSliceMs = 3 * dayMs;

export type DecisionKind = 'activity' | 'subOrchestration' | 'timer';

/** Work that the orchestrator asks for and that has a sequence id. */
export interface Decision {
  readonly id: number;
  readonly kind: DecisionKind;
  /** Function name; empty for timers. */
  readonly name: string;
  readonly action: Action;
  /** Only for timers. */
  readonly fireAtMs: number;
}

export interface ReplayOutcome {
  /** How many sequence ids were given out; must equal the SDK's own count. */
  readonly sequenceNumber: number;
  /** Decisions that the history does not hold yet, in order. */
  readonly decisions: readonly Decision[];
  /** The last action is settled, so that the orchestrator's own outcome counts. */
  readonly isSettled: boolean;
  /** Actions that wait until the current one is settled. */
  readonly unreadActions: number;
  /** An unsettled child may still take sequence ids: a retry, or a timer in slices. */
  readonly mayTakeIds: boolean;
  /** The current action is an "all" that goes on after a failed child, where the SDK has gone on already. */
  readonly waitsBehindFailure: boolean;
  /** Set once continue-as-new was reached; events from `fromEventIndex` on belong to the next execution. */
  readonly continueAsNew: { readonly input: unknown; readonly fromEventIndex: number } | null;
  readonly problem: ReplayProblem | null;
}

interface Node {
  parent: Group | Attempts | LongTimer | null;
  isSettled: boolean;
  /** Failed, or is an "all" with a failed child. */
  isFailed: boolean;
  /** Child nodes, for the search of what may still take ids. */
  readonly children: Node[];
  readonly takesIds: boolean;
}

interface Group extends Node {
  readonly role: 'any' | 'all';
  unsettled: number;
}

interface Attempts extends Node {
  readonly role: 'retry';
  readonly action: Action;
  readonly options: RetryOptions;
  readonly kind: DecisionKind;
  attempt: number;
  isWaiting: boolean;
}

interface LongTimer extends Node {
  readonly role: 'longTimer';
  readonly action: Action;
  readonly fireAtMs: number;
}

export interface ReplayParams {
  /** Whole history of this execution, this turn's new events included. */
  readonly events: readonly ReplayEvent[];
  /** All actions since the start of this execution. */
  readonly actions: readonly Action[];
  readonly isKnownActivity: (name: string) => boolean;
  readonly isKnownOrchestrator: (name: string) => boolean;
}

/**
 * Runs the SDK's list of actions against the history, from scratch, as the Durable extension does on every turn.
 *
 * The wire carries no task ids: host and SDK count for themselves and must agree. This is the host's side of it,
 * with the extension's rules: "any" is settled by its first child, "all" only when every child is, failed or not.
 */
export function replay(params: ReplayParams): ReplayOutcome {
  const run = new Replay(params);
  return run.finish();
}

class Replay {
  readonly #params: ReplayParams;
  readonly #open = new Map<number, Node>();
  readonly #pending = new Map<number, Decision>();
  readonly #waiting = new Map<string, Node[]>();
  readonly #buffered = new Map<string, number>();
  readonly #retries: Attempts[] = [];
  #sequenceNumber = 0;
  #cursor = 0;
  #root: Node | null = null;
  #nowMs = 0;
  #eventIndex = 0;
  #continueAsNew: { input: unknown; fromEventIndex: number } | null = null;
  #problem: ReplayProblem | null = null;

  constructor(params: ReplayParams) {
    this.#params = params;
  }

  finish(): ReplayOutcome {
    const { events, actions } = this.#params;
    for (const event of events) {
      this.#process(event);
      this.#eventIndex += 1;
      if (this.#problem !== null) break;
    }
    const isRootSettled = this.#root === null || this.#root.isSettled;
    return {
      sequenceNumber: this.#sequenceNumber,
      decisions: [...this.#pending.values()],
      isSettled: isRootSettled && this.#cursor === actions.length,
      unreadActions: actions.length - this.#cursor,
      mayTakeIds: this.#root !== null && mayTakeIds(this.#root),
      waitsBehindFailure: this.#root !== null && waitsBehindFailure(this.#root),
      continueAsNew: this.#continueAsNew,
      problem: this.#problem,
    };
  }

  #process(event: ReplayEvent): void {
    switch (event.type) {
      case eventTypes.orchestratorStarted:
        this.#nowMs = Math.max(this.#nowMs, event.timestampMs);
        return;
      case eventTypes.executionStarted:
        this.#advance();
        return;
      case eventTypes.taskScheduled:
        this.#match('activity', event);
        return;
      case eventTypes.subOrchestrationCreated:
        this.#match('subOrchestration', event);
        return;
      case eventTypes.timerCreated:
        this.#match('timer', event);
        return;
      case eventTypes.taskCompleted:
      case eventTypes.subOrchestrationCompleted:
      case eventTypes.timerFired:
        this.#complete(event, false);
        return;
      case eventTypes.taskFailed:
      case eventTypes.subOrchestrationFailed:
        this.#complete(event, true);
        return;
      case eventTypes.eventRaised:
        this.#raise(event.name);
        return;
      default:
    }
  }

  /** Takes actions until one has to be waited for. */
  #advance(): void {
    const { actions } = this.#params;
    while ((this.#root === null || this.#root.isSettled) && this.#cursor < actions.length) {
      const action = actions[this.#cursor] as Action;
      this.#cursor += 1;
      if (action.actionType === actionTypes.continueAsNew) {
        this.#continueAsNew ??= { input: action.input, fromEventIndex: this.#eventIndex + 1 };
      } else {
        this.#root = this.#build(action, null);
      }
      if (this.#problem !== null) return;
    }
  }

  #build(action: Action, parent: Node['parent']): Node {
    switch (action.actionType) {
      case actionTypes.callActivity:
        return this.#schedule({ kind: 'activity', action, parent });
      case actionTypes.callSubOrchestrator:
        return this.#schedule({ kind: 'subOrchestration', action, parent });
      case actionTypes.callActivityWithRetry:
        return this.#buildRetry({ kind: 'activity', action, parent });
      case actionTypes.callSubOrchestratorWithRetry:
        return this.#buildRetry({ kind: 'subOrchestration', action, parent });
      case actionTypes.createTimer:
        return this.#buildTimer(action, parent);
      case actionTypes.waitForExternalEvent:
        return this.#buildWait(action.externalEventName ?? '', parent);
      case actionTypes.whenAny:
        return this.#buildGroup('any', action, parent);
      case actionTypes.whenAll:
        return this.#buildGroup('all', action, parent);
      default:
        this.#problem ??= describeUnsupported(action.actionType);
        return newNode(parent);
    }
  }

  #schedule(params: {
    kind: DecisionKind;
    action: Action;
    parent: Node['parent'];
    fireAtMs?: number;
    isCanceled?: boolean;
  }): Node {
    const { kind, action, parent } = params;
    const name = kind === 'timer' ? '' : (action.functionName ?? '');
    if (kind === 'activity' && !this.#params.isKnownActivity(name)) {
      this.#problem ??= describeUnknown('activity', name);
    }
    if (kind === 'subOrchestration' && !this.#params.isKnownOrchestrator(name)) {
      this.#problem ??= describeUnknown('orchestrator', name);
    }
    const id = this.#sequenceNumber;
    this.#sequenceNumber += 1;
    const node = newNode(parent);
    this.#open.set(id, node);
    this.#pending.set(id, { id, kind, name, action, fireAtMs: params.fireAtMs ?? 0 });
    // A cancelled timer was created all the same; it only counts as settled from the start.
    if (params.isCanceled === true) node.isSettled = true;
    return node;
  }

  #buildRetry(params: { kind: DecisionKind; action: Action; parent: Node['parent'] }): Node {
    const { kind, action, parent } = params;
    const options = action.retryOptions ?? { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 1 };
    if (options.retryTimeoutInMilliseconds !== undefined) {
      this.#problem ??= describeRetryTimeout(action.functionName ?? '');
    }
    const node: Attempts = {
      ...newNode(parent),
      takesIds: true,
      role: 'retry',
      action,
      options,
      kind,
      attempt: 1,
      isWaiting: false,
    };
    this.#retries.push(node);
    node.children.push(this.#schedule({ kind, action, parent: node }));
    return node;
  }

  #buildTimer(action: Action, parent: Node['parent']): Node {
    const fireAtMs = Date.parse(action.fireAt ?? '');
    const isCanceled = action.isCanceled === true;
    if (!Number.isFinite(fireAtMs)) {
      this.#problem ??= describeBadTimer(action.fireAt);
      return newNode(parent);
    }
    if (fireAtMs - this.#nowMs <= longestShortTimerMs) {
      return this.#schedule({ kind: 'timer', action, parent, fireAtMs, isCanceled });
    }
    const node: LongTimer = { ...newNode(parent), takesIds: true, role: 'longTimer', action, fireAtMs };
    node.isSettled = isCanceled;
    const slice = {
      kind: 'timer',
      action,
      parent: node,
      fireAtMs: this.#nowMs + timerSliceMs,
      isCanceled,
    } as const;
    node.children.push(this.#schedule(slice));
    return node;
  }

  #buildWait(name: string, parent: Node['parent']): Node {
    const node = newNode(parent);
    const buffered = this.#buffered.get(name) ?? 0;
    if (buffered > 0) {
      this.#buffered.set(name, buffered - 1);
      node.isSettled = true;
      return node;
    }
    const stack = this.#waiting.get(name);
    if (stack === undefined) this.#waiting.set(name, [node]);
    else stack.push(node);
    return node;
  }

  #buildGroup(role: 'any' | 'all', action: Action, parent: Node['parent']): Node {
    const node: Group = { ...newNode(parent), role, unsettled: 0 };
    for (const each of action.compoundActions ?? []) {
      const child = this.#build(each, node);
      node.children.push(child);
      if (!child.isSettled) node.unsettled += 1;
      if (this.#problem !== null) return node;
    }
    node.isSettled = role === 'any' ? node.unsettled < node.children.length : node.unsettled === 0;
    return node;
  }

  #match(kind: DecisionKind, event: ReplayEvent): void {
    const decision = this.#pending.get(event.eventId);
    if (decision?.kind === kind && decision.name === event.name) {
      this.#pending.delete(event.eventId);
      return;
    }
    const recorded = { kind, name: event.name, id: event.eventId };
    const loser = this.#retries.find((node) => !node.isSettled && hasSettledAncestor(node));
    this.#problem ??=
      loser === undefined
        ? describeNonDeterminism(recorded, decision)
        : describeRetryingLoser(loser.action.functionName ?? '', recorded);
  }

  #complete(event: ReplayEvent, isFailed: boolean): void {
    const node = this.#open.get(event.taskId);
    if (node === undefined) return;
    this.#open.delete(event.taskId);
    this.#settle(node, isFailed ? { isNonRetriable: event.isNonRetriable } : null);
    this.#advance();
  }

  #raise(name: string): void {
    const stack = this.#waiting.get(name);
    // The last waiter gets the event: that is the order in which the extension keeps them.
    const node = stack?.pop();
    if (node === undefined) {
      this.#buffered.set(name, (this.#buffered.get(name) ?? 0) + 1);
      return;
    }
    this.#settle(node, null);
    this.#advance();
  }

  #settle(node: Node, failure: { isNonRetriable: boolean } | null): void {
    if (node.isSettled) return;
    node.isSettled = true;
    node.isFailed ||= failure !== null;
    const { parent } = node;
    if (parent === null || parent.isSettled) return;
    const role = roleOf(parent);
    if (role === 'any') {
      this.#settle(parent, failure);
    } else if (role === 'all') {
      const group = parent as Group;
      group.unsettled -= 1;
      group.isFailed ||= node.isFailed;
      if (group.unsettled === 0) this.#settle(group, failure);
    } else if (role === 'retry') {
      this.#attemptSettled(parent as Attempts, failure);
    } else {
      this.#sliceSettled(parent as LongTimer);
    }
  }

  #attemptSettled(node: Attempts, failure: { isNonRetriable: boolean } | null): void {
    if (node.isWaiting) {
      node.isWaiting = false;
      node.attempt += 1;
      if (node.attempt > node.options.maxNumberOfAttempts) this.#settle(node, { isNonRetriable: false });
      else node.children.push(this.#schedule({ kind: node.kind, action: node.action, parent: node }));
      return;
    }
    if (failure === null) {
      this.#settle(node, null);
      return;
    }
    if (failure.isNonRetriable) {
      this.#problem ??= describeNonRetriable(node.action.functionName ?? '');
      return;
    }
    node.isWaiting = true;
    const timer = {
      kind: 'timer',
      action: node.action,
      parent: node,
      fireAtMs: this.#nowMs + retryDelayMs(node),
    } as const;
    node.children.push(this.#schedule(timer));
  }

  #sliceSettled(node: LongTimer): void {
    const leftMs = node.fireAtMs - this.#nowMs;
    if (leftMs <= 0) {
      this.#settle(node, null);
      return;
    }
    const fireAtMs = leftMs > longestShortTimerMs ? this.#nowMs + timerSliceMs : node.fireAtMs;
    node.children.push(this.#schedule({ kind: 'timer', action: node.action, parent: node, fireAtMs }));
  }
}

function newNode(parent: Node['parent']): Node {
  return { parent, isSettled: false, isFailed: false, children: [], takesIds: false };
}

function roleOf(node: Group | Attempts | LongTimer): 'any' | 'all' | 'retry' | 'longTimer' {
  return node.role;
}

function mayTakeIds(node: Node): boolean {
  if (node.isSettled) return false;
  return node.takesIds || node.children.some(mayTakeIds);
}

/** Nobody but an orchestrator that kept the task can still wait for it. */
function hasSettledAncestor(node: Node): boolean {
  for (let { parent } = node; parent !== null; parent = parent.parent) if (parent.isSettled) return true;
  return false;
}

function waitsBehindFailure(node: Node): boolean {
  if (node.isSettled) return false;
  return node.isFailed || node.children.some(waitsBehindFailure);
}

/** Wait before the next attempt. After the last one a timer that fires at once still carries the error. */
function retryDelayMs(node: Attempts): number {
  const { options, attempt } = node;
  if (attempt >= options.maxNumberOfAttempts) return 0;
  const delayMs =
    options.firstRetryIntervalInMilliseconds * (options.backoffCoefficient ?? 1) ** (attempt - 1);
  return Math.min(delayMs, options.maxRetryIntervalInMilliseconds ?? longestShortTimerMs);
}
