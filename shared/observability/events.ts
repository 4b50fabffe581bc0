import type { LoaderError } from '../errors/loader-error.ts';
import type { Logger } from '../ports/logger.ts';

interface RunFields {
  readonly runId: string;
  readonly epoch: number;
}

/** Every log line of the loader: one named event each, with its fields. Keys of objects, URLs and secrets are never among them. */
export const events = {
  runStarted: (logger: Logger, { runId, trigger }: { readonly runId: string; readonly trigger: string }) =>
    logger.log('info', 'run started', { event: 'runStarted', runId, trigger }),
  runEnded: (
    logger: Logger,
    { runId, state, ingested, failed }: { runId: string; state: string; ingested: number; failed: number },
  ) => logger.log('info', 'run ended', { event: 'runEnded', runId, state, ingested, failed }),
  planningFailed: (
    logger: Logger,
    input: RunFields & { readonly page: number; readonly attempt: number; readonly error: LoaderError },
  ) => {
    const { runId, epoch, page, attempt, error } = input;
    logger.log('warn', 'planning failed', {
      event: 'planningFailed',
      runId,
      epoch,
      page,
      attempt,
      code: error.code,
      message: error.message,
    });
  },
  unitFailed: (
    logger: Logger,
    input: RunFields & { readonly shard: string; readonly unit: number; readonly error: LoaderError },
  ) => {
    const { runId, epoch, shard, unit, error } = input;
    logger.log('warn', 'unit failed', {
      event: 'unitFailed',
      runId,
      epoch,
      shard,
      unit,
      code: error.code,
      message: error.message,
    });
  },
  /** Posts of which nobody knows whether the message is in: their objects wait for ADX's report, or for the fence. */
  postsAmbiguous: (
    logger: Logger,
    input: RunFields & {
      readonly shard: string;
      readonly unit: number;
      readonly objects: number;
      readonly sourceId: string;
      readonly message: string;
    },
  ) => logger.log('warn', 'posts without a clear answer', { event: 'postsAmbiguous', ...input }),
  settlingFailed: (
    logger: Logger,
    input: RunFields & { readonly shard: string; readonly error: LoaderError },
  ) => {
    const { runId, epoch, shard, error } = input;
    logger.log('warn', 'settling failed', {
      event: 'settlingFailed',
      runId,
      epoch,
      shard,
      code: error.code,
      message: error.message,
    });
  },
  runReachedDeadline: (logger: Logger, { runId, epoch }: RunFields) =>
    logger.log('warn', 'run has reached its deadline', { event: 'runReachedDeadline', runId, epoch }),
  /** Amazon S3 or Azure Data Explorer throttle: the run uses this share of its concurrency from now on, and more later. */
  runSlowedDown: (
    logger: Logger,
    input: RunFields & { readonly share: number; readonly slowdowns: number },
  ) => logger.log('warn', 'run slowed down', { event: 'runSlowedDown', ...input }),
  /** Whether these objects were rewritten while they were loaded is not known. */
  keysNotLookedAtAgain: (
    logger: Logger,
    input: RunFields & { readonly shard: string; readonly error: LoaderError },
  ) => {
    const { runId, epoch, shard, error } = input;
    logger.log('warn', 'keys could not be looked at again', {
      event: 'keysNotLookedAtAgain',
      runId,
      epoch,
      shard,
      code: error.code,
      message: error.message,
    });
  },
  runSilent: (logger: Logger, { runId, epoch, silentSince }: RunFields & { readonly silentSince: string }) =>
    logger.log('warn', 'run stands still', { event: 'runSilent', runId, epoch, silentSince }),
  runTakenOver: (logger: Logger, { runId, epoch }: RunFields) =>
    logger.log('warn', 'run taken over', { event: 'runTakenOver', runId, epoch }),
  runGivenUp: (logger: Logger, { runId, epoch }: RunFields) =>
    logger.log('error', 'run given up', { event: 'runGivenUp', runId, epoch }),
  undoEnded: (
    logger: Logger,
    input: {
      readonly operationId: string;
      readonly state: string;
      readonly objects: number;
      readonly rows: number;
    },
  ) => logger.log('info', 'undo ended', { event: 'undoEnded', ...input }),
  undoStepFailed: (
    logger: Logger,
    {
      operationId,
      step,
      error,
    }: { readonly operationId: string; readonly step: string; readonly error: LoaderError },
  ) =>
    logger.log('warn', 'a step of an undo failed', {
      event: 'undoStepFailed',
      operationId,
      step,
      code: error.code,
    }),
  cleanedUp: (logger: Logger, { runs, histories }: { readonly runs: number; readonly histories: number }) =>
    logger.log('info', 'old runs and histories removed', { event: 'cleanedUp', runs, histories }),
  cleanUpFailed: (logger: Logger, { error }: { readonly error: LoaderError }) =>
    logger.log('warn', 'old runs or histories could not be removed', {
      event: 'cleanUpFailed',
      code: error.code,
      message: error.message,
    }),
  loadsSeeded: (logger: Logger, { names }: { readonly names: readonly string[] }) =>
    logger.log('info', 'loads read from files', { event: 'loadsSeeded', names: names.join(', ') }),
  loadsOverlap: (logger: Logger, { load, message }: { readonly load: string; readonly message: string }) =>
    logger.log('warn', 'loads overlap', { event: 'loadsOverlap', load, message }),
  loadFileInvalid: (
    logger: Logger,
    { file, error }: { readonly file: string; readonly error: LoaderError },
  ) =>
    logger.log('error', 'a file of the loads folder is not a valid definition', {
      event: 'loadFileInvalid',
      file,
      code: error.code,
      message: [error.message, ...error.problems.map(({ field, message }) => `${field} ${message}`)].join(
        '; ',
      ),
    }),
  eventsReceived: (logger: Logger, { load, objects }: { readonly load: string; readonly objects: number }) =>
    logger.log('info', 'S3 events received', { event: 'eventsReceived', load, objects }),
  eventUnreadable: (logger: Logger, { reason }: { readonly reason: string }) =>
    logger.log('error', 'message is not an S3 event', { event: 'eventUnreadable', reason }),
  tickFailed: (logger: Logger, { load, error }: { readonly load: string; readonly error: LoaderError }) =>
    logger.log('error', 'tick failed for a load', {
      event: 'tickFailed',
      load,
      code: error.code,
      message: error.message,
    }),
  instanceNotEnded: (
    logger: Logger,
    { instance, error }: { readonly instance: string; readonly error: LoaderError },
  ) =>
    logger.log('warn', 'instance of an earlier epoch could not be ended', {
      event: 'instanceNotEnded',
      instance,
      code: error.code,
      message: error.message,
    }),
  openObjectsUnread: (
    logger: Logger,
    {
      runId,
      document,
      error,
    }: { readonly runId: string; readonly document: string; readonly error: LoaderError },
  ) =>
    logger.log('warn', 'open objects of an earlier run could not be read', {
      event: 'openObjectsUnread',
      runId,
      document,
      code: error.code,
      message: error.message,
    }),
  rowsNotCounted: (
    logger: Logger,
    { runId, error }: { readonly runId: string; readonly error: LoaderError },
  ) =>
    logger.log('warn', 'rows could not be counted', {
      event: 'rowsNotCounted',
      runId,
      code: error.code,
      message: error.message,
    }),
} as const;
