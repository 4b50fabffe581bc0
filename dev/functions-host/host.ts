import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AdminApi } from './admin-api.ts';
import { loadApp } from './app-loader.ts';
import { checkFunctions } from './bindings-check.ts';
import { DurableClientApi } from './durable/client-api.ts';
import { createClientBinding } from './durable/client-binding.ts';
import { DurableEngine } from './durable/engine.ts';
import { DurableStore } from './durable/store.ts';
import { FunctionRunner } from './function-runner.ts';
import { FunctionsCore, provideFunctionsCore, type RegisteredFunction } from './functions-core.ts';
import { createRoutes } from './http-routes.ts';
import { createHttpServer } from './http-server.ts';
import { Invoker } from './invocation.ts';
import { type HostKeys, loadKeys } from './keys.ts';
import type { Logger } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { QueueOutputs } from './queue-output.ts';
import { QueueTrigger } from './queue-trigger.ts';
import { applyAppSettings, type HostSettings, readHostSettings } from './settings.ts';
import { type KillPoint, StateFile } from './state-file.ts';
import { createTimerTable, TimerTrigger } from './timer-trigger.ts';

/** For the answer, or the failure in a history, of an invocation that took too long. */
const timeoutGraceMs = 250;

export interface HostOptions {
  readonly appFolder: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly stateFile: string;
  readonly envFiles: readonly string[];
  readonly keys: Partial<HostKeys>;
  readonly runsActivitiesTwice: boolean;
  readonly runsQueueMessagesTwice: boolean;
  /** Overrides host.json's `controlQueueBatchSize`. */
  readonly eventsPerTurn?: number;
  /** Test mode: the process kills itself there. */
  readonly killAtCommit?: KillPoint;
  readonly logger: Logger;
  /** Called when the host can't go on. */
  readonly onFatal: (error: unknown) => void;
}

export interface RunningHost {
  readonly port: number;
  readonly keys: HostKeys;
  /** Ends listeners, waits for running functions up to the grace, runs the appTerminate hooks. */
  stop(graceMs: number): Promise<void>;
}

/** Loads the app and serves it. This process is the app's worker, so it can be done once only. */
export async function startHost(options: HostOptions): Promise<RunningHost> {
  const { logger } = options;
  applyAppSettings(options);
  const settings = readHostSettings(options.appFolder);
  const metrics = createMetrics();
  const state = new StateFile({
    path: options.stateFile,
    counters: metrics.durable,
    ...(options.killAtCommit === undefined ? {} : { killAtCommit: options.killAtCommit }),
    onFatal: options.onFatal,
  });
  const keys = loadKeys(state, options.keys);
  const placeholder = await reservePort(options.port);
  const { port } = placeholder;
  setEnvironment({ port, appFolder: options.appFolder });
  const core = new FunctionsCore((level, category, message) => logger.log({ level, category, message }));
  provideFunctionsCore(core);
  await loadApp(options.appFolder);
  checkFunctions(core);
  // The real host ends the worker then, and with it all that runs there; the failure itself is still told.
  const onTimeout = (error: Error) => void setTimeout(() => options.onFatal(error), timeoutGraceMs);
  const invoker = new Invoker({ core, logger, metrics, timeoutMs: settings.functionTimeoutMs, onTimeout });
  await invoker.runAppHook('appStart');
  core.lock();
  await refuseStreaming(core);
  const parts = createParts({ options, settings, metrics, state, keys, core, invoker, port });
  await placeholder.listen(parts.server);
  parts.start();
  for (const fn of core.functions.values()) {
    logger.log({
      level: 'information',
      category: 'host',
      message: `Function ${fn.name}: ${fn.trigger.type}`,
    });
  }
  return {
    port,
    keys,
    async stop(graceMs) {
      parts.server.close();
      await parts.stop();
      const isIdle = await invoker.drain(graceMs);
      if (!isIdle)
        logger.log({
          level: 'warning',
          category: 'host',
          message: 'Functions were cut off at the end of the grace',
        });
      await invoker.runAppHook('appTerminate');
      parts.server.closeAllConnections();
      // What the last invocations gave back is queued for the state file by now.
      await new Promise((resolve) => setImmediate(resolve));
      state.close();
    },
  };
}

interface Parts {
  readonly server: Server;
  start(): void;
  stop(): Promise<void>;
}

