import type { StatementSync } from 'node:sqlite';
import type { StateFile } from '../state-file.ts';
import type { ParentLink } from './wire-v3.ts';

export const finishedStatuses = ['Completed', 'Failed', 'Terminated', 'Canceled'] as const;
export type RuntimeStatus =
  | 'Pending'
  | 'Running'
  | 'Suspended'
  | 'ContinuedAsNew'
  | (typeof finishedStatuses)[number];

/** One instance as stored; texts are JSON, times are milliseconds since 1970. */
export interface InstanceRow {
  readonly id: string;
  readonly executionId: string;
  readonly name: string;
  readonly version: string | null;
  readonly status: RuntimeStatus;
  readonly input: string | null;
  readonly output: string | null;
  readonly customStatus: string | null;
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly parent: ParentLink | null;
}

/** A message that waits for its instance's next turn. */
export interface InboxMessage {
  readonly seq: number;
  /** Execution that it is meant for; null for any. */
  readonly executionId: string | null;
  /** A history event, as JSON text, without its timestamp. */
  readonly event: string;
}

export interface ActivityRow {
  readonly instanceId: string;
  readonly executionId: string;
  readonly taskId: number;
  readonly name: string;
  readonly input: string | null;
}

export interface TimerRow {
  readonly instanceId: string;
  readonly executionId: string;
  readonly taskId: number;
  readonly fireAtMs: number;
}

/** Which instances a query or a purge means; absent fields do not restrict. */
export interface InstanceFilter {
  readonly createdFromMs?: number;
  readonly createdToMs?: number;
  readonly statuses?: readonly string[];
  readonly idPrefix?: string;
}

const schema = `
CREATE TABLE IF NOT EXISTS instance(
  id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, version TEXT, status TEXT NOT NULL,
  input TEXT, output TEXT, custom_status TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  parent TEXT, finished INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history(
  instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, turn INTEGER NOT NULL, events TEXT NOT NULL,
  PRIMARY KEY(instance_id, execution_id, turn)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox(
  seq INTEGER PRIMARY KEY, position INTEGER NOT NULL, instance_id TEXT NOT NULL, execution_id TEXT, event TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS inbox_by_instance ON inbox(instance_id, position, seq);
CREATE TABLE IF NOT EXISTS activity(
  instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, task_id INTEGER NOT NULL, name TEXT NOT NULL, input TEXT,
  PRIMARY KEY(instance_id, execution_id, task_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timer(
  fire_at_ms INTEGER NOT NULL, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, task_id INTEGER NOT NULL,
  PRIMARY KEY(fire_at_ms, instance_id, execution_id, task_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS timer_by_instance ON timer(instance_id, execution_id);
`;

/**
 * Tables of the durable engine. Methods named after a change must run inside `StateFile.write`;
 * reads see only what is committed.
 */
export class DurableStore {
  readonly #state: StateFile;
  readonly #statements = new Map<string, StatementSync>();
  #seq: number;

  constructor(state: StateFile) {
    this.#state = state;
    state.database.exec(schema);
    this.#seq = Number(this.#row('SELECT coalesce(max(seq), 0) AS top FROM inbox')?.top ?? 0);
  }

  write(write: () => void): Promise<void> {
    return this.#state.write(write);
  }

  /** Commits what is queued, so that the next read sees it. */
  flush(): void {
    this.#state.flush();
  }

  readInstance(id: string): InstanceRow | null {
    const row = this.#row('SELECT * FROM instance WHERE id = ?', id);
    return row === undefined ? null : toInstance(row);
  }

  readInbox(instanceId: string): { messages: InboxMessage[]; firstPosition: number } {
    const rows = this.#rows('SELECT * FROM inbox WHERE instance_id = ? ORDER BY position, seq', instanceId);
    const messages = rows.map((row) => ({
      seq: Number(row.seq),
      executionId: row.execution_id as string | null,
      event: String(row.event),
    }));
    return { messages, firstPosition: Math.min(0, Number(rows[0]?.position ?? 0)) };
  }

