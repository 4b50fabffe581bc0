import { LoaderError } from '../errors/loader-error.ts';
import type { LogFields, Logger } from '../ports/logger.ts';

type Level = Parameters<Logger['log']>[0];

/** The fields that events have, by name. Keys of objects, URLs and secrets are never among them. */
interface FieldTypes {
  readonly runId: string;
  readonly epoch: number;
  readonly shard: string;
  readonly unit: number;
  readonly page: number;
  readonly attempt: number;
  readonly trigger: string;
  readonly state: string;
  readonly ingested: number;
  readonly failed: number;
  readonly share: number;
  readonly slowdowns: number;
  readonly silentSince: string;
  readonly objects: number;
  readonly sourceId: string;
  readonly document: string;
  readonly instance: string;
  readonly operationId: string;
  readonly kind: string;
  readonly step: string;
  readonly load: string;
  readonly names: readonly string[];
  readonly file: string;
  readonly runs: number;
  readonly histories: number;
  readonly reason: string;
  readonly function: string;
  readonly recorder: string;
  readonly message: string;
  readonly code: string;
  /** Told as `code`, and as `message` with all of its problems. */
  readonly error: LoaderError;
}
type Field = keyof FieldTypes;

interface EventKind<Fields extends Field = Field> {
  /** Stable: queries and alerts may rely on it. A number is never used again. */
  readonly id: number;
  readonly level: Level;
  readonly text: string;
  /** What it means, for docs/REFERENCE.md. */
  readonly meaning: string;
  /** Nothing else is written, whatever else a caller's object holds. */
  readonly fields: readonly Fields[];
}

function kind<const Fields extends Field>(
  id: number,
  level: Level,
  text: string,
  meaning: string,
  fields: readonly Fields[],
): EventKind<Fields> {
  return { id, level, text, meaning, fields };
}

const IN_RUN = ['runId', 'epoch'] as const;
const IN_SHARD = [...IN_RUN, 'shard'] as const;

/**
 * Every log line of the loader: one named event each, with its fields. Numbers: 1xx runs, 2xx parts of a run, 3xx operations, 4xx loads and S3 events, 5xx upkeep, 6xx requests.
 */
