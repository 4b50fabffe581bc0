export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Where log lines go. Callers pass named events of `shared/observability/events.ts`, not free text. */
export interface Logger {
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields): void;
}
