import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { DurableCounters } from './metrics.ts';

/** Where a test has the process killed: so many commits after its start, right before or right after one. */
export interface KillPoint {
  readonly moment: 'before' | 'after';
  readonly commit: number;
}

/**
 * The host's one SQLite file, with group commit.
 *
 * Writes are queued and go to disk together in one transaction at the end of the event loop's turn, in order.
 * So what a later write builds on is never on disk without the earlier one, and a killed host loses whole
 * transactions from the end only: nothing that anyone outside was told.
 */
export class StateFile {
  readonly database: DatabaseSync;
  readonly #counters: Pick<DurableCounters, 'commits' | 'commitWallMs'> | undefined;
  readonly #onFatal: (error: unknown) => void;
  readonly #killAtCommit: KillPoint | undefined;
  #commits = 0;
  #queue: { write: () => void; done: () => void }[] = [];
  #scheduled = false;
  #closed = false;

  /**
   * @param params.path file, made with its folder when absent; `:memory:` keeps nothing
   * @param params.killAtCommit test mode: the process kills itself there, as `kill -9` does
   * @param params.onFatal called when a transaction fails: memory and disk may differ, so the host must end
   * @throws when another host holds the file
   */
  constructor(params: {
    path: string;
    counters?: Pick<DurableCounters, 'commits' | 'commitWallMs'>;
    killAtCommit?: KillPoint;
    onFatal: (error: unknown) => void;
  }) {
    if (params.path !== ':memory:') mkdirSync(dirname(params.path), { recursive: true });
    this.#counters = params.counters;
    this.#onFatal = params.onFatal;
    this.#killAtCommit = params.killAtCommit;
    try {
      this.database = new DatabaseSync(params.path);
      // Exclusive: two hosts on one file would run every instance twice.
      // The log is put back into the file every 40 MB and not every 4, for most rows are deleted soon after they were written.
      this.database.exec(
        'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=10000;',
      );
      this.database.exec('BEGIN IMMEDIATE; COMMIT;');
    } catch (error) {
      throw new Error(`The state file ${params.path} can't be opened; another host may be using it.`, {
        cause: error,
      });
    }
  }

  /** Queues a write; resolves when it is committed. */
  write(write: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push({ write, done: resolve });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.flush());
    });
  }

  /** Commits what is queued now, so that a read sees it. */
  flush(): void {
    this.#scheduled = false;
    const queue = this.#queue;
    if (queue.length === 0 || this.#closed) return;
    this.#queue = [];
    const start = performance.now();
    this.#commits += 1;
    try {
      this.database.exec('BEGIN');
      for (const { write } of queue) write();
      this.#killAt('before');
      this.database.exec('COMMIT');
      this.#killAt('after');
    } catch (error) {
      this.#onFatal(error);
      return;
    }
    if (this.#counters !== undefined) {
      this.#counters.commits += 1;
      this.#counters.commitWallMs += performance.now() - start;
    }
    for (const { done } of queue) done();
  }

  #killAt(moment: KillPoint['moment']): void {
    const point = this.#killAtCommit;
    if (point?.moment === moment && point.commit === this.#commits) process.kill(process.pid, 'SIGKILL');
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.database.close();
  }
}
