import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type LogLevel, logLevels } from './log.ts';
import type { KillPoint } from './state-file.ts';

/** The command line of the host process. */
export interface CommandLine {
  readonly appFolder: string;
  readonly port: number;
  readonly stateFile: string;
  readonly envFiles: readonly string[];
  readonly logLevel: LogLevel;
  readonly logsAsJson: boolean;
  readonly runsActivitiesTwice: boolean;
  readonly runsQueueMessagesTwice: boolean;
  readonly eventsPerTurn: number | undefined;
  readonly killAtCommit: KillPoint | undefined;
  readonly endsWithStdin: boolean;
  readonly graceMs: number;
}

const usage = `Usage: node dev/functions-host/main.ts --app DIR --state FILE [options]
  --app DIR               folder with package.json and host.json
  --state FILE            SQLite file that keeps instances, keys and timers; made when absent
  --port N                port on 127.0.0.1; 0 (default) for any free one
  --env-file FILE         settings to add to the environment; may be given several times
  --log-level LEVEL       ${logLevels.join(', ')}; default information
  --log-format FORMAT     text (default) or json
  --events-per-turn N     1 to 32; overrides host.json's controlQueueBatchSize
  --activities-twice      test mode: each activity runs twice at the same time
  --queue-messages-twice  test mode: each queue message is handled twice at the same time
  --kill-at-commit POINT  test mode: before:N or after:N; the process kills itself at its Nth commit to the state file
  --grace-ms N            how long running functions may go on at the end; default 5000
  --exit-with-stdin       end when standard input ends, that is when the parent is gone
Keys come from DEV_HOST_FUNCTION_KEY, DEV_HOST_MASTER_KEY and DEV_HOST_SYSTEM_KEY, else they are made.`;

/** @throws with the usage when an option is unknown, missing or has a bad value */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { values } = parseArgs({
    args: [...args],
    options: {
      app: { type: 'string' },
      state: { type: 'string' },
      port: { type: 'string', default: '0' },
      'env-file': { type: 'string', multiple: true, default: [] },
      'log-level': { type: 'string', default: 'information' },
      'log-format': { type: 'string', default: 'text' },
      'events-per-turn': { type: 'string' },
      'activities-twice': { type: 'boolean', default: false },
      'queue-messages-twice': { type: 'boolean', default: false },
      'kill-at-commit': { type: 'string' },
      'grace-ms': { type: 'string', default: '5000' },
      'exit-with-stdin': { type: 'boolean', default: false },
    },
  });
  if (values.app === undefined || values.state === undefined)
    throw new Error(`--app and --state are needed.\n${usage}`);
  const logLevel = values['log-level'] as LogLevel;
  if (!logLevels.includes(logLevel))
    throw new Error(`--log-level ${logLevel} is unknown. Use ${logLevels.join(', ')}.`);
  const format = values['log-format'];
  if (format !== 'text' && format !== 'json')
    throw new Error(`--log-format ${format} is unknown. Use text or json.`);
  const perTurn = values['events-per-turn'];
  return {
    appFolder: resolve(values.app),
    port: readNumber('--port', values.port, 0, 65_535),
    stateFile: values.state === ':memory:' ? values.state : resolve(values.state),
    envFiles: values['env-file'],
    logLevel,
    logsAsJson: format === 'json',
    runsActivitiesTwice: values['activities-twice'],
    runsQueueMessagesTwice: values['queue-messages-twice'],
    eventsPerTurn: perTurn === undefined ? undefined : readNumber('--events-per-turn', perTurn, 1, 32),
    killAtCommit: readKillPoint(values['kill-at-commit']),
    endsWithStdin: values['exit-with-stdin'],
    graceMs: readNumber('--grace-ms', values['grace-ms'], 0, 3_600_000),
  };
}

function readKillPoint(text: string | undefined): KillPoint | undefined {
  if (text === undefined) return undefined;
  const [, moment, commit] = /^(before|after):([1-9]\d*)$/.exec(text) ?? [];
  if (moment === undefined)
    throw new Error(`--kill-at-commit is "${text}". Use before:N or after:N, N from 1.`);
  return { moment: moment as KillPoint['moment'], commit: Number(commit) };
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`${name} is "${text}". Use a whole number from ${least} to ${most}.`);
}
