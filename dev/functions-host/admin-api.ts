import type { FunctionRunner } from './function-runner.ts';
import type { FunctionsCore, RegisteredFunction } from './functions-core.ts';
import { type HttpAnswer, json, status } from './http-answer.ts';
import { describeError, type Logger } from './log.ts';
import { type Metrics, renderMetrics } from './metrics.ts';
import type { TimerTrigger } from './timer-trigger.ts';

/** Endpoints below /admin; the caller has checked the master key. */
export class AdminApi {
  readonly #core: FunctionsCore;
  readonly #runner: FunctionRunner;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #timers: ReadonlyMap<string, TimerTrigger>;

  constructor(params: {
    core: FunctionsCore;
    runner: FunctionRunner;
    metrics: Metrics;
    logger: Logger;
    timers: ReadonlyMap<string, TimerTrigger>;
  }) {
    this.#core = params.core;
    this.#runner = params.runner;
    this.#metrics = params.metrics;
    this.#logger = params.logger;
    this.#timers = params.timers;
  }

  handle(request: { method: string; segments: readonly string[]; body: Buffer }): HttpAnswer {
    const [area, name] = request.segments;
    const path = `${request.method} ${request.segments.join('/')}`.toLowerCase();
    if (path === 'get host/status') return json(200, { id: 'local', state: 'Running', version: '4.1037.0' });
    if (path === 'get host/metrics') return json(200, renderMetrics(this.#metrics));
    if (path === 'get functions') return json(200, [...this.#core.functions.values()].map(describe));
    if (area?.toLowerCase() !== 'functions' || name === undefined || request.segments.length !== 2)
      return status(404);
    const fn = [...this.#core.functions.values()].find(
      (each) => each.name.toLowerCase() === name.toLowerCase(),
    );
    if (fn === undefined) return status(404);
    if (request.method === 'GET') return json(200, describe(fn));
    return request.method === 'POST' ? this.#run(fn, request.body) : status(405);
  }

  #run(fn: RegisteredFunction, body: Buffer): HttpAnswer {
    const type = fn.trigger.type.toLowerCase();
    if (type !== 'timertrigger' && type !== 'queuetrigger') {
      return json(400, {
        Message: `'${fn.name}' has a ${fn.trigger.type}; only timer and queue functions can be run here.`,
      });
    }
    const input = readInput(body);
    if (input === null) return json(400, { Message: 'Send a JSON object with "input" as text.' });
    const timer = this.#timers.get(fn.name);
    const run = timer?.runOnce() ?? this.#runner.run(fn, { triggerData: { string: input } });
    run.catch((error: unknown) => {
      const message = `Executed '${fn.name}' (Failed): ${describeError(error)}`;
      this.#logger.log({ level: 'error', category: `function.${fn.name}`, message });
    });
    return status(202);
  }
}

function describe(fn: RegisteredFunction): Record<string, unknown> {
  return {
    name: fn.name,
    bindings: Object.entries(fn.bindings).map(([name, binding]) => ({ ...binding, name })),
  };
}

function readInput(body: Buffer): string | null {
  if (body.length === 0) return '';
  try {
    const value = JSON.parse(body.toString('utf8')) as { input?: unknown };
    if (value.input === undefined || value.input === null) return '';
    return typeof value.input === 'string' ? value.input : JSON.stringify(value.input);
  } catch {
    return null;
  }
}
