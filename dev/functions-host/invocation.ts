import { randomUUID } from 'node:crypto';
import type { FunctionsCore, HookName, RegisteredFunction } from './functions-core.ts';
import type { Logger, LogLevel } from './log.ts';
import { countersOf, type Metrics } from './metrics.ts';
import type { FunctionCallback, RpcBindingData, RpcInvocationResponse, RpcTypedData } from './rpc.ts';

export interface InvocationRequest {
  readonly triggerData: RpcTypedData | null;
  readonly triggerMetadata?: Readonly<Record<string, RpcTypedData>>;
  readonly retryContext?: Readonly<Record<string, unknown>>;
  /** Gets the handler's context before any hook and the handler itself. */
  readonly onContext?: (context: unknown) => void;
}

/** `context` is the object that the handler got as its last argument. */
export interface InvocationResult {
  readonly response: RpcInvocationResponse;
  readonly context: unknown;
}

/** The invocation ran longer than host.json's `functionTimeout`. */
class FunctionTimeoutError extends Error {
  constructor(name: string, timeoutMs: number) {
    super(`Timeout value of ${timeoutMs} ms was exceeded by function: ${name}`);
    this.name = 'FunctionTimeoutError';
  }
}

/** Runs functions the way the worker does: arguments, hooks, handler, hooks, response. */
export class Invoker {
  readonly #core: FunctionsCore;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #timeoutMs: number | null;
  readonly #onTimeout: (error: Error) => void;
  readonly #inputs = new Map<string, () => RpcTypedData>();
  readonly #appHookData: Record<string, unknown> = {};
  readonly #running = new Set<Promise<unknown>>();

  /**
   * @param params.timeoutMs longest time of one invocation; null for no limit
   * @param params.onTimeout called when an invocation took longer: its code still runs, and can't be stopped
   */
  constructor(params: {
    core: FunctionsCore;
    logger: Logger;
    metrics: Metrics;
    timeoutMs: number | null;
    onTimeout: (error: Error) => void;
  }) {
    this.#core = params.core;
    this.#logger = params.logger;
    this.#metrics = params.metrics;
    this.#timeoutMs = params.timeoutMs;
    this.#onTimeout = params.onTimeout;
  }

  /** Names what an input binding of the given type is filled with. */
  provideInput(bindingType: string, provide: () => RpcTypedData): void {
    this.#inputs.set(bindingType.toLowerCase(), provide);
  }

