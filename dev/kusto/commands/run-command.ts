import { type ResultTable, runTail } from '../kql/run-query.ts';
import { KustoError, makeNotSupported } from '../kusto-error.ts';
import type { StoredTable } from '../storage/catalog.ts';
import type { CommandContext } from './command-context.ts';
import { CommandText, splitOutsideStrings } from './command-text.ts';
import { dropExtents, findExtents, ingestInline, setFromQuery, showExtents } from './extent-commands.ts';
import { ingestInto } from './ingest-into.ts';
import { makeTable } from './make-table.ts';
import { createMapping, dropMapping, type MappingOwner, showMappings } from './mapping-commands.ts';
import { alterPolicy, deletePolicy, showPolicy, showUpdatePolicies } from './policy-commands.ts';
import { cancelQueuedOperation, ingestFromStorageQueued, showQueuedOperations } from './queued-ingestion.ts';
import {
  clearTable,
  createTable,
  dropTable,
  renameTable,
  showDatabaseSchema,
  showDatabases,
  showDetails,
  showMaterializedViews,
  showSchema,
  showTables,
} from './table-commands.ts';

const startedAt = new Date().toISOString();

/** Runs a management command. @throws KustoError; a command that is not implemented is named in it. */
export async function runCommand(command: string, context: CommandContext): Promise<ResultTable> {
  const trimmed = command.trim();
  const [producer, input] = splitOutsideStrings(trimmed, '<|');
  if (input !== undefined) return runWithInput(new CommandText(producer), input, context, trimmed);
  const [head, tail] = splitOutsideStrings(trimmed, '|');
  const result = await runHead(new CommandText(head), context, trimmed);
  return tail === undefined ? result : runTail(context, result, tail.trim());
}

async function runWithInput(
  text: CommandText,
  input: string,
  context: CommandContext,
  command: string,
): Promise<ResultTable> {
  if (text.take('.drop extents')) {
    const shown = new CommandText(splitTailRefused(input));
    if (!text.isAtEnd || !shown.take('.show')) throw makeNotSupported(describe(command));
    return dropExtents(findExtents(readExtentScope(shown, context), shown, context), context);
  }
  if (text.take('.ingest inline')) return ingestInline(text, input, context);
  if (text.take('.ingest-from-storage-queued into table'))
    return ingestFromStorageQueued(text, input, context);
  for (const mode of ['set-or-append', 'set-or-replace', 'set', 'append'] as const) {
    if (text.take(`.${mode}`)) return setFromQuery(mode, text, input, context);
  }
  throw makeNotSupported(describe(command));
}

function splitTailRefused(input: string): string {
  const [head, tail] = splitOutsideStrings(input.trim(), '|');
  if (tail !== undefined)
    throw makeNotSupported('.drop extents with operators after .show extents; use where tags has');
  return head;
}

async function runHead(text: CommandText, context: CommandContext, command: string): Promise<ResultTable> {
  if (text.take('.get ingestion resources')) return listResources(context);
  if (text.take('.get kusto identity token'))
    return makeTable('AuthorizationContext', [[`local-identity-token-${context.store.catalog.instanceId}`]]);
  if (text.take('.create table')) return createTableOr(text, context);
  if (text.take('.create-merge table')) return createTable('create-merge', text, context);
  if (text.take('.alter-merge table')) return alterTable('alter-merge', text, context);
  if (text.take('.alter table')) return alterTable('alter', text, context);
  if (text.take('.create-or-alter table')) return tableMapping('create-or-alter', text, context);
  for (const mode of ['create-or-alter', 'create', 'alter-merge', 'alter'] as const) {
    if (text.take(`.${mode} database`)) return alterDatabase(mode, text, context, command);
  }
  if (text.take('.drop table')) return dropTableOr(text, context);
  if (text.take('.drop database')) {
    const owner = readDatabase(text, context);
    if (text.take('ingestion')) return dropMapping(owner, text, context);
  }
  if (text.take('.drop extent')) return dropOneExtent(text, context);
  if (text.take('.rename table')) return renameTable(text, context);
  if (text.take('.ingest')) return ingestInto(text, context);
  if (text.take('.cancel queued ingestion operation')) return cancelQueuedOperation(text, context);
  if (text.take('.clear table')) return clearTable(text, context);
  if (text.take('.delete table')) return deleteTablePolicy(readTable(text, context), text, context, command);
  if (text.take('.delete database'))
    return deleteTablePolicy(readDatabase(text, context), text, context, command);
  if (text.take('.show')) return show(text, context, command);
  throw makeNotSupported(describe(command));
}

