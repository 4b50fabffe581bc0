import { createHash } from 'node:crypto';
import { parseDefinition } from '../config/parse-definition.ts';
import { LOAD_NAME, type LoadDefinition } from '../contracts/load-definition.ts';
import { isSameBucket, isSameTable } from '../domain/place.ts';
import { LoaderError } from '../errors/loader-error.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';

/** A load as it is stored: the definition and what the loader needs to know beside it. */
export interface CatalogEntry {
  readonly v: 1;
  /** Counts up when the load is deleted or its bucket or destination changes: the ledger begins anew. */
  readonly generation: number;
  readonly updatedAt: string;
  /** When the present schedule was set, or taken away: what fell due before is no business of it. */
  readonly scheduleSince: string;
  /** A deleted load leaves this behind, so that its name never gets an old ledger back. */
  readonly deletedAt: string | null;
  /** Hash of the file that was last taken over under this name; `null` when there was none. */
  readonly fileHash: string | null;
  readonly definition: LoadDefinition;
}

const pathOf = (name: string) => `loads/${name}.json`;

type Stored = { readonly entry: CatalogEntry; readonly etag: string };

/** A text that can't be the name of a load is never part of a path. */
async function read({ documents }: Loader, name: string): Promise<Stored | null> {
  if (!LOAD_NAME.test(name)) return null;
  const document = await documents.get(pathOf(name));
  return document === null ? null : { entry: JSON.parse(document.body) as CatalogEntry, etag: document.etag };
}

/** @throws {LoaderError} `loadNotFound`. */
export async function getLoad(loader: Loader, name: string): Promise<CatalogEntry> {
  const stored = await read(loader, name);
  if (stored === null || stored.entry.deletedAt !== null)
    throw new LoaderError('loadNotFound', `There is no load named "${name}"`);
  return stored.entry;
}

/** All loads, by name. */
export async function listLoads(loader: Loader): Promise<readonly CatalogEntry[]> {
  return (await listEntries(loader)).filter(({ deletedAt }) => deletedAt === null);
}

/** What loads left behind that were deleted before the instant, and not created anew since. */
export async function listDeletedLoads(loader: Loader, before: Date): Promise<readonly CatalogEntry[]> {
  return (await listEntries(loader)).filter(
    ({ deletedAt }) => deletedAt !== null && Date.parse(deletedAt) < before.getTime(),
  );
}

/** Whether the load is deleted still, and has been all the time. */
export async function isDeletedSince(
  loader: Loader,
  { definition, deletedAt }: CatalogEntry,
): Promise<boolean> {
  return (await read(loader, definition.name))?.entry.deletedAt === deletedAt;
}

async function listEntries(loader: Loader): Promise<readonly CatalogEntry[]> {
  const paths = await loader.documents.list('loads/');
  const entries = await allOf(paths, 8, async (path) => {
    const document = await loader.documents.get(path);
    return document === null ? null : (JSON.parse(document.body) as CatalogEntry);
  });
  return entries.filter((entry): entry is CatalogEntry => entry !== null);
}

/**
 * Creates or replaces a load. A run under way keeps the definition that it began with.
 *
 * @throws {LoaderError} `invalidDefinition`, also where the ledger goes on and names versions in another way.
 */
export async function putLoad(
  loader: Loader,
  name: string,
  json: unknown,
  fileHash: string | null = null,
): Promise<{ readonly entry: CatalogEntry; readonly created: boolean }> {
  const definition = parseDefinition(json, name);
  for (;;) {
    const stored = await read(loader, name);
    const created = stored === null || stored.entry.deletedAt !== null;
    if (!created) expectSameVersions(stored.entry.definition, definition);
    const now = loader.now().toISOString();
    const keepsSchedule = !created && isSameSchedule(stored.entry.definition, definition);
    const entry: CatalogEntry = {
      v: 1,
      generation: nextGeneration(stored?.entry ?? null, definition),
      updatedAt: now,
      scheduleSince: keepsSchedule ? stored.entry.scheduleSince : now,
      deletedAt: null,
      // An edit leaves the file's hash: the file wins again only when its content has changed.
      fileHash: fileHash ?? stored?.entry.fileHash ?? null,
      definition,
    };
    if (await write(loader, name, entry, stored)) return { entry, created };
  }
}

/** Deletes a load. Its runs and their summaries stay; a load that is created under this name later starts anew. */
export async function deleteLoad(loader: Loader, name: string): Promise<void> {
  for (;;) {
    const stored = await read(loader, name);
    if (stored === null || stored.entry.deletedAt !== null)
      throw new LoaderError('loadNotFound', `There is no load named "${name}"`);
    if (await write(loader, name, { ...stored.entry, deletedAt: loader.now().toISOString() }, stored)) return;
  }
}

/** A definition file and its content, with app settings filled in. */
export interface DefinitionFile {
  readonly name: string;
  readonly json: unknown;
}

/**
 * Takes definitions from files over. A file wins when its content has changed since it was last read; until then an
 * edit through the HTTP API stays, and so does a deletion.
 */
export async function seedLoads(
  loader: Loader,
  files: readonly DefinitionFile[],
): Promise<readonly string[]> {
  const seeded: string[] = [];
  for (const { name, json } of files) {
    const fileHash = createHash('sha256').update(JSON.stringify(json)).digest('hex');
    const stored = await read(loader, name);
    if (stored?.entry.fileHash === fileHash) continue;
    await putLoad(loader, name, json, fileHash);
    seeded.push(name);
  }
  return seeded;
}

function nextGeneration(before: CatalogEntry | null, definition: LoadDefinition): number {
  if (before === null) return 1;
  const same = before.deletedAt === null && sameLedger(before.definition, definition);
  return same ? before.generation : before.generation + 1;
}

/**
 * The ledger knows objects by version ids or by ETags: by the others each would look like a new version of its key, and would
 * be loaded again, or skipped as changed for ever.
 */
function expectSameVersions(before: LoadDefinition, after: LoadDefinition): void {
  if (!sameLedger(before, after) || isPinned(before) === isPinned(after)) return;
  const message = `must stay ${isPinned(before)}: the ledger of the load knows its objects by ${isPinned(before) ? 'version ids' : 'ETags'}. Delete the load and put it anew, which begins a new ledger, or put a load of another name; source.modifiedAfter leaves out what has been loaded`;
  throw new LoaderError('invalidDefinition', 'source.pinVersions of a load can not be changed', {
    problems: [{ field: 'source.pinVersions', message }],
  });
}

/** Absent in loads of older versions. */
function isPinned({ source }: LoadDefinition): boolean {
  return (source.pinVersions as boolean | undefined) ?? false;
}

function isSameSchedule({ schedule: a }: LoadDefinition, { schedule: b }: LoadDefinition): boolean {
  return a?.cron === b?.cron && a?.timeZone === b?.timeZone;
}

function sameLedger(a: LoadDefinition, b: LoadDefinition): boolean {
  return isSameBucket(a.source, b.source) && isSameTable(a.destination, b.destination);
}

async function write(
  { documents }: Loader,
  name: string,
  entry: CatalogEntry,
  over: Stored | null,
): Promise<boolean> {
  const { written } = await documents.put(
    pathOf(name),
    JSON.stringify(entry, null, 2),
    over === null ? 'ifAbsent' : { etag: over.etag },
  );
  return written;
}
