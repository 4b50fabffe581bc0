import { IngestionError } from '../ingest/ingestion-error.ts';
import { mappingKinds, parseMapping } from '../ingest/ingestion-mapping.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { KustoError, makeAlreadyExists, makeEntityNotFound, makeNotSupported } from '../kusto-error.ts';
import {
  type CatalogChange,
  databaseChange,
  type StoredDatabase,
  type StoredMapping,
  type StoredTable,
  tableChange,
} from '../storage/catalog.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandText } from './command-text.ts';
import { makeTable } from './make-table.ts';

/** Kinds that the service knows and this endpoint can't use. */
const otherKinds: readonly string[] = ['orc', 'sstream', 'w3clogfile'];

/** Where mappings live: a table or a database. */
export type MappingOwner = { readonly table: StoredTable } | { readonly database: StoredDatabase };

export async function createMapping(
  mode: 'create' | 'create-or-alter' | 'alter',
  owner: MappingOwner,
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const kind = readKind(text);
  if (!text.take('mapping')) throw makeNotSupported(`'${text.rest.slice(0, 40)}' after the mapping kind`);
  const name = text.name('a mapping name');
  const mapping = text.string('a mapping');
  text.options();
  text.end();
  const readable = mappingKinds.find((candidate) => candidate === kind);
  if (readable === undefined) throw makeNotSupported(`mappings of kind '${kind}'`);
  try {
    parseMapping(mapping, readable);
  } catch (error) {
    if (!(error instanceof IngestionError)) throw error;
    throw new KustoError('BadRequest_InvalidMapping', error.message);
  }
  const target = stored(owner);
  const existing = target.mappings.find((candidate) => candidate.name === name && candidate.kind === kind);
  if (existing !== undefined && mode === 'create') {
    throw makeAlreadyExists('Mapping', name);
  }
  if (existing === undefined && mode === 'alter') throw makeEntityNotFound('Mapping', name);
  const created: StoredMapping = { name, kind, mapping, lastUpdatedOn: new Date().toISOString() };
  target.mappings = [...target.mappings.filter((candidate) => candidate !== existing), created];
  await context.store.write((transaction) => transaction.saveCatalog(changeOf(owner)));
  return listMappings(owner, [created]);
}

/** `.show ... ingestion [kind] mapping(s) ['name']`. */
export function showMappings(owner: MappingOwner, text: CommandText): ResultTable {
  const kind = text.take('mappings') ? undefined : readOptionalKind(text);
  const isOne = kind !== undefined && text.take('mapping');
  if (kind !== undefined && !isOne) text.take('mappings');
  const name = isOne || !text.isAtEnd ? text.name('a mapping name') : undefined;
  text.end();
  const found = stored(owner).mappings.filter(
    (mapping) =>
      (kind === undefined || mapping.kind === kind) && (name === undefined || mapping.name === name),
  );
  if (isOne && found.length === 0) throw makeEntityNotFound('Mapping', name ?? '');
  return listMappings(owner, found);
}

export async function dropMapping(
  owner: MappingOwner,
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const kind = readKind(text);
  if (!text.take('mapping')) throw makeNotSupported(`'${text.rest.slice(0, 40)}' after the mapping kind`);
  const name = text.name('a mapping name');
  text.end();
  const target = stored(owner);
  if (!target.mappings.some((mapping) => mapping.name === name && mapping.kind === kind))
    throw makeEntityNotFound('Mapping', name);
  target.mappings = target.mappings.filter((mapping) => !(mapping.name === name && mapping.kind === kind));
  await context.store.write((transaction) => transaction.saveCatalog(changeOf(owner)));
  return listMappings(owner, target.mappings);
}

function readKind(text: CommandText): string {
  const kind = text.name('a mapping kind').toLowerCase();
  if (![...mappingKinds, ...otherKinds].includes(kind))
    throw new KustoError('BadRequest_InvalidMapping', `'${kind}' is no mapping kind.`);
  return kind;
}

function readOptionalKind(text: CommandText): string | undefined {
  return text.isAtEnd ? undefined : readKind(text);
}

function stored(owner: MappingOwner): StoredTable | StoredDatabase {
  return 'table' in owner ? owner.table : owner.database;
}

function changeOf(owner: MappingOwner): CatalogChange {
  return 'table' in owner ? tableChange(owner.table) : databaseChange(owner.database);
}

function listMappings(owner: MappingOwner, mappings: readonly StoredMapping[]): ResultTable {
  const kindName = (kind: string) =>
    kind === 'apacheavro' ? 'ApacheAvro' : kind.charAt(0).toUpperCase() + kind.slice(1);
  const shared = (mapping: StoredMapping) => [
    mapping.name,
    kindName(mapping.kind),
    mapping.mapping,
    mapping.lastUpdatedOn,
  ];
  if ('table' in owner) {
    return makeTable(
      'Name, Kind, Mapping, LastUpdatedOn:datetime, Database, Table',
      mappings.map((mapping) => [...shared(mapping), owner.table.database, owner.table.name]),
    );
  }
  return makeTable(
    'Name, Kind, Mapping, LastUpdatedOn:datetime, Database',
    mappings.map((mapping) => [...shared(mapping), owner.database.name]),
  );
}
