import { parseTimeSpanMs } from '../../domain/duration.ts';
import { quoteEntity, quoteText } from '../../domain/kql-literal.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { TableFacts } from '../../ports/ingestion.ts';
import type { ClusterClient, Row } from './cluster-client.ts';
import { readClusterFailure } from './cluster-error.ts';
import { mappingKindOf } from './mapping-kind.ts';

/** ADX's own default. */
const DEFAULT_BATCHING_WINDOW_MS = 5 * 60_000;

export interface TableQuestion {
  readonly database: string;
  readonly table: string;
  readonly mapping: string | null;
  readonly format: string;
  /** Of type string. Default: none. */
  readonly column?: string | null;
}

/**
 * Checks table and mapping and reads the batching window. What the identity may not read is taken to be right: an
 * ingestor that can't see the table may still load into it.
 */
export async function readTableFacts(client: ClusterClient, question: TableQuestion): Promise<TableFacts> {
  const { database, table } = question;
  try {
    const [schema] = await client.execute(database, `.show table ${quoteEntity(table)} cslschema`);
    checkColumn(question, String(schema?.['Schema'] ?? ''));
  } catch (error) {
    if (error instanceof LoaderError) throw error;
    const { status, missing } = readClusterFailure(error);
    if (status !== 403) {
      if (missing === 'database') {
        throw new LoaderError('databaseNotFound', `There is no database "${database}" in the cluster.`);
      }
      if (missing !== null) throw await tableNotFound(client, question);
      throw error;
    }
  }
  const [, batchingWindowMs] = await Promise.all([
    checkMapping(client, question),
    readBatchingWindowMs(client, question),
  ]);
  return { batchingWindowMs };
}

/** Roles of the identity in the database; `null` when it may not ask for them. */
export async function readRoles(client: ClusterClient, database: string): Promise<readonly string[] | null> {
  const rows = await readOrNull(client, database, '.show principal roles');
  return rows === null ? null : [...new Set(rows.map((row) => String(row['Role'])))];
}

/** @param schema - as ADX writes it: `a:string,['b c']:long`. */
function checkColumn({ column = null, table }: TableQuestion, schema: string): void {
  if (column === null) return;
  const written = [`${column}:string`, `${quoteEntity(column)}:string`, `["${column}"]:string`];
  const isThere = written.some((one) => `,${schema.replaceAll(', ', ',')},`.includes(`,${one},`));
  if (isThere) return;
  throw new LoaderError('columnNotFound', `Table "${table}" has no column "${column}" of type string.`);
}

async function tableNotFound(
  client: ClusterClient,
  { database, table }: TableQuestion,
): Promise<LoaderError> {
  const rows = (await readOrNull(client, database, '.show tables | project TableName')) ?? [];
  const names = rows.map((row) => String(row['TableName']));
  const closest =
    names.find((name) => name.toLowerCase() === table.toLowerCase()) ?? names.find(isNear(table));
  const hint = closest === undefined ? '' : ` Is it "${closest}"?`;
  return new LoaderError('tableNotFound', `There is no table "${table}" in database "${database}".${hint}`);
}

/** One character too many, too few or another one, or an ending that the other lacks. */
function isNear(wanted: string): (name: string) => boolean {
  const a = wanted.toLowerCase();
  return (name) => {
    const b = name.toLowerCase();
    let head = 0;
    while (head < Math.min(a.length, b.length) && a[head] === b[head]) head += 1;
    let tail = 0;
    const most = Math.min(a.length, b.length) - head;
    while (tail < most && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
    return Math.max(a.length, b.length) - head - tail <= 1 && Math.max(a.length, b.length) > 3;
  };
}

async function checkMapping(client: ClusterClient, question: TableQuestion): Promise<void> {
  const { database, table, mapping, format } = question;
  if (mapping === null) return;
  const kind = mappingKindOf(format).command;
  // A mapping of the database serves every table that has none of the name.
  for (const owner of [`table ${quoteEntity(table)}`, `database ${quoteEntity(database)}`]) {
    const command = `.show ${owner} ingestion ${kind} mapping ${quoteText(mapping)}`;
    const rows = await readOrNull(client, database, command);
    if (rows === null || rows.length > 0) return;
  }
  throw new LoaderError(
    'mappingNotFound',
    `Neither table "${table}" nor database "${database}" has a ${kind} ingestion mapping "${mapping}".`,
  );
}

async function readBatchingWindowMs(client: ClusterClient, question: TableQuestion): Promise<number> {
  const { database, table } = question;
  for (const owner of [`table ${quoteEntity(table)}`, `database ${quoteEntity(database)}`]) {
    const rows = await readOrNull(client, database, `.show ${owner} policy ingestionbatching`);
    const windowMs = parsePolicy(rows?.[0]?.['Policy']);
    if (windowMs !== null) return windowMs;
  }
  return DEFAULT_BATCHING_WINDOW_MS;
}

function parsePolicy(value: unknown): number | null {
  if (typeof value !== 'string') return null;
  try {
    const policy = JSON.parse(value) as { MaximumBatchingTimeSpan?: unknown } | null;
    const span = policy?.MaximumBatchingTimeSpan;
    return typeof span === 'string' ? parseTimeSpanMs(span) : null;
  } catch {
    return null;
  }
}

/** `null` when the identity may not ask or the cluster does not know the command; no rows when there is no such thing. */
async function readOrNull(
  client: ClusterClient,
  database: string,
  text: string,
): Promise<readonly Row[] | null> {
  try {
    return await client.execute(database, text);
  } catch (error) {
    const { status, missing } = readClusterFailure(error);
    if (missing !== null) return [];
    if (status === 403 || status === 400) return null;
    throw error;
  }
}
