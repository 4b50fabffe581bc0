import { registerHooks } from 'node:module';
import type { LogLevel } from './log.ts';
import type { BindingInfo, FunctionCallback, RetryPolicy, RpcInvocationResponse } from './rpc.ts';

const coreSpecifier = '@azure/functions-core';
const coreUrl = 'azure-functions-core:host';
const coreSymbol = Symbol.for('s3-adx-loader.dev.functions-core');

export const hookNames = ['appStart', 'appTerminate', 'preInvocation', 'postInvocation', 'log'] as const;
export type HookName = (typeof hookNames)[number];
export type HookCallback = (context: Record<string, unknown>) => unknown;

/** A registered function; `trigger` is its one trigger binding, `triggerName` that binding's name. */
export interface RegisteredFunction {
  readonly id: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly bindings: Readonly<Record<string, BindingInfo>>;
  readonly trigger: BindingInfo;
  readonly triggerName: string;
  readonly retry: RetryPolicy | undefined;
  readonly callback: FunctionCallback;
}

export interface CoreInvocationContext {
  readonly invocationId: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly request: Readonly<Record<string, unknown>>;
  state?: 'preInvocationHooks' | 'invocation' | 'postInvocationHooks';
  log(level: LogLevel, category: string, message: string): void;
}

export interface InvocationModel {
  getArguments(): Promise<{ context: unknown; inputs: unknown[] }>;
  invokeFunction(context: unknown, inputs: unknown[], handler: FunctionCallback): Promise<unknown>;
  getResponse(context: unknown, result: unknown): Promise<RpcInvocationResponse>;
}

export interface ProgrammingModel {
  readonly name: string;
  readonly version: string;
  getInvocationModel(context: CoreInvocationContext): InvocationModel;
  getCapabilities?(capabilities: Record<string, string>): Promise<Record<string, string>>;
}

/** Everything the app told the worker while its entry files were loaded. */
export class FunctionsCore {
  readonly functions = new Map<string, RegisteredFunction>();
  readonly #hooks = new Map<HookName, HookCallback[]>();
  readonly #onLog: (level: LogLevel, category: string, message: string) => void;
  #model: ProgrammingModel | undefined;
  #locked = false;

  constructor(onLog: (level: LogLevel, category: string, message: string) => void) {
    this.#onLog = onLog;
  }

  /** The model that the library set; undefined when no entry file used the library. */
  get model(): ProgrammingModel | undefined {
    return this.#model;
  }

  /** Ends registration: what comes later throws in the app. */
  lock(): void {
    this.#locked = true;
  }

  hooks(name: HookName): readonly HookCallback[] {
    return this.#hooks.get(name) ?? [];
  }

  /** Functions whose trigger has the given type, compared without case. */
  withTrigger(type: string): RegisteredFunction[] {
    const wanted = type.toLowerCase();
    return [...this.functions.values()].filter((each) => each.trigger.type.toLowerCase() === wanted);
  }

  /** The object that `require('@azure/functions-core')` gives to the app. */
  createModule(): Record<string, unknown> {
    return {
      version: '3.9.0',
      hostVersion: '4.1037.0',
      registerFunction: (metadata: Record<string, unknown>, callback: FunctionCallback) =>
        this.#registerFunction(metadata, callback),
      registerHook: (name: string, callback: HookCallback) => this.#registerHook(name, callback),
      setProgrammingModel: (model: ProgrammingModel) => {
        this.#refuseWhenLocked('The programming model');
        this.#model = model;
      },
      getProgrammingModel: () => this.#model,
      log: (level: LogLevel, category: string, message: string) => this.#onLog(level, category, message),
      Disposable: CoreDisposable,
    };
  }

  #registerFunction(metadata: Record<string, unknown>, callback: FunctionCallback): CoreDisposable {
    const name = String(metadata.name);
    const id = typeof metadata.functionId === 'string' ? metadata.functionId : name;
    this.#refuseWhenLocked(`Function "${name}"`);
    for (const known of this.functions.keys()) {
      // The real host keeps functions in a case-insensitive table.
      if (known.toLowerCase() === id.toLowerCase()) {
        throw new Error(
          `A function named "${id}" has already been registered. Give each function its own name.`,
        );
      }
    }
    const bindings = (metadata.bindings ?? {}) as Record<string, BindingInfo>;
    const found = Object.entries(bindings).find(([, binding]) => /trigger$/i.test(binding.type));
    if (found === undefined) {
      throw new Error(`Function "${name}" has no trigger binding. Register it with a trigger.`);
    }
    if (typeof callback !== 'function') {
      throw new Error(`Function "${name}" has no handler. Give it a function as its handler.`);
    }
    const retry = metadata.retryOptions as RetryPolicy | undefined;
    const [triggerName, trigger] = found;
    this.functions.set(id, { id, name, metadata, bindings, trigger, triggerName, retry, callback });
    return new CoreDisposable(() => {
      this.#refuseWhenLocked(`Function "${name}"`);
      this.functions.delete(id);
    });
  }

  #registerHook(name: string, callback: HookCallback): CoreDisposable {
    if (!isHookName(name)) {
      throw Object.assign(new RangeError(`Unrecognized hook "${name}".`), {
        isAzureFunctionsSystemError: true,
      });
    }
    const callbacks = this.#hooks.get(name) ?? [];
    this.#hooks.set(name, [...callbacks, callback]);
    return new CoreDisposable(() => {
      this.#hooks.set(
        name,
        this.hooks(name).filter((each) => each !== callback),
      );
    });
  }

  #refuseWhenLocked(what: string): void {
    if (this.#locked) {
      throw new Error(
        `${what} can only be registered during app startup. Move it to an entry file's top level.`,
      );
    }
  }
}

class CoreDisposable {
  readonly #onDispose: () => unknown;

  constructor(onDispose: () => unknown) {
    this.#onDispose = onDispose;
  }

  static from(...disposables: { dispose: () => unknown }[]): CoreDisposable {
    return new CoreDisposable(() => {
      for (const each of disposables) each.dispose();
    });
  }

  dispose(): unknown {
    return this.#onDispose();
  }
}

function isHookName(name: string): name is HookName {
  return (hookNames as readonly string[]).includes(name);
}

/**
 * Makes `@azure/functions-core` resolvable for both `require` and `import` in this process.
 * The library swallows a failing `require` and then registers nothing, so this must come before any entry file.
 */
export function provideFunctionsCore(core: FunctionsCore): void {
  Object.defineProperty(globalThis, coreSymbol, { value: core.createModule(), configurable: true });
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier !== coreSpecifier) return nextResolve(specifier, context);
      return { url: coreUrl, format: 'commonjs', shortCircuit: true };
    },
    load(url, context, nextLoad) {
      if (url !== coreUrl) return nextLoad(url, context);
      const source = `module.exports = globalThis[Symbol.for(${JSON.stringify(Symbol.keyFor(coreSymbol))})];`;
      return { format: 'commonjs', source, shortCircuit: true };
    },
  });
}
