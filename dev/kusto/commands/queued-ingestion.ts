import { randomUUID } from 'node:crypto';
import { countBlobs, type TrackedOperation } from '../ingest/tracked-operations.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { makeEntityNotFound, makeNotSupported, makeSyntaxError } from '../kusto-error.ts';
import type { CommandContext } from './command-context.ts';
import { CommandText } from './command-text.ts';
import { makeTable } from './make-table.ts';

/** `.ingest-from-storage-queued into table [database('D').]T [EnableTracking=true] [SkipBatching=...] [with (...)] <| urls`. */
export async function ingestFromStorageQueued(
  text: CommandText,
  input: string,
  context: CommandContext,
): Promise<ResultTable> {
  const { catalog } = context.store;
  let { database } = context;
  if (text.take('database')) {
    text.needSymbol('(');
    database = catalog.requireDatabase(text.literal('a database name')).name;
    text.needSymbol(')');
    text.needSymbol('.');
  }
  const table = catalog.requireTable(database, text.name('a table name'));
  const flags = readFlags(text);
  const properties = Object.fromEntries(text.options());
  text.end();
  const urls = readUrls(new CommandText(input));
  const id = await context.queuer.queue({
    database: table.database,
    table: table.name,
    // Their sizes are not known.
    blobs: urls.map((url) => ({ url, sourceId: randomUUID(), rawSizeBytes: undefined })),
    properties,
    isTracked: flags.get('enabletracking') === 'true',
    skipBatching: flags.get('skipbatching') === 'true',
    deleteAfterDownload: false,
  });
  return makeTable('IngestionOperationId, ClientRequestId, OperationInfo', [
    [id, context.clientRequestId, id === '' ? '' : `.show queued ingestion operations "${id}"`],
  ]);
}

const flagNames = ['EnableTracking', 'SkipBatching', 'CompressionFactor'];

/** Lower-case names and values. */
function readFlags(text: CommandText): Map<string, string> {
  const flags = new Map<string, string>();
  for (let name = flagNames.find((flag) => text.take(flag)); name !== undefined; ) {
    text.needSymbol('=');
    flags.set(name.toLowerCase(), text.name(`a value of ${name}`).toLowerCase());
    name = flagNames.find((flag) => text.take(flag));
  }
  return flags;
}

function readUrls(text: CommandText): string[] {
  if (text.take('.list blobs')) throw makeNotSupported('.list blobs');
  const urls: string[] = [];
  while (!text.isAtEnd) {
    urls.push(text.literal('the URL of a blob'));
    text.takeSymbol(',');
  }
  if (urls.length === 0) throw makeSyntaxError('the URL of a blob expected');
  return urls;
}

/** `.show queued ingestion operations "id" | ("id", ...) [details]`. */
export function showQueuedOperations(text: CommandText, context: CommandContext): ResultTable {
  const isList = text.takeSymbol('(');
  const found: TrackedOperation[] = [];
  do {
    found.push(requireOperation(text, context));
    text.takeSymbol(',');
  } while (isList && !text.takeSymbol(')'));
  const isDetails = text.take('details');
  text.end();
  if (!isDetails) return listOperations(found);
  return makeTable(
    'IngestionOperationId, BlobURL, IngestionStatus, StartedAt:datetime, CompletedAt:datetime, FailedReasons',
    found.flatMap((operation) =>
      operation.blobs.map((blob) => [
        ...[operation.id, blob.url, blob.status, blob.startTime],
        ...[['Queued', 'InProgress'].includes(blob.status) ? null : blob.lastUpdated],
        blob.errorCode === '' ? '' : `${blob.errorCode}: ${blob.details}`,
      ]),
    ),
  );
}

/** `.cancel queued ingestion operation "id"`: what is being loaded goes on. */
export function cancelQueuedOperation(text: CommandText, context: CommandContext): ResultTable {
  const operation = requireOperation(text, context);
  text.end();
  context.tracked.cancel(operation);
  return listOperations([operation]);
}

function requireOperation(text: CommandText, context: CommandContext): TrackedOperation {
  const id = text.name('an ingestion operation id');
  const operation = context.tracked.find(id);
  if (operation === undefined) throw makeEntityNotFound('IngestionOperation', id);
  return operation;
}

function listOperations(operations: readonly TrackedOperation[]): ResultTable {
  return makeTable(
    'IngestionOperationId, StartedOn:datetime, LastUpdatedOn:datetime, State, Discovered:long, Pending:long, Canceled:long, Ingested:long, ' +
      'Failed:long, SampleFailedReasons, Database, Table',
    operations.map((operation) => {
      const pending = countBlobs(operation, 'Queued', 'InProgress');
      const canceled = countBlobs(operation, 'Canceled');
      const reasons = operation.blobs
        .filter(({ errorCode }) => errorCode !== '')
        .map(({ errorCode }) => errorCode);
      return [
        ...[operation.id, operation.startTime, operation.lastUpdated],
        pending > 0 ? 'InProgress' : canceled > 0 ? 'Canceled' : 'Completed',
        ...[operation.blobs.length, pending, canceled, countBlobs(operation, 'Succeeded', 'Skipped')],
        ...[countBlobs(operation, 'Failed'), [...new Set(reasons)].slice(0, 10).join('; ')],
        ...[operation.database, operation.table],
      ];
    }),
  );
}
