import { fork } from 'node:child_process';

import {
  type EntityRange,
  type EntityTable,
  PAGE_ENTITIES,
  type StoredEntity,
} from '../../shared/adapters/state/entity-table.ts';
import { ledgerTable } from '../../shared/adapters/state/ledger-table.ts';
import type { State } from '../../shared/adapters/state/state.ts';

/** The ports of the state, without what makes its tables. */
type OutsideState = Pick<State, 'documents' | 'ledger' | 'runs' | 'loads'>;

/** A table whose entities come a page at a time, so that they need not all be in one message. */
interface PagedTable extends Pick<EntityTable, 'create' | 'get' | 'transact'> {
  /** The first entities of a range, `PAGE_ENTITIES` of them at most. */
  page(range: EntityRange): Promise<readonly StoredEntity[]>;
}

/** What is in the process of the state: some of the ports, and the table below another one. */
export interface StateParts extends Pick<OutsideState, 'documents' | 'runs' | 'loads'> {
  readonly ledgerTable: PagedTable;
}

/** One call of a method of one of the parts. */
export interface StateCall {
  readonly id: number;
  readonly part: keyof StateParts;
  readonly method: string;
  readonly args: readonly unknown[];
}

export type StateAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * The state in memory, in a process of its own as it is in production: it grows with the objects, and must not count in the
 * memory of the app. The ledger is read as in production, too: a page of entities after the other, decoded in the app.
 * `script` is state-process.ts, which ends with this process.
 */
export function outsideState(script: string): OutsideState {
  const child = fork(script, {
    serialization: 'advanced',
    env: { PATH: process.env['PATH'], NODE_OPTIONS: '--max-old-space-size=12000' },
  });
  const waiting = new Map<number, Waiting>();
  let calls = 0;
  child.on('message', (message) => {
    const answer = message as StateAnswer;
    const { resolve, reject } = waiting.get(answer.id)!;
    waiting.delete(answer.id);
    if ('error' in answer) reject(new Error(answer.error));
    else resolve(answer.value);
  });
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('The process of the state has ended.'));
  });

  const partOf = <Part extends keyof StateParts>(part: Part) =>
    new Proxy({} as StateParts[Part], {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          new Promise((resolve, reject) => {
            calls += 1;
            waiting.set(calls, { resolve, reject });
            child.send({ id: calls, part, method: String(method), args } satisfies StateCall);
          }),
    });
  return {
    documents: partOf('documents'),
    ledger: ledgerTable(unpaged(partOf('ledgerTable'))),
    runs: partOf('runs'),
    loads: partOf('loads'),
  };
}

function unpaged(table: PagedTable): EntityTable {
  async function* query(range: EntityRange): AsyncGenerator<readonly StoredEntity[]> {
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    let from = range;
    while (left > 0) {
      const limit = Math.min(PAGE_ENTITIES, left);
      const page = await table.page({ ...from, limit });
      yield page;
      if (page.length < limit) return;
      left -= limit;
      from = { ...range, after: page.at(-1)!.rowKey };
    }
  }
  return {
    create: () => table.create(),
    get: (partitionKey, rowKey) => table.get(partitionKey, rowKey),
    transact: (partitionKey, operations) => table.transact(partitionKey, operations),
    query,
  };
}