/** `.create table T (...)` or `.create table T ingestion json mapping ...`. */
async function createTableOr(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const ahead = new CommandText(text.rest);
  ahead.name('a table name');
  return ahead.take('ingestion')
    ? tableMapping('create', text, context)
    : createTable('create', text, context);
}

function tableMapping(
  mode: 'create' | 'create-or-alter' | 'alter',
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const owner = readTable(text, context);
  if (!text.take('ingestion')) throw makeNotSupported(`.${mode} table with '${text.rest.slice(0, 40)}'`);
  return createMapping(mode, owner, text, context);
}

function alterTable(
  mode: 'alter' | 'alter-merge',
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const ahead = new CommandText(text.rest);
  ahead.name('a table name');
  if (ahead.take('policy')) {
    const owner = readTable(text, context);
    text.take('policy');
    return alterPolicy(mode, owner, text, context);
  }
  if (ahead.take('ingestion')) return tableMapping('alter', text, context);
  return createTable(mode, text, context);
}

function alterDatabase(
  mode: 'create' | 'create-or-alter' | 'alter' | 'alter-merge',
  text: CommandText,
  context: CommandContext,
  command: string,
): Promise<ResultTable> {
  const owner = readDatabase(text, context);
  if (text.take('ingestion') && mode !== 'alter-merge') return createMapping(mode, owner, text, context);
  if (text.take('policy') && (mode === 'alter' || mode === 'alter-merge'))
    return alterPolicy(mode, owner, text, context);
  throw makeNotSupported(describe(command));
}

function dropTableOr(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const ahead = new CommandText(text.rest);
  ahead.name('a table name');
  if (!ahead.take('ingestion')) return dropTable(text, context);
  const owner = readTable(text, context);
  text.take('ingestion');
  return dropMapping(owner, text, context);
}

async function dropOneExtent(text: CommandText, context: CommandContext): Promise<ResultTable> {
  const id = text.name('an extent id').toLowerCase();
  const { catalog } = context.store;
  const tables = text.take('from')
    ? [catalog.requireTable(context.database, text.name('a table name'))]
    : catalog.tablesOf(context.database);
  text.end();
  const found = tables.flatMap((table) =>
    catalog
      .extentsOf(table)
      .filter((extent) => extent.id === id)
      .map((extent) => ({ table, extent })),
  );
  if (found.length === 0)
    throw new KustoError('BadRequest_EntityNotFound', `Entity ID '${id}' of kind 'Extent' was not found.`);
  return dropExtents(found, context);
}

async function deleteTablePolicy(
  owner: MappingOwner,
  text: CommandText,
  context: CommandContext,
  command: string,
): Promise<ResultTable> {
  if (!text.take('policy')) throw makeNotSupported(describe(command));
  return deletePolicy(owner, text, context);
}

async function show(text: CommandText, context: CommandContext, command: string): Promise<ResultTable> {
  const { catalog } = context.store;
  if (text.take('version'))
    return makeTable('BuildVersion, BuildTime:datetime, ServiceType, ProductVersion', [
      ['1.0.0.0', startedAt, 'Local', 'LocalKusto'],
    ]);
  if (text.take('databases')) return showDatabases(text, context);
  if (text.take('tables details')) return showDetails(catalog.tablesOf(context.database), context);
  if (text.take('tables')) return showTables(text, context);
  if (text.take('principal roles')) {
    const { name, objectId, roles } = context.caller;
    return makeTable(
      'Scope, DisplayName, AADObjectID, Role',
      roles.map((role) => [`Database ${context.database}`, name, objectId, role]),
    );
  }
  if (text.take('ingestion failures')) return context.operations.showFailures(text);
  if (text.take('operations')) return context.operations.show(text);
  if (text.take('operation')) return context.operations.showDetails(text);
  if (text.take('queued ingestion operations')) return showQueuedOperations(text, context);
  if (text.take('capacity')) return showCapacity(text);
  if (text.take('cluster extents'))
    return showExtents(findExtents([...catalog.tables.values()], text, context));
  if (text.take('schema as json')) return showDatabaseSchema(context.database, 'json', context);
  if (text.take('materialized-views')) return showMaterializedViews(text);
  if (text.take('table * policy update')) return showUpdatePolicies(text, context);
  if (text.take('database')) return showDatabase(text, context, command);
  if (text.take('table')) return showTable(text, context, command);
  throw makeNotSupported(describe(command));
}