  /** Runs an app hook (`appStart`, `appTerminate`). */
  async runAppHook(name: HookName): Promise<void> {
    for (const callback of this.#core.hooks(name)) {
      await callback({ hookData: {}, appHookData: this.#appHookData });
    }
  }

  /** Resolves when no invocation is running any more, or after the grace. */
  async drain(graceMs: number): Promise<boolean> {
    const deadline = Date.now() + graceMs;
    while (this.#running.size > 0 && Date.now() < deadline) {
      await Promise.race([Promise.allSettled(this.#running), sleep(Math.min(50, deadline - Date.now()))]);
    }
    return this.#running.size === 0;
  }

  /**
   * Runs one function once.
   *
   * @throws what the handler or a hook threw, and FunctionTimeoutError
   */
  invoke(fn: RegisteredFunction, request: InvocationRequest): Promise<InvocationResult> {
    const run = this.#run(fn, request);
    this.#running.add(run);
    const forget = () => {
      this.#running.delete(run);
    };
    run.then(forget, forget);
    return run;
  }

  async #run(fn: RegisteredFunction, request: InvocationRequest): Promise<InvocationResult> {
    const model = this.#core.model;
    if (model === undefined)
      throw new Error('No programming model was set: the app never loaded @azure/functions.');
    const counters = countersOf(this.#metrics, { name: fn.name, trigger: fn.trigger.type });
    const isOrchestrator = fn.trigger.type === 'orchestrationTrigger';
    const startedAt = performance.now();
    const invocationId = randomUUID();
    counters.invocations += 1;
    let appMs = 0;
    const log = (level: LogLevel, category: string, message: string, context?: unknown) =>
      this.#log({ fn, level, category, message, context });
    let invocationContext: unknown;
    const coreContext = {
      invocationId,
      metadata: fn.metadata,
      request: this.#buildRequest(fn, { invocationId, request }),
      log: (level: LogLevel, category: string, message: string) =>
        log(level, category, message, invocationContext),
    } as import('./functions-core.ts').CoreInvocationContext;
    try {
      const invocation = model.getInvocationModel(coreContext);
      const { context, inputs } = await invocation.getArguments();
      invocationContext = context;
      request.onContext?.(context);
      const hookData = {};
      coreContext.state = 'preInvocationHooks';
      const before = await this.#runHooks('preInvocation', {
        hookData,
        invocationContext: context,
        functionCallback: fn.callback,
        inputs,
      });
      coreContext.state = 'invocation';
      const outcome: Record<string, unknown> = {
        hookData,
        invocationContext: context,
        inputs: before.inputs,
      };
      const appStartedAt = performance.now();
      try {
        outcome.result = await this.#withTimeout(
          fn.name,
          invocation.invokeFunction(
            context,
            before.inputs as unknown[],
            before.functionCallback as FunctionCallback,
          ),
        );
      } catch (error) {
        outcome.error = error ?? new Error('The function threw null or undefined.');
      }
      appMs = performance.now() - appStartedAt;
      counters.appWallMs += appMs;
      coreContext.state = 'postInvocationHooks';
      const after = await this.#runHooks('postInvocation', outcome);
      if (after.error !== undefined && after.error !== null) throw after.error;
      return { response: await invocation.getResponse(context, after.result), context };
    } catch (error) {
      counters.failures += 1;
      // The engine reads the replay state from the context of a failed orchestrator too.
      if (isOrchestrator && error instanceof Error) failedContexts.set(error, invocationContext);
      throw error;
    } finally {
      if (isOrchestrator) counters.libraryWallMs += performance.now() - startedAt - appMs;
    }
  }

  async #runHooks(name: HookName, context: Record<string, unknown>): Promise<Record<string, unknown>> {
    const hooks = this.#core.hooks(name);
    if (hooks.length === 0) return context;
    const hookContext = { ...context, appHookData: this.#appHookData };
    for (const callback of hooks) await callback(hookContext);
    return hookContext;
  }

  #buildRequest(
    fn: RegisteredFunction,
    params: { invocationId: string; request: InvocationRequest },
  ): Record<string, unknown> {
    const inputData: RpcBindingData[] = [{ name: fn.triggerName, data: params.request.triggerData }];
    for (const [name, binding] of Object.entries(fn.bindings)) {
      if (binding.direction !== 'in' || name === fn.triggerName) continue;
      const provide = this.#inputs.get(binding.type.toLowerCase());
      if (provide !== undefined) inputData.push({ name, data: provide() });
    }
    return {
      invocationId: params.invocationId,
      functionId: fn.id,
      inputData,
      triggerMetadata: params.request.triggerMetadata ?? {},
      traceContext: { traceParent: '', traceState: '', attributes: {} },
      ...(params.request.retryContext === undefined ? {} : { retryContext: params.request.retryContext }),
    };
  }

  #log(params: {
    fn: RegisteredFunction;
    level: LogLevel;
    category: string;
    message: string;
    context: unknown;
  }): void {
    const line: Record<string, unknown> = {
      level: params.level,
      message: params.message,
      category: params.category,
      invocationContext: params.context,
      hookData: {},
      appHookData: this.#appHookData,
    };
    for (const callback of this.#core.hooks('log')) callback(line);
    this.#logger.log({
      level: line.level as LogLevel,
      category: params.category === 'user' ? `function.${params.fn.name}` : 'worker',
      message: String(line.message),
    });
  }

  async #withTimeout<T>(name: string, run: Promise<T>): Promise<T> {
    const timeoutMs = this.#timeoutMs;
    if (timeoutMs === null) return run;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const error = new FunctionTimeoutError(name, timeoutMs);
        reject(error);
        this.#onTimeout(error);
      }, timeoutMs);
      timer.unref();
    });
    try {
      return await Promise.race([run, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }
}

const failedContexts = new WeakMap<Error, unknown>();

/** The handler's context of an orchestrator turn that threw; undefined if it never got one. */
export function contextOfFailure(error: unknown): unknown {
  return error instanceof Error ? failedContexts.get(error) : undefined;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
