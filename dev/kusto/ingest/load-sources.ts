import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Column } from '../column-types.ts';
import type { Extent, StoredTable } from '../storage/catalog.ts';
import { type RowAppender, type Store, type WriteTransaction } from '../storage/store.ts';
import { readAvro } from './avro-reader.ts';
import type { PhysicalValue } from './convert-value.ts';
import { readDelimited } from './delimited-reader.ts';
import type { DownloadedSource } from './download.ts';
import { IngestionError } from './ingestion-error.ts';
import { type MappedColumn, mappingKindOf, planColumns, resolveMapping } from './ingestion-mapping.ts';
import type { IngestionProperties } from './ingestion-message.ts';
import { readJsonLines } from './json-reader.ts';
import { readMultiJson } from './multi-json-reader.ts';
import { planParquet, readParquet } from './parquet-columns.ts';
import { makeRecordRowBuilder, makeTextRowBuilder } from './row-builder.ts';
import type { SourcePart } from './source-part.ts';

/** One source whose bytes are at hand. */
export interface Source {
  readonly data: DownloadedSource;
  /** URL without its secrets. */
  readonly sourcePath: string;
}

export interface LoadResult {
  /** One per source, in their order: rows loaded, or why it was not. */
  readonly outcomes: readonly (number | IngestionError)[];
  /** Undefined when no row was loaded. */
  readonly extent: Extent | undefined;
}

/**
 * Loads sources that share their ingestion properties into one extent, in one transaction. A source that can't be
 * read leaves no row and does not touch the others.
 * @throws IngestionError for what concerns all of them: the table, the mapping, the format.
 * @throws AlreadyIngested when `ingestIfNotExists` names a tag that the table has.
 */
export async function loadSources(
  store: Store,
  input: {
    readonly database: string;
    readonly table: string;
    readonly properties: IngestionProperties;
    readonly sources: readonly Source[];
    /** A source that can't be read fails the others, too. Default false. */
    readonly isAllOrNothing?: boolean;
  },
): Promise<LoadResult> {
  const { properties } = input;
  const { table, mapping } = await prepareTarget(store, input);
  const kind = mappingKindOf(properties.format);
  // A file that breaks while DuckDB reads it takes the transaction with it: all is done again without that file.
  const broken = new Map<number, IngestionError>();
  for (;;) {
    try {
      return await loadOnce();
    } catch (error) {
      if (!(error instanceof BrokenSource)) throw error;
      if (input.isAllOrNothing) throw nameSource(error.reason, input.sources[error.ordinal]);
      broken.set(error.ordinal, error.reason);
    }
  }

  function loadOnce(): Promise<LoadResult> {
    return store.write(async (transaction) => {
      // Asked here, where nobody else can write: of two at the same time only one may load.
      if (hasIngestByTag(store, table, properties.ingestIfNotExists)) throw new AlreadyIngested();
      const extentNumber = store.catalog.takeExtentNumber();
      const outcomes: (number | IngestionError)[] = [];
      const columns = planColumns(table.columns, mapping, kind);
      const target: Target = { store, transaction, table, extentNumber, columns, properties };
      const appender = new ReopeningAppender(target);
      for (const [ordinal, source] of input.sources.entries()) {
        const known = broken.get(ordinal);
        if (known !== undefined) {
          outcomes.push(known);
          continue;
        }
        try {
          const rows =
            kind === 'parquet'
              ? await loadParquet(target, source, ordinal, appender)
              : await loadText(target, source, ordinal, appender);
          if (rows === 0) {
            throw new IngestionError(
              'BadRequest_NoRecordsOrWrongFormat',
              `${source.sourcePath} holds no record of format '${properties.format}'.`,
            );
          }
          outcomes.push(rows);
        } catch (error) {
          if (!(error instanceof IngestionError)) throw error;
          await appender.removeSource(ordinal);
          if (input.isAllOrNothing) throw nameSource(error, source);
          outcomes.push(error);
        }
      }
      appender.close();
      const rowCount = outcomes.reduce<number>(
        (sum, outcome) => sum + (typeof outcome === 'number' ? outcome : 0),
        0,
      );
      if (rowCount === 0) return { outcomes, extent: undefined };
      const extent = store.catalog.makeExtent(table, {
        number: extentNumber,
        rowCount,
        originalSizeBytes: input.sources.reduce(
          (sum, source, index) => sum + (typeof outcomes[index] === 'number' ? source.data.sizeBytes : 0),
          0,
        ),
        tags: properties.tags,
        createdOn: properties.creationTime,
      });
      await store.addExtent(transaction, extent);
      return { outcomes, extent };
    });
  }
}

function nameSource(error: IngestionError, source: Source | undefined): IngestionError {
  error.sourcePath = source?.sourcePath;
  return error;
}

/** True when the table has an extent with the tag `ingest-by:<tag>` of one of these. */
export function hasIngestByTag({ catalog }: Store, table: StoredTable, tags: readonly string[]): boolean {
  if (tags.length === 0) return false;
  const present = new Set(catalog.extentsOf(table).flatMap((extent) => extent.tags));
  return tags.some((tag) => present.has(`ingest-by:${tag}`));
}

/** `ingestIfNotExists` found one of its tags: nothing was loaded. */
export class AlreadyIngested extends Error {}

class BrokenSource extends Error {
  readonly ordinal: number;
  readonly reason: IngestionError;

  constructor(ordinal: number, reason: IngestionError) {
    super(reason.message);
    this.ordinal = ordinal;
    this.reason = reason;
  }
}

