import { format } from 'node:util';

/** Levels of the Functions worker, least severe first; `none` silences. */
export const logLevels = ['trace', 'debug', 'information', 'warning', 'error', 'critical', 'none'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Where a line comes from: `host`, `app`, `function.<name>`, `durable`, `queue`, `timer`. */
export interface LogLine {
  readonly level: LogLevel;
  readonly category: string;
  readonly message: string;
}

export interface Logger {
  log(line: LogLine): void;
}

/** Cuts a URL before its query and matrix parts, which may hold keys and signatures. */
export function cutUrl(url: string): string {
  return url.replace(/[?;].*$/s, '');
}

/** Text of anything thrown, with its stack when it has one. */
export function describeError(error: unknown): string {
  if (error instanceof Error) return error.stack ?? error.message;
  return format(error);
}

/**
 * Writes one line per event to stderr.
 *
 * @param params.level least severe level that is written
 * @param params.asJson one JSON object a line instead of plain text
 */
export function createLogger(params: {
  readonly level: LogLevel;
  readonly asJson: boolean;
  readonly write?: (text: string) => void;
}): Logger {
  const threshold = logLevels.indexOf(params.level);
  const write = params.write ?? ((text: string) => process.stderr.write(text));
  return {
    log({ level, category, message }) {
      if (level === 'none' || logLevels.indexOf(level) < threshold) return;
      const time = new Date().toISOString();
      const text = params.asJson
        ? JSON.stringify({ time, level, category, message })
        : `${time} ${level} [${category}] ${message.replaceAll('\n', '\\n')}`;
      write(`${text}\n`);
    },
  };
}
