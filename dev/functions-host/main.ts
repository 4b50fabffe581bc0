import { flushCompileCache } from 'node:module';
import { type RunningHost, startHost } from './host.ts';
import type { HostKeys } from './keys.ts';
import { createLogger, describeError } from './log.ts';
import { type CommandLine, readCommandLine } from './options.ts';

/** The host process: serves one app until it is told to end. Prints one line of JSON when it is ready. */
async function main(): Promise<void> {
  const commandLine = readCommandLine(process.argv.slice(2));
  const logger = createLogger({ level: commandLine.logLevel, asJson: commandLine.logsAsJson });
  const end = (error: unknown) => {
    logger.log({ level: 'critical', category: 'host', message: describeError(error) });
    process.exit(1);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  // The app may print to stdout, which is for the host's one line of settings.
  const print = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  const host = await startHost({
    ...commandLine,
    keys: readKeys(),
    ...(commandLine.eventsPerTurn === undefined ? {} : { eventsPerTurn: commandLine.eventsPerTurn }),
    logger,
    onFatal: end,
  } as Parameters<typeof startHost>[0]);
  endOnSignals(host, commandLine);
  const { functionKey, masterKey, systemKey } = host.keys;
  const url = `http://127.0.0.1:${host.port}`;
  print(`${JSON.stringify({ url, functionKey, masterKey, systemKey, pid: process.pid })}\n`);
  // At the end it would be too late for a host that is killed.
  flushCompileCache();
}

// Keys come by environment, not by argument, so that a list of processes does not show them.
function readKeys(): Partial<HostKeys> {
  const keys: { -readonly [key in keyof HostKeys]?: string } = {};
  const take = (key: keyof HostKeys, name: string) => {
    const value = process.env[name];
    if (value !== undefined && value !== '') keys[key] = value;
    delete process.env[name];
  };
  take('functionKey', 'DEV_HOST_FUNCTION_KEY');
  take('masterKey', 'DEV_HOST_MASTER_KEY');
  take('systemKey', 'DEV_HOST_SYSTEM_KEY');
  return keys;
}

function endOnSignals(host: RunningHost, commandLine: CommandLine): void {
  let isEnding = false;
  const end = () => {
    if (isEnding) return;
    isEnding = true;
    // A hook that never ends must not keep the process.
    setTimeout(() => process.exit(1), commandLine.graceMs + 5_000).unref();
    host
      .stop(commandLine.graceMs)
      .then(() => process.exit(0))
      .catch((error: unknown) => {
        process.stderr.write(`${describeError(error)}\n`);
        process.exit(1);
      });
  };
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  process.on('disconnect', end);
  if (commandLine.endsWithStdin) process.stdin.on('end', end).on('error', end).resume();
}

main().catch((error: unknown) => {
  const cause =
    error instanceof Error && error.cause !== undefined ? `\nCaused by: ${describeError(error.cause)}` : '';
  const text = error instanceof Error ? error.message : describeError(error);
  process.stderr.write(`The functions host can't start: ${text}${cause}\n`);
  process.exit(1);
});