  /** Turns of one execution, oldest first; each is a comma-joined list of events marked as played. */
  readHistory(instanceId: string, executionId: string): string[] {
    const sql = 'SELECT events FROM history WHERE instance_id = ? AND execution_id = ? ORDER BY turn';
    return this.#rows(sql, instanceId, executionId).map((row) => String(row.events));
  }

  /** Ids of unfinished instances that have messages. */
  readRunnable(): string[] {
    return this.#rows('SELECT DISTINCT instance_id AS id FROM inbox').map((row) => String(row.id));
  }

  readActivities(): ActivityRow[] {
    return this.#rows('SELECT * FROM activity').map((row) => ({
      instanceId: String(row.instance_id),
      executionId: String(row.execution_id),
      taskId: Number(row.task_id),
      name: String(row.name),
      input: row.input as string | null,
    }));
  }

  readNextTimerMs(): number | null {
    const row = this.#row('SELECT min(fire_at_ms) AS next FROM timer');
    return typeof row?.next === 'number' ? row.next : null;
  }

  readDueTimers(nowMs: number): TimerRow[] {
    return this.#rows('SELECT * FROM timer WHERE fire_at_ms <= ? ORDER BY fire_at_ms LIMIT 500', nowMs).map(
      (row) => ({
        instanceId: String(row.instance_id),
        executionId: String(row.execution_id),
        taskId: Number(row.task_id),
        fireAtMs: Number(row.fire_at_ms),
      }),
    );
  }

  /** Instances after the given id, in order of id. */
  readInstances(params: { filter: InstanceFilter; afterId: string; limit: number }): InstanceRow[] {
    const { where, values } = toWhere(params.filter);
    const sql = `SELECT * FROM instance WHERE id > ? ${where} ORDER BY id LIMIT ?`;
    return this.#rows(sql, params.afterId, ...values, params.limit).map(toInstance);
  }

  /**
   * Puts a new execution in place of a finished one of the same id, or of none.
   * @returns false, having done nothing, when an unfinished instance has the id
   */
  insertInstance(row: InstanceRow, startedEvent: string): boolean {
    const known = this.#row('SELECT finished FROM instance WHERE id = ?', row.id);
    if (known !== undefined && Number(known.finished) === 0) return false;
    if (known !== undefined) this.deleteInstance(row.id);
    this.upsertInstance(row);
    this.insertMessage({ instanceId: row.id, executionId: row.executionId, event: startedEvent });
    return true;
  }

  upsertInstance(row: InstanceRow): void {
    this.#run(
      'INSERT OR REPLACE INTO instance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      row.id,
      row.executionId,
      row.name,
      row.version,
      row.status,
      row.input,
      row.output,
      row.customStatus,
      row.createdMs,
      row.updatedMs,
      row.parent === null ? null : JSON.stringify(row.parent),
      isFinished(row.status) ? 1 : 0,
    );
  }

  /** @returns the message, or null when the instance is unknown or finished */
  insertMessage(params: {
    instanceId: string;
    executionId: string | null;
    event: string;
    position?: number;
  }): InboxMessage | null {
    const seq = this.#seq + 1;
    const { instanceId, executionId, event, position = 0 } = params;
    const result = this.#run(
      'INSERT INTO inbox SELECT ?, ?, id, ?, ? FROM instance WHERE id = ? AND finished = 0',
      seq,
      position,
      executionId,
      event,
      instanceId,
    );
    if (result === 0) return null;
    this.#seq = seq;
    return { seq, executionId, event };
  }

  deleteMessages(messages: readonly InboxMessage[]): void {
    if (messages.length === 0) return;
    const seqs = JSON.stringify(messages.map(({ seq }) => seq));
    this.#run('DELETE FROM inbox WHERE seq IN (SELECT value FROM json_each(?))', seqs);
  }

  insertTurn(params: { instanceId: string; executionId: string; turn: number; events: string }): void {
    this.#run(
      'INSERT INTO history VALUES (?, ?, ?, ?)',
      params.instanceId,
      params.executionId,
      params.turn,
      params.events,
    );
  }

  insertActivity(row: ActivityRow): void {
    this.#run(
      'INSERT OR REPLACE INTO activity VALUES (?, ?, ?, ?, ?)',
      row.instanceId,
      row.executionId,
      row.taskId,
      row.name,
      row.input,
    );
  }

  /** @returns false when it was gone already: its result is known */
  deleteActivity(row: Pick<ActivityRow, 'instanceId' | 'executionId' | 'taskId'>): boolean {
    const sql = 'DELETE FROM activity WHERE instance_id = ? AND execution_id = ? AND task_id = ?';
    return this.#run(sql, row.instanceId, row.executionId, row.taskId) > 0;
  }

  insertTimer(row: TimerRow): void {
    this.#run(
      'INSERT OR REPLACE INTO timer VALUES (?, ?, ?, ?)',
      row.fireAtMs,
      row.instanceId,
      row.executionId,
      row.taskId,
    );
  }

  deleteTimer(row: TimerRow): void {
    const sql =
      'DELETE FROM timer WHERE fire_at_ms = ? AND instance_id = ? AND execution_id = ? AND task_id = ?';
    this.#run(sql, row.fireAtMs, row.instanceId, row.executionId, row.taskId);
  }

  /** Forgets timers of an execution that ended; queued activities stay and run, as in Azure. */
  deleteTimers(instanceId: string, executionId: string): void {
    this.#run('DELETE FROM timer WHERE instance_id = ? AND execution_id = ?', instanceId, executionId);
  }

  deleteInbox(instanceId: string): void {
    this.#run('DELETE FROM inbox WHERE instance_id = ?', instanceId);
  }

  deleteHistory(instanceId: string): void {
    this.#run('DELETE FROM history WHERE instance_id = ?', instanceId);
  }

  deleteInstance(id: string): void {
    for (const table of ['history', 'inbox', 'timer'])
      this.#run(`DELETE FROM ${table} WHERE instance_id = ?`, id);
    this.#run('DELETE FROM instance WHERE id = ?', id);
  }

  /** Deletes finished instances only. @returns how many */
  purge(filter: InstanceFilter): number {
    const { where, values } = toWhere(filter);
    const ids = this.#rows(`SELECT id FROM instance WHERE finished = 1 ${where}`, ...values);
    for (const row of ids) this.deleteInstance(String(row.id));
    return ids.length;
  }

  #run(sql: string, ...values: SqlValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #row(sql: string, ...values: SqlValue[]): SqlRow | undefined {
    return this.#prepare(sql).get(...values);
  }

  #rows(sql: string, ...values: SqlValue[]): SqlRow[] {
    return this.#prepare(sql).all(...values);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#state.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