function createParts(params: {
  options: HostOptions;
  settings: HostSettings;
  metrics: Metrics;
  state: StateFile;
  keys: HostKeys;
  core: FunctionsCore;
  invoker: Invoker;
  port: number;
}): Parts {
  const { options, settings, metrics, state, keys, core, invoker, port } = params;
  const { logger } = options;
  const withTrigger = (type: string) => core.withTrigger(type).filter((fn) => !isDisabled(fn.name));
  const clientBinding = createClientBinding({ port, hubName: settings.hubName, systemKey: keys.systemKey });
  for (const type of ['durableClient', 'orchestrationClient'])
    invoker.provideInput(type, () => clientBinding);
  const store = new DurableStore(state);
  const enabled = [...core.functions.values()].filter((fn) => !isDisabled(fn.name));
  const runner = new FunctionRunner(invoker, new QueueOutputs(enabled, settings.queues.messageEncoding));
  const engine = new DurableEngine({
    store,
    invoker,
    runner,
    orchestrators: byName(withTrigger('orchestrationTrigger')),
    activities: byName(withTrigger('activityTrigger')),
    logger,
    counters: metrics.durable,
    eventsPerTurn: options.eventsPerTurn ?? settings.eventsPerTurn,
    maxConcurrentActivities: settings.maxConcurrentActivityFunctions,
    maxConcurrentTurns: settings.maxConcurrentOrchestratorFunctions,
    runsActivitiesTwice: options.runsActivitiesTwice,
  });
  createTimerTable(state.database);
  const timers = withTrigger('timerTrigger').map(
    (fn) => [fn.name, new TimerTrigger({ fn, runner, state, logger })] as const,
  );
  const runsTwice = options.runsQueueMessagesTwice;
  const queues = withTrigger('queueTrigger').map(
    (fn) => new QueueTrigger({ fn, runner, settings: settings.queues, logger, runsTwice }),
  );
  const server = createHttpServer({
    routes: createRoutes(withTrigger('httpTrigger'), settings.routePrefix),
    runner,
    admin: new AdminApi({ core, runner, metrics, logger, timers: new Map(timers) }),
    durable: new DurableClientApi({
      engine,
      store,
      hubName: settings.hubName,
      systemKey: keys.systemKey,
      port: () => port,
    }),
    keys,
    logger,
  });
  return {
    server,
    start() {
      engine.start();
      for (const [, timer] of timers) timer.start();
      for (const queue of queues) queue.start();
    },
    async stop() {
      engine.stop();
      for (const [, timer] of timers) timer.stop();
      await Promise.all(queues.map((queue) => queue.stop()));
    },
  };
}

function byName(functions: readonly RegisteredFunction[]): Map<string, RegisteredFunction> {
  return new Map(functions.map((fn) => [fn.name, fn]));
}

function isDisabled(name: string): boolean {
  const value = process.env[`AzureWebJobs.${name}.Disabled`] ?? process.env[`AzureWebJobs_${name}_Disabled`];
  return value === 'true' || value === '1';
}

/**
 * The app must know the port before the app is loaded, but requests may come only afterwards: the port is taken
 * by a server that answers nothing, and handed over.
 */
async function reservePort(port: number): Promise<{ port: number; listen(server: Server): Promise<void> }> {
  const { createServer } = await import('node:net');
  const holder = createServer((socket) => socket.destroy());
  await listen(holder, port);
  const taken = (holder.address() as AddressInfo).port;
  return {
    port: taken,
    async listen(server) {
      await new Promise<void>((resolve) => holder.close(() => resolve()));
      await listen(server, taken);
    },
  };
}

function listen(server: import('node:net').Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const isTaken = cause.code === 'EADDRINUSE';
      reject(isTaken ? new Error(`Port ${port} is in use. Choose another, or 0 for any free one.`) : cause);
    });
    server.listen(port, '127.0.0.1', () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

// Without WEBSITE_HOSTNAME the durable client rewrites every address to port 7071.
function setEnvironment(params: { port: number; appFolder: string }): void {
  process.env.WEBSITE_HOSTNAME = `localhost:${params.port}`;
  process.env.AZURE_FUNCTIONS_ENVIRONMENT ??= 'Development';
  process.env.FUNCTIONS_WORKER_RUNTIME ??= 'node';
  process.env.AzureWebJobsScriptRoot = params.appFolder;
}

async function refuseStreaming(core: FunctionsCore): Promise<void> {
  const capabilities = await core.model?.getCapabilities?.({});
  if (capabilities?.HttpUri !== undefined) {
    throw new Error(
      'The app sets enableHttpStream, which this host does not support. Remove it from app.setup, or use "func start".',
    );
  }
}
