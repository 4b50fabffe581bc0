import { type Column, requireColumnType, typeNames } from '../column-types.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { KustoError, makeAlreadyExists, makeNotSupported, makeSyntaxError } from '../kusto-error.ts';
import { formatSchema, type StoredTable, tableChange } from '../storage/catalog.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandText } from './command-text.ts';
import { makeTable } from './make-table.ts';

const SCHEMA_HEADER = 'TableName, Schema, DatabaseName, Folder, DocString';

/** Columns of a definition. @throws KustoError for an unknown type, an empty list or a name given twice. */
function readColumns(text: CommandText): Column[] {
  const columns = text.columns().map(({ name, type }) => ({ name, type: requireColumnType(type) }));
  const names = columns.map((column) => column.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new KustoError('BadRequest_DuplicateColumn', `Column '${twice}' is defined twice.`);
  if (columns.length === 0)
    throw new KustoError('BadRequest_EmptySchema', 'A table needs at least one column.');
  return columns;
}

/** `.create table`, `.create-merge table`, `.alter table`, `.alter-merge table`. */
export async function createTable(
  mode: 'create' | 'create-merge' | 'alter' | 'alter-merge',
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const { store } = context;
  const database = store.catalog.requireDatabase(context.database);
  const name = text.name('a table name');
  const columns = readColumns(text);
  const options = text.options();
  text.end();
  let table = store.catalog.findTable(database.name, name);
  if (mode === 'create' && table !== undefined) {
    throw makeAlreadyExists('Table', name);
  }
  if (mode === 'alter' || mode === 'alter-merge') table = store.catalog.requireTable(database.name, name);
  if (mode === 'alter' && table !== undefined) requireSameStart(table, columns);
  const folder = options.get('folder');
  const docString = options.get('docstring');
  if (table === undefined) {
    table = await store.createTable({
      database: database.name,
      name,
      columns,
      folder: folder ?? '',
      docString: docString ?? '',
    });
    // A table of that name may have been made by another request in between.
    if (mode !== 'create') await store.addColumns(table, columns);
  } else {
    await store.addColumns(table, columns);
    if (folder !== undefined) table.folder = folder;
    if (docString !== undefined) table.docString = docString;
    const changed = table;
    await store.write((transaction) => transaction.saveCatalog(tableChange(changed)));
  }
  return makeTable(SCHEMA_HEADER, [schemaRow(table, formatSchemaJson(table))]);
}

/** `.alter table` sets the whole schema; here it may only add columns at the end. */
function requireSameStart(table: StoredTable, columns: readonly Column[]): void {
  const other = table.columns.find((column, index) => columns[index]?.name !== column.name);
  if (other !== undefined)
    throw makeNotSupported(`.alter table that drops, renames or moves a column ('${other.name}')`);
}

/** `.rename table A to B`. */
export async function renameTable(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const { store } = context;
  const table = store.catalog.requireTable(context.database, text.name('a table name'));
  if (!text.take('to')) throw makeSyntaxError("'to' expected");
  const name = text.name('a table name');
  text.end();
  if (store.catalog.findTable(table.database, name) !== undefined) throw makeAlreadyExists('Table', name);
  await store.write((transaction) => transaction.saveCatalog(store.catalog.renameTable(table, name)));
  return makeTable('TableName, DatabaseName, Folder, DocString', [
    [table.name, table.database, table.folder, table.docString],
  ]);
}

export async function dropTable(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const { catalog } = context.store;
  const name = text.name('a table name');
  const isOptional = text.take('ifexists');
  text.end();
  const table = isOptional
    ? catalog.findTable(context.database, name)
    : catalog.requireTable(context.database, name);
  if (table !== undefined) await context.store.dropTable(table);
  return makeTable(
    'TableName, DatabaseName',
    catalog.tablesOf(context.database).map((rest) => [rest.name, rest.database]),
  );
}

export async function clearTable(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const table = context.store.catalog.requireTable(context.database, text.name('a table name'));
  if (!text.take('data')) throw makeNotSupported('.clear table without data');
  text.end();
  await context.store.dropExtents(table, context.store.catalog.extentsOf(table));
  return makeTable('Status', [['Succeeded']]);
}

/** There are none: they can't be created here. */
export function showMaterializedViews(text: CommandText): ResultTable {
  text.end();
  return makeTable(
    'Name, SourceTable, Query, MaterializedTo:datetime, LastRun:datetime, LastRunResult, IsHealthy:bool, IsEnabled:bool, Folder, DocString, AutoUpdateSchema:bool, EffectiveDateTime:datetime, Lookback:timespan, LookbackColumn',
    [],
  );
}

export function showTables(text: CommandText, context: CommandContext): ResultTable {
  text.end();
  const { catalog } = context.store;
  const { name } = catalog.requireDatabase(context.database);
  return makeTable(
    'TableName, DatabaseName, Folder, DocString',
    catalog.tablesOf(name).map((table) => [table.name, table.database, table.folder, table.docString]),
  );
}

/** `.show tables details` and `.show table T details`. */
export function showDetails(tables: readonly StoredTable[], context: CommandContext): ResultTable {
  const { catalog } = context.store;
  const rows = tables.map((table) => {
    const extents = catalog.extentsOf(table);
    const total = (pick: (extent: (typeof extents)[number]) => number) =>
      extents.reduce((sum, extent) => sum + pick(extent), 0);
    const size = total((extent) => extent.originalSizeBytes);
    const rowCount = total((extent) => extent.rowCount);
    const created = extents.map((extent) => extent.createdOn).sort();
    const { streamingingestion, ingestionbatching } = table.policies;
    return [
      ...[table.name, table.database, table.folder, table.docString],
      ...[extents.length, size, size, rowCount, extents.length, size, size, rowCount],
      ...['', 'null', 'null', 'null', 'null'],
      streamingingestion === undefined ? 'null' : JSON.stringify(streamingingestion),
      ingestionbatching === undefined ? 'null' : JSON.stringify(ingestionbatching),
      ...[created[0] ?? null, created.at(-1) ?? null],
      ...['null', table.id],
    ];
  });
  return makeTable(
    'TableName, DatabaseName, Folder, DocString, TotalExtents:long, TotalExtentSize:real, TotalOriginalSize:real, TotalRowCount:long, ' +
      'HotExtents:long, HotExtentSize:real, HotOriginalSize:real, HotRowCount:long, AuthorizedPrincipals, RetentionPolicy, CachingPolicy, ' +
      'ShardingPolicy, MergePolicy, StreamingIngestionPolicy, IngestionBatchingPolicy, MinExtentsCreationTime:datetime, ' +
      'MaxExtentsCreationTime:datetime, RowOrderPolicy, TableId:guid',
    rows,
  );
}

export function showSchema(table: StoredTable, form: 'csl' | 'json'): ResultTable {
  return makeTable(SCHEMA_HEADER, [
    schemaRow(table, form === 'csl' ? formatSchema(table.columns) : formatSchemaJson(table)),
  ]);
}

function schemaRow(table: StoredTable, schema: string): string[] {
  return [table.name, schema, table.database, table.folder, table.docString];
}

function orderedColumns(table: StoredTable): object[] {
  return table.columns.map((column) => ({
    Name: column.name,
    Type: typeNames[column.type].clr,
    CslType: column.type,
  }));
}

function formatSchemaJson(table: StoredTable): string {
  return JSON.stringify({ Name: table.name, OrderedColumns: orderedColumns(table) });
}

/** `.show database D schema [as json]`, `.show database D cslschema`. */
export function showDatabaseSchema(
  name: string,
  form: 'rows' | 'json' | 'csl',
  context: CommandContext,
): ResultTable {
  const { catalog } = context.store;
  const database = catalog.requireDatabase(name);
  const tables = catalog.tablesOf(database.name);
  if (form === 'csl')
    return makeTable(
      SCHEMA_HEADER,
      tables.map((table) => schemaRow(table, formatSchema(table.columns))),
    );
  if (form === 'json') {
    const schema = {
      Databases: {
        [database.name]: {
          Name: database.name,
          Tables: Object.fromEntries(
            tables.map((table) => [
              table.name,
              {
                Name: table.name,
                Folder: table.folder,
                DocString: table.docString,
                OrderedColumns: orderedColumns(table),
              },
            ]),
          ),
          MajorVersion: 1,
          MinorVersion: catalog.schemaVersion,
          Functions: {},
        },
      },
    };
    return makeTable('DatabaseSchema', [[JSON.stringify(schema)]]);
  }
  const version = `v1.${catalog.schemaVersion}`;
  return makeTable(
    'DatabaseName, TableName, ColumnName, ColumnType, IsDefaultTable:bool, IsDefaultColumn:bool, PrettyName, Version, Folder, DocString',
    [
      [database.name, '', '', '', false, false, '', version, '', ''],
      ...tables.flatMap((table) => [
        [database.name, table.name, '', '', false, false, '', '', table.folder, table.docString],
        ...table.columns.map((column) => [
          database.name,
          table.name,
          column.name,
          typeNames[column.type].clr,
          false,
          false,
          '',
          '',
          '',
          '',
        ]),
      ]),
    ],
  );
}

export function showDatabases(text: CommandText, context: CommandContext): ResultTable {
  text.end();
  return makeTable(
    'DatabaseName, PersistentStorage, Version, IsCurrent:bool, DatabaseAccessMode, PrettyName, ReservedSlot1:bool, DatabaseId:guid, InTransitionTo',
    [...context.store.catalog.databases.values()].map((database) => [
      ...[database.name, '', `v1.${context.store.catalog.schemaVersion}`],
      database.name.toLowerCase() === context.database.toLowerCase(),
      ...['ReadWrite', '', null, database.id, ''],
    ]),
  );
}
