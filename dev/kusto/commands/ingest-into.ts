import { runConcurrently } from '../ingest/concurrency.ts';
import { type DownloadedSource, downloadSource, MAX_SOURCE_BYTES } from '../ingest/download.ts';
import { cutSecrets, IngestionError } from '../ingest/ingestion-error.ts';
import { type IngestionProperties, readProperties } from '../ingest/ingestion-message.ts';
import { AlreadyIngested, loadSources } from '../ingest/load-sources.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { makeSyntaxError } from '../kusto-error.ts';
import type { StoredTable } from '../storage/catalog.ts';
import { formatTimespan } from '../ticks.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandText } from './command-text.ts';
import { makeTable } from './make-table.ts';
import { runOrStart } from './operations.ts';

const DOWNLOADS = 4;
export const NO_EXTENT = '00000000-0000-0000-0000-000000000000';
const KIND = 'DataIngestPull';

/** `.ingest [async] into table T (h'url', ...) [with (...)]`: all sources or none, in one extent. */
export function ingestInto(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const isAsync = text.take('async');
  if (!text.take('into table') && !text.take('into')) throw makeSyntaxError("'into table' expected");
  const table = context.store.catalog.requireTable(context.database, text.name('a table name'));
  const urls = readUrls(text);
  const options = text.options();
  text.end();
  return runOrStart(context, { kind: KIND, isAsync }, (operationId) =>
    load({ operationId, table, urls, options }, context),
  );
}

function readUrls(text: CommandText): string[] {
  if (!text.takeSymbol('(')) return [text.literal('a source')];
  const urls: string[] = [];
  do urls.push(text.literal('a source'));
  while (text.takeSymbol(','));
  text.needSymbol(')');
  return urls;
}

interface IngestInput {
  readonly operationId: string;
  readonly table: StoredTable;
  readonly urls: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

async function load(input: IngestInput, context: CommandContext): Promise<ResultTable> {
  const { operationId, urls, options } = input;
  const startedAtMs = Date.now();
  const properties = readProperties(options);
  const extentId = await loadAll(input, properties, context);
  const duration = formatTimespan(BigInt(Date.now() - startedAtMs) * 10_000n);
  return makeTable(
    'ExtentId:guid, ItemLoaded, Duration:timespan, HasErrors:bool, OperationId:guid',
    urls.map((url) => [extentId, cutSecrets(url), duration, false, operationId]),
  );
}

/** @returns the id of the extent, or `NO_EXTENT` when `ingestIfNotExists` found one of its tags. @throws IngestionError of the first source that can't be loaded. */
async function loadAll(
  { operationId, table, urls, options }: IngestInput,
  properties: IngestionProperties,
  context: CommandContext,
): Promise<string> {
  const fetched: (DownloadedSource | undefined)[] = urls.map(() => undefined);
  const fail = (error: unknown, url: string): never => {
    if (error instanceof IngestionError) {
      context.operations.addFailure({
        operationId,
        kind: KIND,
        database: table.database,
        table: table.name,
        sourcePath: error.sourcePath ?? cutSecrets(url),
        properties: JSON.stringify(Object.fromEntries(options)),
        error,
      });
    }
    throw error;
  };
  try {
    await runConcurrently(urls, DOWNLOADS, async (url, index) => {
      if (!/^https?:\/\/[^/]/i.test(url))
        fail(new IngestionError('BadRequest_InvalidBlobUri', `'${cutSecrets(url)}' is no http(s) URL.`), url);
      try {
        fetched[index] = await downloadSource({
          url,
          sniff: context.resources.ownsBlob(url),
          treatGzAsUncompressed: properties.treatGzAsUncompressed,
          zipPattern: properties.zipPattern,
          maxBytes: MAX_SOURCE_BYTES,
          folder: context.folder,
          signal: context.signal,
        });
      } catch (error) {
        fail(error, url);
      }
    });
    const sources = fetched
      .filter((data) => data !== undefined)
      .map((data, index) => ({ data, sourcePath: cutSecrets(urls[index] ?? '') }));
    const { extent } = await loadSources(context.store, {
      database: table.database,
      table: table.name,
      properties,
      sources,
      isAllOrNothing: true,
    }).catch((error: unknown) =>
      error instanceof AlreadyIngested ? { extent: undefined } : fail(error, urls[0] ?? ''),
    );
    return extent?.id ?? NO_EXTENT;
  } finally {
    for (const source of fetched) await source?.dispose();
  }
}
