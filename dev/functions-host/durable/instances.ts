import type { DurableStore, InboxMessage, InstanceRow } from './store.ts';
import { isFinished } from './store.ts';
import { type HistoryEvent, type ReplayEvent, renderEvent, toReplayEvent } from './wire-v3.ts';

/** History of one execution in the two forms that a turn needs: for replay, and as the SDK's text. */
export interface CachedHistory {
  readonly events: ReplayEvent[];
  /** Comma-joined events, all marked as played. */
  text: string;
  /** Of `text`, as UTF-8. */
  bytes: number;
  turns: number;
  /** Time of the latest turn; turns of an instance never go back in time. */
  latestTurnMs: number;
}

/** An unfinished instance in memory. */
export interface LiveInstance {
  row: InstanceRow;
  inbox: InboxMessage[];
  /**
   * Highest sequence number that was read from the store with the instance: what is handed over up to it is in `inbox`
   * already. Later messages are handed over once each, but not always in the order of their numbers: who has written one
   * in the same transaction as another may hear of it later.
   */
  readonly loadedSeq: number;
  /** Lowest position given to a message that must come before all others. */
  firstPosition: number;
  /** Suspend, resume and terminate messages in `inbox`. */
  controlMessages: number;
  isSuspended: boolean;
  isQueued: boolean;
  isRunning: boolean;
  history: CachedHistory | null;
}

/** What is kept in memory at most. */
interface CacheLimits {
  readonly instances: number;
  /** Of history, over all instances. */
  readonly characters: number;
}

const defaultLimits: CacheLimits = { instances: 5_000, characters: 64 * 1024 * 1024 };

/**
 * Unfinished instances, least recently used first. What is dropped is read again from the store when needed,
 * so memory is bounded by the instances at work, not by those that wait.
 */
export class LiveInstances {
  readonly #store: DurableStore;
  readonly #onLoad: () => void;
  readonly #limits: CacheLimits;
  readonly #live = new Map<string, LiveInstance>();
  #characters = 0;

  /** @param onLoad called when a history is read from the store */
  constructor(store: DurableStore, onLoad: () => void, limits: CacheLimits = defaultLimits) {
    this.#store = store;
    this.#onLoad = onLoad;
    this.#limits = limits;
  }

  peek(id: string): LiveInstance | undefined {
    return this.#live.get(id);
  }

  /** The instance, read from the store if need be; null when it is unknown or finished. */
  load(id: string): LiveInstance | null {
    const known = this.#live.get(id);
    if (known !== undefined) {
      this.#live.delete(id);
      this.#live.set(id, known);
      return known;
    }
    this.#store.flush();
    const row = this.#store.readInstance(id);
    if (row === null || isFinished(row.status)) return null;
    const { messages, firstPosition } = this.#store.readInbox(id);
    const instance: LiveInstance = {
      row,
      inbox: messages,
      loadedSeq: messages.reduce((last, each) => Math.max(last, each.seq), 0),
      firstPosition,
      controlMessages: messages.filter((each) => isControl(each)).length,
      isSuspended: row.status === 'Suspended',
      isQueued: false,
      isRunning: false,
      history: null,
    };
    this.#live.set(id, instance);
    this.#evict();
    return instance;
  }

  /** History of the instance's current execution. */
  historyOf(instance: LiveInstance): CachedHistory {
    if (instance.history !== null) return instance.history;
    const history: CachedHistory = { events: [], text: '', bytes: 0, turns: 0, latestTurnMs: 0 };
    const turns = this.#store.readHistory(instance.row.id, instance.row.executionId);
    for (const turn of turns) {
      for (const event of JSON.parse(`[${turn}]`) as HistoryEvent[])
        history.events.push(toReplayEvent(event));
    }
    history.text = turns.join(',');
    history.bytes = Buffer.byteLength(history.text);
    history.turns = turns.length;
    history.latestTurnMs = history.events.reduce(
      (latest, each) => Math.max(latest, each.timestampMs || 0),
      0,
    );
    if (turns.length > 0) this.#onLoad();
    instance.history = history;
    this.#characters += history.text.length;
    return history;
  }

  /** Adds one committed turn to the history in memory. @returns nothing; the store has its own copy */
  append(instance: LiveInstance, turn: { text: string; events: readonly HistoryEvent[] }): void {
    const history = this.historyOf(instance);
    for (const event of turn.events) history.events.push(toReplayEvent(event));
    const separator = history.text === '' ? '' : ',';
    history.text += separator + turn.text;
    history.bytes += separator.length + Buffer.byteLength(turn.text);
    history.turns += 1;
    this.#characters += turn.text.length + separator.length;
    this.#evict();
  }

  /** Forgets the history in memory: the execution it belongs to has ended. */
  dropHistory(instance: LiveInstance): void {
    this.#characters -= instance.history?.text.length ?? 0;
    instance.history = null;
  }

  remove(id: string): void {
    const instance = this.#live.get(id);
    if (instance === undefined) return;
    this.dropHistory(instance);
    this.#live.delete(id);
  }

  #evict(): void {
    if (!this.#exceeds(1)) return;
    for (const [id, instance] of this.#live) {
      if (!this.#exceeds(0.8)) return;
      if (instance.isRunning || instance.isQueued || instance.inbox.length > 0) continue;
      this.remove(id);
    }
  }

  #exceeds(share: number): boolean {
    const { characters, instances } = this.#limits;
    return this.#characters > characters * share || this.#live.size > instances * share;
  }
}

/** True for messages that act on the instance itself, not on its orchestrator. */
export function isControl(message: InboxMessage): boolean {
  return /^\{"EventType":(3|19|20),/.test(message.event);
}

/** Text of one turn for the store and for later replays. */
export function renderPlayed(events: readonly HistoryEvent[]): string {
  return events.map((event) => renderEvent(event, true)).join(',');
}