function showDatabase(text: CommandText, context: CommandContext, command: string): ResultTable {
  const isCurrent = /^(schema|cslschema|extents|policy|ingestion)\b/i.test(text.rest);
  const owner = isCurrent
    ? { database: context.store.catalog.requireDatabase(context.database) }
    : readDatabase(text, context);
  const { name } = owner.database;
  if (text.take('schema as json')) return showDatabaseSchema(name, 'json', context);
  if (text.take('schema')) return showDatabaseSchema(name, 'rows', context);
  if (text.take('cslschema')) return showDatabaseSchema(name, 'csl', context);
  if (text.take('extents'))
    return showExtents(findExtents(context.store.catalog.tablesOf(name), text, context));
  if (text.take('policy')) return showPolicy(owner, text);
  if (text.take('ingestion')) return showMappings(owner, text);
  throw makeNotSupported(describe(command));
}

function showTable(text: CommandText, context: CommandContext, command: string): ResultTable {
  const { table } = readTable(text, context);
  if (text.take('cslschema')) return showSchema(table, 'csl');
  if (text.take('schema as json')) return showSchema(table, 'json');
  if (text.take('details')) return showDetails([table], context);
  if (text.take('extents')) return showExtents(findExtents([table], text, context));
  if (text.take('policy')) return showPolicy({ table }, text);
  if (text.take('ingestion')) return showMappings({ table }, text);
  if (text.take('principals')) {
    return makeTable(
      'Role, PrincipalType, PrincipalDisplayName, PrincipalObjectId, PrincipalFQN, Notes, RoleAssignmentIdentifier',
      [[`Database ${table.database} Admin`, 'Local user', 'Local user', '', 'localuser', '', '']],
    );
  }
  throw makeNotSupported(describe(command));
}

function showCapacity(text: CommandText): ResultTable {
  const isOne = text.take('ingestions');
  text.end();
  const rows = [['Ingestions', 6, 0, 6], ...(isOne ? [] : [['Extents-merge', 1, 0, 1]])];
  return makeTable('Resource, Total:long, Consumed:long, Remaining:long', rows);
}

function readTable(text: CommandText, context: CommandContext): { table: StoredTable } {
  return { table: context.store.catalog.requireTable(context.database, text.name('a table name')) };
}

function readDatabase(
  text: CommandText,
  context: CommandContext,
): { database: ReturnType<CommandContext['store']['catalog']['requireDatabase']> } {
  return { database: context.store.catalog.requireDatabase(text.name('a database name')) };
}

function readExtentScope(text: CommandText, context: CommandContext): readonly StoredTable[] {
  const { catalog } = context.store;
  if (text.take('table')) {
    const { table } = readTable(text, context);
    if (!text.take('extents')) throw makeNotSupported('.drop extents from anything but .show ... extents');
    return [table];
  }
  if (text.take('database')) {
    const name = /^extents\b/i.test(text.rest) ? context.database : text.name('a database name');
    if (text.take('extents')) return catalog.tablesOf(name);
  }
  throw makeNotSupported('.drop extents from anything but .show table or database extents');
}

function listResources(context: CommandContext): ResultTable {
  const isExpired = context.faults.takeRequestFault(['resources'], 'expiredSas') !== undefined;
  const rows = context.resources.listRows(isExpired ? -60_000 : context.resourceLifetimeMs);
  return makeTable(
    'ResourceTypeName, StorageRoot',
    rows.map((row) => [row.kind, row.url]),
  );
}

/** The command's first words, without what could be data. */
function describe(command: string): string {
  return `the command '${command
    .split(/[|<('"[]/, 1)[0]
    ?.trim()
    .slice(0, 80)}'`;
}
