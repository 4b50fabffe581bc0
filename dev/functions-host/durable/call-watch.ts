/** Methods of `context.df` whose tasks do nothing unless they are yielded. */
const methods = [
  'callActivity',
  'callActivityWithRetry',
  'callSubOrchestrator',
  'callSubOrchestratorWithRetry',
] as const;

interface Call {
  readonly name: string;
  /** The SDK's task; private but readable, as its count of tasks. */
  readonly task: { readonly alreadyScheduled?: boolean } | undefined;
}

/**
 * Finds calls that an orchestrator makes and never yields, alone or in a group: durable-functions 3 schedules a task when
 * it is yielded, so these never run, in Azure neither, and nothing says so.
 */
export class CallWatch {
  readonly #calls: Call[] = [];

  /** Watches the context of one orchestrator turn, before its handler runs: the SDK puts `df` on it then. */
  attach(context: unknown): void {
    let df: unknown;
    Object.defineProperty(context, 'df', {
      configurable: true,
      enumerable: true,
      get: () => df,
      set: (value: unknown) => {
        df = value;
        this.#watch(value as Record<string, unknown>);
      },
    });
  }

  /** Names of the functions whose calls were not yielded. */
  findUnyielded(): string[] {
    const unyielded = this.#calls.filter(({ task }) => task?.alreadyScheduled === false);
    return [...new Set(unyielded.map(({ name }) => name))];
  }

  #watch(df: Record<string, unknown>): void {
    for (const method of methods) {
      const call = df[method];
      if (typeof call !== 'function') continue;
      df[method] = (...args: unknown[]) => {
        const task: unknown = call.apply(df, args);
        this.#calls.push({ name: String(args[0]), task: task as Call['task'] });
        return task;
      };
    }
  }
}
