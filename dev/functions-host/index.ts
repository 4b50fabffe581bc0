import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compileCacheEnv } from '../compile-cache.ts';
import type { RunningPart } from '../part.ts';

export interface FunctionsHostOptions {
  /** Folder with the app's package.json and host.json. */
  readonly appFolder: string;
  /** Port on 127.0.0.1; any free one by default. */
  readonly port?: number;
  /** SQLite file of the host; kept over restarts. */
  readonly stateFile: string;
  /** Settings for the app, on top of this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly envFiles?: readonly string[];
  /** Keys; the state file's, or new ones, by default. */
  readonly functionKey?: string;
  readonly masterKey?: string;
  readonly systemKey?: string;
  /** Gets each line of the host's log. */
  readonly onLog?: (line: string) => void;
  /** Least severe level that is logged; `information` by default. */
  readonly logLevel?: string;
  readonly logFormat?: 'text' | 'json';
  /** 1 to 32; host.json's `controlQueueBatchSize` by default. */
  readonly eventsPerTurn?: number;
  /** Test mode: each activity runs twice at the same time, the first result wins. */
  readonly activitiesTwice?: boolean;
  /** Test mode: each queue message is handled twice at the same time. */
  readonly queueMessagesTwice?: boolean;
  /** Test mode: the process kills itself right before or after its Nth commit to the state file. */
  readonly killAtCommit?: `${'before' | 'after'}:${number}`;
  /** How long running functions may go on at the end; 5000 by default. */
  readonly graceMs?: number;
}

export interface FunctionsHost extends RunningPart {
  readonly url: string;
  readonly functionKey: string;
  readonly masterKey: string;
  readonly systemKey: string;
  readonly pid: number;
  /** Ends the process by a signal, without a grace for SIGKILL; resolves when it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when the process has ended, by itself or not, with its exit code (null: a signal). */
  readonly ended: Promise<number | null>;
}

interface Settings {
  readonly url: string;
  readonly functionKey: string;
  readonly masterKey: string;
  readonly systemKey: string;
  readonly pid: number;
}

const tailLines = 40;

/**
 * Runs a functions host as a child process, which ends when this process does.
 *
 * @throws when the host ends before it is ready, with the end of its log
 */
export async function startFunctionsHost(options: FunctionsHostOptions): Promise<FunctionsHost> {
  const child = spawn(process.execPath, toArguments(options), {
    env: { ...process.env, ...compileCacheEnv, ...options.env, ...toKeyVariables(options) },
    // A group of its own: Ctrl-C in a terminal is for whoever stops the parts in their order.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code));
    child.once('error', () => resolve(null));
  });
  const tail: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    tail.push(line);
    if (tail.length > tailLines) tail.shift();
    options.onLog?.(line);
  });
  const ready = new Promise<Settings>((resolve) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line) as Settings));
  });
  const settings = await Promise.race([ready, ended]);
  if (settings === null || typeof settings === 'number') {
    throw new Error(
      `The functions host for ${options.appFolder} ended before it was ready:\n${tail.join('\n')}`,
    );
  }
  return toPart({ child, settings, ended });
}

function toPart(params: {
  child: ChildProcess;
  settings: Settings;
  ended: Promise<number | null>;
}): FunctionsHost {
  const { child, settings, ended } = params;
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  return {
    name: 'host',
    ...settings,
    settings: { ...settings },
    ended,
    kill,
    status: () =>
      Promise.resolve(child.exitCode === null && child.signalCode === null ? 'running' : 'stopped'),
    stop: () => kill('SIGTERM'),
  };
}

function toArguments(options: FunctionsHostOptions): string[] {
  const args = [fileURLToPath(new URL('main.ts', import.meta.url)), '--exit-with-stdin'];
  const add = (name: string, value: string | number | undefined) => {
    if (value !== undefined) args.push(name, String(value));
  };
  add('--app', options.appFolder);
  add('--state', options.stateFile);
  add('--port', options.port);
  add('--log-level', options.logLevel);
  add('--log-format', options.logFormat);
  add('--events-per-turn', options.eventsPerTurn);
  add('--kill-at-commit', options.killAtCommit);
  add('--grace-ms', options.graceMs);
  for (const file of options.envFiles ?? []) add('--env-file', file);
  if (options.activitiesTwice === true) args.push('--activities-twice');
  if (options.queueMessagesTwice === true) args.push('--queue-messages-twice');
  return args;
}

function toKeyVariables(options: FunctionsHostOptions): Record<string, string> {
  const { functionKey, masterKey, systemKey } = options;
  return {
    ...(functionKey === undefined ? {} : { DEV_HOST_FUNCTION_KEY: functionKey }),
    ...(masterKey === undefined ? {} : { DEV_HOST_MASTER_KEY: masterKey }),
    ...(systemKey === undefined ? {} : { DEV_HOST_SYSTEM_KEY: systemKey }),
  };
}