export const EVENT_KINDS = {
  runStarted: kind(100, 'info', 'run started', 'A run has begun.', ['runId', 'trigger']),
  runEnded: kind(101, 'info', 'run ended', 'A run has ended; its summary tells more.', [
    'runId',
    'state',
    'ingested',
    'failed',
  ]),
  runReachedDeadline: kind(
    102,
    'warn',
    'run has reached its deadline',
    'It starts no further objects; the rest is for the next run.',
    [...IN_RUN],
  ),
  runSlowedDown: kind(
    103,
    'warn',
    'run slowed down',
    'Amazon S3 or Azure Data Explorer throttle: the run uses this share of its concurrency from now on, and more later.',
    [...IN_RUN, 'share', 'slowdowns'],
  ),
  runSilent: kind(
    104,
    'warn',
    'run stands still',
    'A part of the run gives no sign of life. If that lasts, the run is taken over.',
    [...IN_RUN, 'silentSince'],
  ),
  runTakenOver: kind(
    105,
    'warn',
    'run taken over',
    'A new instance goes on with the run, in the next epoch. Look for restarts of the host when it happens often.',
    [...IN_RUN],
  ),
  runGivenUp: kind(
    106,
    'error',
    'run given up',
    'The run was taken over too often. What is open is handed on to the next run.',
    [...IN_RUN],
  ),
  rowsNotCounted: kind(
    107,
    'warn',
    'rows could not be counted',
    'The summary of the run says that its rows are not known; count them again by GET /api/runs/{id}/rows.',
    ['runId', 'error'],
  ),
  planningFailed: kind(
    200,
    'warn',
    'planning failed',
    'A plan page could not be made. It is tried again, unless the error is permanent: then the run ends.',
    [...IN_RUN, 'page', 'attempt', 'error'],
  ),
  unitFailed: kind(
    201,
    'warn',
    'unit failed',
    'A pack of objects could not be worked through. Its shard is tried again.',
    [...IN_SHARD, 'unit', 'error'],
  ),
  postsAmbiguous: kind(
    202,
    'warn',
    'posts without a clear answer',
    "Nobody knows whether these messages are in: their objects wait for Azure Data Explorer's report, or for the fence.",
    [...IN_SHARD, 'unit', 'objects', 'sourceId', 'message'],
  ),
  settlingFailed: kind(
    203,
    'warn',
    'settling failed',
    'The reports on a shard could not be read or written down. It is looked at again.',
    [...IN_SHARD, 'error'],
  ),
  keysNotLookedAtAgain: kind(
    204,
    'warn',
    'keys could not be looked at again',
    'Whether these objects were rewritten while they were loaded is not known.',
    [...IN_SHARD, 'error'],
  ),
  footersNotRead: kind(
    205,
    'warn',
    'Parquet footers could not be read',
    'How many rows these objects hold is not known, and so not whether all of them are in the table.',
    [...IN_SHARD, 'error'],
  ),
  openObjectsUnread: kind(
    206,
    'warn',
    'open objects of an earlier run could not be read',
    'They are looked at by a later run.',
    ['runId', 'document', 'error'],
  ),
  instanceNotEnded: kind(
    207,
    'warn',
    'instance of an earlier epoch could not be ended',
    'What it still does is refused by the epoch; it ends by itself.',
    ['instance', 'error'],
  ),
  operationEnded: kind(
    300,
    'info',
    'operation ended',
    'An undo or a reset has ended; GET /api/operations/{id} tells more.',
    ['operationId', 'kind', 'state', 'objects'],
  ),
  operationStepFailed: kind(
    301,
    'warn',
    'a step of an operation failed',
    'It is tried again, unless the error is permanent: then the operation has failed, and says why.',
    ['operationId', 'step', 'code'],
  ),
  loadsSeeded: kind(
    400,
    'info',
    'loads read from files',
    'The definitions of the loads folder are in place.',
    ['names'],
  ),
  loadFileInvalid: kind(
    401,
    'error',
    'a file of the loads folder is not a valid definition',
    'Correct the file; the other ones are in place.',
    ['file', 'error'],
  ),
  loadsOverlap: kind(
    402,
    'warn',
    'loads overlap',
    'Two loads may load the same objects into the same table, and neither knows of the other.',
    ['load', 'message'],
  ),
  eventsReceived: kind(403, 'info', 'S3 events received', 'Objects are on the pending list of the load.', [
    'load',
    'objects',
  ]),
  eventUnreadable: kind(
    404,
    'error',
    'message is not an S3 event',
    'It goes to the poison queue. Send S3, SNS or EventBridge notifications to the queue, and nothing else.',
    ['reason'],
  ),
  tickFailed: kind(
    500,
    'error',
    'tick failed for a load',
    'Its schedule, events and runs were not looked after this minute; the next tick tries again.',
    ['load', 'error'],
  ),
  notRecorded: kind(
    503,
    'warn',
    'a run or a shard could not be recorded',
    'Spans, metrics or rows of history are missing; nothing of the run depends on them.',
    ['runId', 'recorder', 'error'],
  ),
  cleanedUp: kind(
    501,
    'info',
    'old runs and histories removed',
    'By LOADER_RETENTION_RUNS and LOADER_RETENTION_HISTORY.',
    ['runs', 'histories'],
  ),
  cleanUpFailed: kind(
    502,
    'warn',
    'old runs or histories could not be removed',
    'The next clean-up tries again.',
    ['error'],
  ),
  statusesLeft: kind(
    504,
    'warn',
    'status entities of an old run could not be removed from the cluster',
    'The cluster did not answer. The clean-up tries again for 7 days; then the run goes, and they stay. They do no harm.',
    ['runId', 'error'],
  ),
  requestFailed: kind(
    600,
    'error',
    'request failed',
    'A caller was answered with an error that is not its own: a service behind the app does not answer, or the loader has an error.',
    ['function', 'error'],
  ),
} as const;

type EventName = keyof typeof EVENT_KINDS;
type FieldsOf<Name extends EventName> = Pick<FieldTypes, (typeof EVENT_KINDS)[Name]['fields'][number]>;
type Events = { readonly [Name in EventName]: (logger: Logger, fields: FieldsOf<Name>) => void };

/** A function for each event that writes it to a log. */
export const events = Object.fromEntries(
  Object.entries<EventKind>(EVENT_KINDS).map(([event, { id, level, text, fields }]) => [
    event,
    (logger: Logger, given: FieldTypes) =>
      logger.log(level, text, {
        event,
        eventId: id,
        ...Object.fromEntries(fields.flatMap((field) => written(field, given[field]))),
      }),
  ]),
) as unknown as Events;

function written(field: Field, value: FieldTypes[Field]): readonly [string, LogFields[string]][] {
  if (value instanceof LoaderError) {
    const { code, message, problems } = value;
    const all = [message, ...problems.map((problem) => `${problem.field} ${problem.message}`)];
    return [
      ['code', code],
      ['message', all.join('; ')],
    ];
  }
  return [[field, typeof value === 'object' ? value.join(', ') : value]];
}
