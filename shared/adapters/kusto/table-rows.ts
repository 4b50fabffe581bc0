import { quoteEntity, quoteText } from '../../domain/kql-literal.ts';
import { patternOfKeys } from '../../domain/object-path.ts';
import type { TagQuestion } from '../../ports/ingestion.ts';
import type { ClusterClient } from './cluster-client.ts';
import { readClusterFailure } from './cluster-error.ts';

/** Rows of the extents that carry exactly this tag; `null` when the identity may not see them. */
export async function countRows(client: ClusterClient, input: TagQuestion): Promise<number | null> {
  const { database, table, tag } = input;
  const extents = `.show table ${quoteEntity(table)} extents where tags has ${quoteText(tag)}`;
  try {
    const rows = await client.execute(database, `${extents} | summarize Rows = sum(RowCount)`);
    return Number(rows[0]?.['Rows'] ?? 0);
  } catch (error) {
    if (readClusterFailure(error).status === 403) return null;
    throw error;
  }
}

export interface PathQuestion extends TagQuestion {
  readonly column: string;
  /** Hexadecimal digits. */
  readonly md5Prefix: string;
  /** Keys with which the paths end; rows without a URL are counted under an empty one. Default: all. */
  readonly keys?: readonly string[];
}

/** Rows under the tag by what the column holds; `null` when the identity may not ask. */
export async function countRowsByPath(
  client: ClusterClient,
  { database, table, tag, column, md5Prefix, keys }: PathQuestion,
): Promise<ReadonlyMap<string, number> | null> {
  const query = [
    quoteEntity(table),
    // The first finds the extents fast, as ADX's documentation says; only the second means the tag and no other that holds it.
    `where extent_tags() has_cs ${quoteText(tag)} and set_has_element(extent_tags(), ${quoteText(tag)})`,
    `project Path = ${quoteEntity(column)}`,
    ...(keys === undefined
      ? []
      : [
          "extend Path = iff(Path contains '://', Path, '')",
          `where Path == '' or Path matches regex ${quoteText(patternOfKeys(keys))}`,
        ]),
    ...(md5Prefix === '' ? [] : [`where hash_md5(Path) startswith ${quoteText(md5Prefix)}`]),
    'summarize Rows = count() by Path',
  ].join(' | ');
  try {
    const rows = await client.execute(database, query);
    return new Map(rows.map((row) => [String(row['Path'] ?? ''), Number(row['Rows'])]));
  } catch (error) {
    if (readClusterFailure(error).status === 403) return null;
    throw error;
  }
}
