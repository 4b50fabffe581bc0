import { quoteEntity, quoteText } from '../../domain/kql-literal.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { TaggedExtent, TagQuestion } from '../../ports/ingestion.ts';
import type { ClusterClient, Row } from './cluster-client.ts';
import { readClusterFailure } from './cluster-error.ts';

/** Extents that one command names; an id has 36 characters. */
const IDS_PER_COMMAND = 200;

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Extents of the table that carry exactly this tag. */
export async function listTaggedExtents(
  client: ClusterClient,
  { database, table, tag }: TagQuestion,
): Promise<readonly TaggedExtent[]> {
  const rows = await client.execute(
    database,
    `.show table ${quoteEntity(table)} extents where tags has ${quoteText(tag)} | project ExtentId, RowCount, Tags`,
  );
  return rows.map((row) => ({
    id: String(row['ExtentId']),
    rows: Number(row['RowCount']),
    tags: String(row['Tags'] ?? '')
      .split(/[\s,]+/)
      .filter((text) => text !== ''),
  }));
}

/**
 * Drops the named extents that carry the tag. Sent twice, the second command finds nothing; sent late, it does not touch
 * what was ingested since.
 */
export async function dropTaggedExtents(
  client: ClusterClient,
  { database, table, tag, extentIds }: TagQuestion & { readonly extentIds: readonly string[] },
): Promise<void> {
  const ids = extentIds.filter((id) => GUID.test(id));
  for (let at = 0; at < ids.length; at += IDS_PER_COMMAND) {
    const some = ids.slice(at, at + IDS_PER_COMMAND).join(', ');
    const shown = `.show table ${quoteEntity(table)} extents (${some}) where tags has ${quoteText(tag)}`;
    try {
      await client.execute(database, `.drop extents <| ${shown}`);
    } catch (error) {
      if (readClusterFailure(error).status !== 403) throw error;
      const grant = `.add table ${quoteEntity(table)} admins ('aadapp=<client id of the app>;<tenant id>')`;
      throw new LoaderError(
        'undoNotPermitted',
        `The app may not drop rows of table "${table}" in database "${database}". An admin grants it by: ${grant}`,
        { cause: error },
      );
    }
  }
}

/**
 * Update policies whose source the table is, and materialized views over it; a Database Viewer may see both.
 *
 * @throws {LoaderError} `undoInexact` when the cluster does not take one of the questions (400): it may have such things all
 * the same, and asked again it says no other.
 */
export async function listTableDependents(
  client: ClusterClient,
  { database, table }: Omit<TagQuestion, 'tag'>,
): Promise<readonly string[]> {
  const [policies, views] = await Promise.all([
    ask(client, database, '.show table * policy update'),
    ask(client, database, '.show materialized-views'),
  ]);
  return [
    ...policies
      .filter((row) => isSource(row['Policy'], table))
      .map((row) => `the update policy of ${String(row['EntityName'])}`),
    ...views
      .filter((row) => row['SourceTable'] === table)
      .map((row) => `the materialized view ${String(row['Name'])}`),
  ];
}

async function ask(client: ClusterClient, database: string, command: string): Promise<readonly Row[]> {
  try {
    return await client.execute(database, command);
  } catch (error) {
    const { status, denied, throttled, missing, message } = readClusterFailure(error);
    if (status !== 400 || denied || throttled || missing !== null) throw error;
    throw new LoaderError(
      'undoInexact',
      `The cluster does not say whether rows went from the table into others: it refuses ${command} (${message})`,
      { cause: error },
    );
  }
}

/** The policy is a list; what can't be read may be about any table. */
function isSource(policy: unknown, table: string): boolean {
  if (typeof policy !== 'string' || policy === '' || policy === 'null') return false;
  try {
    const rules = JSON.parse(policy) as readonly { readonly Source?: string }[];
    return rules.some(({ Source }) => Source === table);
  } catch {
    return true;
  }
}
