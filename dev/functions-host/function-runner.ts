import type { RegisteredFunction } from './functions-core.ts';
import type { InvocationRequest, InvocationResult, Invoker } from './invocation.ts';
import type { QueueOutputs } from './queue-output.ts';

/** Runs a function and writes its output bindings, only once the handler has succeeded. */
export class FunctionRunner {
  readonly #invoker: Invoker;
  readonly #queues: QueueOutputs;

  constructor(invoker: Invoker, queues: QueueOutputs) {
    this.#invoker = invoker;
    this.#queues = queues;
  }

  /** @throws what the function threw, and what the storage service refused */
  async run(fn: RegisteredFunction, request: InvocationRequest): Promise<InvocationResult> {
    const result = await this.#invoker.invoke(fn, request);
    await this.#queues.write(fn, result.response);
    return result;
  }
}