/** Finds table and mapping, and adds the columns that the mapping names with a type and the table lacks. */
async function prepareTarget(
  store: Store,
  input: { readonly database: string; readonly table: string; readonly properties: IngestionProperties },
): Promise<{ table: StoredTable; mapping: readonly MappedColumn[] | undefined }> {
  const database = store.catalog.findDatabase(input.database);
  if (database === undefined)
    throw new IngestionError('BadRequest_DatabaseNotExist', `Database '${input.database}' does not exist.`);
  const table = store.catalog.findTable(input.database, input.table);
  if (table === undefined) {
    throw new IngestionError(
      'BadRequest_TableNotExist',
      `Table '${input.table}' does not exist in database '${database.name}'.`,
    );
  }
  const mapping = resolveMapping(input.properties, table, database);
  const missing = (mapping ?? []).filter(
    (mapped) => !table.columns.some((column) => column.name === mapped.column),
  );
  const untyped = missing.find((mapped) => mapped.type === undefined);
  if (untyped !== undefined) {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      `Column '${untyped.column}' is not in table '${table.name}' and the mapping gives no type to create it with.`,
    );
  }
  if (missing.length > 0) {
    await store.addColumns(
      table,
      missing.map((mapped): Column => ({ name: mapped.column, type: mapped.type ?? 'string' })),
    );
  }
  return { table, mapping };
}

interface Target {
  readonly store: Store;
  readonly transaction: WriteTransaction;
  readonly table: StoredTable;
  readonly extentNumber: number;
  readonly columns: readonly MappedColumn[];
  readonly properties: IngestionProperties;
}

/** One appender for all sources; statements on the table need it closed, so it opens again on demand. */
class ReopeningAppender {
  readonly #target: Target;
  #appender: RowAppender | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  async open(): Promise<RowAppender> {
    this.#appender ??= await this.#target.transaction.openAppender(
      this.#target.table,
      this.#target.extentNumber,
    );
    return this.#appender;
  }

  close(): void {
    this.#appender?.close();
    this.#appender = undefined;
  }

  async removeSource(ordinal: number): Promise<void> {
    this.close();
    const { transaction, table, extentNumber } = this.#target;
    await transaction.run(`delete from ${table.physical} where _x = ${extentNumber} and _b = ${ordinal}`);
  }
}

async function loadText(
  target: Target,
  source: Source,
  ordinal: number,
  opener: ReopeningAppender,
): Promise<number> {
  const appender = await opener.open();
  const before = appender.rowCount;
  const kind = mappingKindOf(target.properties.format);
  for (const part of source.data.parts) {
    const stream = await part.open();
    if (kind === 'csv') await loadDelimited(target, source, stream, (row) => appender.addRow(ordinal, row));
    else await loadRecords(target, source, stream, (row) => appender.addRow(ordinal, row));
  }
  return appender.rowCount - before;
}

type RowHandler = (row: readonly PhysicalValue[]) => void;

async function loadRecords(
  { columns, properties }: Target,
  { sourcePath }: Source,
  stream: Readable,
  onRow: RowHandler,
): Promise<void> {
  const { format } = properties;
  const isAvro = format === 'avro' || format === 'apacheavro';
  const build = makeRecordRowBuilder(columns, { sourcePath, mayHoldBytes: isAvro });
  const onRecord = (record: unknown, lineNumber: number) => onRow(build(record, lineNumber));
  if (isAvro) await readAvro(stream, format, onRecord);
  else if (format === 'json') await readJsonLines(stream, onRecord);
  else await readMultiJson(stream, format === 'singlejson', onRecord);
}

async function loadDelimited(
  { columns, properties }: Target,
  { sourcePath }: Source,
  stream: Readable,
  onRow: RowHandler,
): Promise<void> {
  const build = makeTextRowBuilder(columns, { sourcePath });
  const { options, implications } = properties.validationPolicy;
  const mustMatch = options > 0 && implications === 0;
  let width: number | undefined;
  await readDelimited(stream, properties.format, (fields, lineNumber) => {
    if (mustMatch) {
      width ??= fields.length;
      if (fields.length !== width) {
        throw new IngestionError(
          'Stream_WrongNumberOfFields',
          `${sourcePath}: record ${lineNumber} has ${fields.length} fields, the first one ${width}.`,
        );
      }
    }
    if (lineNumber === 1 && properties.ignoreFirstRecord) return;
    onRow(build(fields, lineNumber));
  });
}

async function loadParquet(
  target: Target,
  source: Source,
  ordinal: number,
  opener: ReopeningAppender,
): Promise<number> {
  opener.close();
  let rows = 0;
  for (const part of source.data.parts) rows += await loadParquetPart(target, source, ordinal, part);
  return rows;
}

async function loadParquetPart(
  { store, transaction, table, extentNumber, columns }: Target,
  { sourcePath }: Source,
  ordinal: number,
  part: SourcePart,
): Promise<number> {
  const file = await part.toFile();
  await requireParquetMagic(file, sourcePath);
  try {
    const expressions = await planParquet(store, { file, columns, sourcePath });
    const selected = [`${extentNumber}::integer`, `${ordinal}::integer`, ...expressions].join(', ');
    return await transaction.run(
      `insert into ${table.physical} select ${selected} from ${readParquet(file)}`,
    );
  } catch (error) {
    if (error instanceof IngestionError) throw error;
    const reason = (error as Error).message.replaceAll(file, 'the file');
    throw new BrokenSource(
      ordinal,
      new IngestionError('BadRequest_InvalidBlob', `${sourcePath} can't be read as parquet: ${reason}`),
    );
  }
}

async function requireParquetMagic(file: string, sourcePath: string): Promise<void> {
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    if (buffer.toString('latin1') !== 'PAR1')
      throw new IngestionError('BadRequest_InvalidBlob', `${sourcePath} is not a parquet file.`);
  } finally {
    await handle.close();
  }
}
