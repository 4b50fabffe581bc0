import { fork } from 'node:child_process';

import type { State } from '../../shared/adapters/state/state.ts';

/** The ports of the state, without what makes its tables. */
export type OutsideState = Pick<State, 'documents' | 'ledger' | 'runs' | 'loads'>;

/** One call of a method of one of the ports. */
export interface StateCall {
  readonly id: number;
  readonly port: keyof OutsideState;
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
 * memory of the app. `script` is state-process.ts, which ends with this process.
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

  const portOf = <Port extends keyof OutsideState>(port: Port) =>
    new Proxy({} as OutsideState[Port], {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          new Promise((resolve, reject) => {
            calls += 1;
            waiting.set(calls, { resolve, reject });
            child.send({ id: calls, port, method: String(method), args } satisfies StateCall);
          }),
    });
  return {
    documents: portOf('documents'),
    ledger: portOf('ledger'),
    runs: portOf('runs'),
    loads: portOf('loads'),
  };
}
