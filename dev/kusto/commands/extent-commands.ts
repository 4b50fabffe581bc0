import { makeInlineSource } from '../ingest/download.ts';
import { IngestionError } from '../ingest/ingestion-error.ts';
import { readProperties } from '../ingest/ingestion-message.ts';
import { AlreadyIngested, type LoadResult, loadSources } from '../ingest/load-sources.ts';
import { type ResultTable, runQuery } from '../kql/run-query.ts';
import { KustoError, makeAlreadyExists, makeNotSupported, makeSyntaxError } from '../kusto-error.ts';
import type { Extent, StoredTable } from '../storage/catalog.ts';
import type { Store } from '../storage/store.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandText } from './command-text.ts';
import { NO_EXTENT } from './ingest-into.ts';
import { makeTable } from './make-table.ts';
import { runOrStart } from './operations.ts';

export interface FoundExtent {
  readonly table: StoredTable;
  readonly extent: Extent;
}

/** `[(id, ...)] [where tags has 'x' [and tags contains 'y'] ...]` after `extents`. */
export function findExtents(
  tables: readonly StoredTable[],
  text: CommandText,
  context: CommandContext,
): FoundExtent[] {
  const { catalog } = context.store;
  let found = tables.flatMap((table) => catalog.extentsOf(table).map((extent) => ({ table, extent })));
  if (text.takeSymbol('(')) {
    const ids: string[] = [];
    while (!text.takeSymbol(')')) {
      ids.push(text.name('an extent id').toLowerCase());
      text.takeSymbol(',');
    }
    found = found.filter(({ extent }) => ids.includes(extent.id));
  }
  text.take('hot');
  if (text.take('where')) {
    do {
      if (!text.take('tags'))
        throw makeNotSupported(`'where ${text.rest.slice(0, 40)}' of extents; use | where`);
      const isNegated = text.takeSymbol('!');
      const isHas = text.take('has');
      if (!isHas && !text.take('contains'))
        throw makeSyntaxError(`has or contains expected before '${text.rest.slice(0, 40)}'`);
      const wanted = text.string('a tag');
      const matches = (extent: Extent) =>
        isHas
          ? extent.tags.includes(wanted)
          : extent.tags.some((tag) => tag.toLowerCase().includes(wanted.toLowerCase()));
      found = found.filter(({ extent }) => matches(extent) !== isNegated);
    } while (text.take('and'));
  }
  text.end();
  return found;
}

export function showExtents(found: readonly FoundExtent[]): ResultTable {
  return makeTable(
    'ExtentId:guid, DatabaseName, TableName, MaxCreatedOn:datetime, OriginalSize:real, ExtentSize:real, CompressedSize:real, IndexSize:real, ' +
      'Blocks:long, Segments:long, ExtentContainerId, RowCount:long, MinCreatedOn:datetime, Tags, Kind, DeletedRowCount:long',
    found.map(({ table, extent }) => [
      ...[extent.id, table.database, table.name, extent.createdOn],
      ...[extent.originalSizeBytes, extent.originalSizeBytes, extent.originalSizeBytes, 0, 1, 1],
      ...['', extent.rowCount, extent.createdOn, extent.tags.join('\r\n'), 'DataExtent', 0],
    ]),
  );
}

export async function dropExtents(
  found: readonly FoundExtent[],
  context: CommandContext,
): Promise<ResultTable> {
  for (const table of new Set(found.map((entry) => entry.table))) {
    await context.store.dropExtents(
      table,
      found.filter((entry) => entry.table === table).map((entry) => entry.extent),
    );
  }
  return makeTable(
    'ExtentId:guid, TableName, CreatedOn:datetime',
    found.map(({ table, extent }) => [extent.id, table.name, extent.createdOn]),
  );
}

