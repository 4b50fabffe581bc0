import type { InvocationContext } from '@azure/functions';

import type { Logger } from '../shared/ports/logger.ts';

/** Writes to the log of the invocation: the text, then the fields as JSON. */
export function loggerOf(context: InvocationContext): Logger {
  const write = { debug: context.debug, info: context.info, warn: context.warn, error: context.error };
  return {
    log: (level, message, fields) => write[level].call(context, `${message} ${JSON.stringify(fields)}`),
  };
}