type SqlValue = string | number | null;
type SqlRow = Record<string, unknown>;

export function isFinished(status: RuntimeStatus): boolean {
  return (finishedStatuses as readonly string[]).includes(status);
}

function toInstance(row: SqlRow): InstanceRow {
  return {
    id: String(row.id),
    executionId: String(row.execution_id),
    name: String(row.name),
    version: row.version as string | null,
    status: row.status as RuntimeStatus,
    input: row.input as string | null,
    output: row.output as string | null,
    customStatus: row.custom_status as string | null,
    createdMs: Number(row.created_ms),
    updatedMs: Number(row.updated_ms),
    parent: typeof row.parent === 'string' ? (JSON.parse(row.parent) as ParentLink) : null,
  };
}

function toWhere(filter: InstanceFilter): { where: string; values: SqlValue[] } {
  const parts: string[] = [];
  const values: SqlValue[] = [];
  const add = (sql: string, ...more: SqlValue[]) => {
    parts.push(`AND ${sql}`);
    values.push(...more);
  };
  if (filter.createdFromMs !== undefined) add('created_ms >= ?', filter.createdFromMs);
  if (filter.createdToMs !== undefined) add('created_ms <= ?', filter.createdToMs);
  if (filter.idPrefix !== undefined) add('substr(id, 1, ?) = ?', filter.idPrefix.length, filter.idPrefix);
  if (filter.statuses !== undefined && filter.statuses.length > 0) {
    add(`status IN (${filter.statuses.map(() => '?').join(',')})`, ...filter.statuses);
  }
  return { where: parts.join(' '), values };
}