/** `.ingest inline into table T [with (...)] <| rows`. */
export async function ingestInline(
  text: CommandText,
  data: string,
  context: CommandContext,
): Promise<ResultTable> {
  if (!text.take('into table')) text.take('into');
  const name = text.name('a table name');
  const options = text.options();
  text.end();
  const table = context.store.catalog.requireTable(context.database, name);
  const bytes = Buffer.from(data.replace(/^[ \t]*\r?\n/, '').replace(/^[ \t]+/, ''));
  const result = await loadText(context.store, table, bytes, options);
  return makeTable('ExtentId:guid', [[result.extent?.id ?? NO_EXTENT]]);
}

async function loadText(
  store: Store,
  table: StoredTable,
  bytes: Buffer,
  options: ReadonlyMap<string, string>,
): Promise<LoadResult> {
  const result = await loadSources(store, {
    database: table.database,
    table: table.name,
    properties: readProperties(options),
    sources: [{ sourcePath: 'inline', data: makeInlineSource(bytes) }],
  }).catch((error: unknown): LoadResult => {
    if (error instanceof AlreadyIngested) return { outcomes: [], extent: undefined };
    throw error;
  });
  const [outcome] = result.outcomes;
  if (outcome instanceof IngestionError && outcome.errorCode !== 'BadRequest_NoRecordsOrWrongFormat')
    throw outcome;
  return result;
}

interface SetInput {
  readonly mode: 'set' | 'append' | 'set-or-append' | 'set-or-replace';
  readonly name: string;
  readonly options: ReadonlyMap<string, string>;
  readonly query: string;
}

/** `.set`, `.append`, `.set-or-append`, `.set-or-replace T <| query`: columns match by position and type. */
export async function setFromQuery(
  mode: SetInput['mode'],
  text: CommandText,
  query: string,
  context: CommandContext,
): Promise<ResultTable> {
  const isAsync = text.take('async');
  const name = text.name('a table name');
  const options = text.options();
  text.end();
  const kind = `Table${mode.replace(/(?:^|-)(.)/g, (_all, first: string) => first.toUpperCase())}`;
  return runOrStart(context, { kind, isAsync }, () => loadFromQuery({ mode, name, options, query }, context));
}

async function loadFromQuery(
  { mode, name, options, query }: SetInput,
  context: CommandContext,
): Promise<ResultTable> {
  const { store } = context;
  const result = await runQuery({ store, parser: context.parser, database: context.database, text: query });
  const existing = store.catalog.findTable(context.database, name);
  if (mode === 'set' && existing) throw makeAlreadyExists('Table', name);
  if (mode === 'append') store.catalog.requireTable(context.database, name);
  const database = store.catalog.requireDatabase(context.database).name;
  const table = existing ?? (await store.createTable({ database, name, columns: result.columns }));
  const mismatch = result.columns.findIndex((column, index) => table.columns[index]?.type !== column.type);
  if (mismatch !== -1 || result.columns.length !== table.columns.length) {
    throw new KustoError(
      'BadRequest_QuerySchemaDoesNotMatchTableSchema',
      `Query schema does not match table '${name}': they differ at column ${mismatch === -1 ? result.columns.length : mismatch}.`,
    );
  }
  const replaced = mode === 'set-or-replace' ? store.catalog.extentsOf(table) : [];
  const lines = result.rows
    .map((row) => JSON.stringify(Object.fromEntries(row.map((cell, index) => [`c${index}`, cell]))))
    .join('\n');
  const mapping = table.columns.map((column, index) => ({
    Column: column.name,
    Properties: { Path: `$.c${index}` },
  }));
  const properties = new Map([...options, ['format', 'json'], ['ingestionmapping', JSON.stringify(mapping)]]);
  const loaded = lines === '' ? undefined : await loadText(store, table, Buffer.from(lines), properties);
  await store.dropExtents(table, replaced);
  const header =
    'ExtentId:guid, OriginalSize:long, ExtentSize:long, ColumnSize:long, IndexSize:long, RowCount:long';
  const { extent } = loaded ?? {};
  if (extent === undefined) return makeTable(header, []);
  return makeTable(header, [
    [
      extent.id,
      extent.originalSizeBytes,
      extent.originalSizeBytes,
      extent.originalSizeBytes,
      0,
      extent.rowCount,
    ],
  ]);
}
