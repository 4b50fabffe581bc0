import { isBehindFence, isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import { isCutWhenDecoded, mayBeOfAnotherKey, pathOf } from '../domain/object-path.ts';
import type { Stored } from '../domain/run-record.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import type { ToPost, UnitWork } from './recheck.ts';

/** After so many posts of a version the next one counts as unproven, so that an object that is never loaded comes to an end. */
const MOST_PROVEN_POSTS = 5;

/** An object of one message without a report. */
interface Asked {
  readonly object: PlannedObject;
  readonly before: Stored<LedgerEntry>;
  /** Under which the rows of its message are, if there are any. */
  readonly tag: string;
}

/**
 * Where the table has a column for the paths of the objects, it is asked for the rows of those that ADX never reported and
 * that are to be posted again; once a tag, for all of them. Their keys must have been seen to hold the version that was
 * posted.
 * - Rows are there, and the key was posted once only: the object is settled, and needs no post.
 * - None are, behind the fence: its message can't bring any more, so the next one is proven to make no second set.
 * - The table does not tell (the identity may not ask, the column is not filled by SourceLocation, the rows may be those of
 *   another message for the key, or of another key, if ADX has decoded the URL): as without the column.
 *
 * @returns what is left to be posted. @throws {LoaderError} when the cluster is away: nothing may be posted unasked.
 */
export async function askForRows(
  loader: Loader,
  work: UnitWork,
  round: readonly ToPost[],
): Promise<readonly ToPost[]> {
  const { reconcile } = work.snapshot.definition;
  const column = reconcile.sourcePathColumn;
  const asked = column === null ? [] : round.flatMap(askedOf);
  if (column === null || asked.length === 0) return round;
  const answers = await ask(work, column, asked);
  const verdicts = new Map<string, LedgerEntry | 'proven'>();
  await allOf(asked, asked.length, async ({ object, before, tag }) => {
    const { url } = await work.source.presignGet({ ...object, lifetimeMs: 1000 });
    const rows = answers.get(tag)!.rowsOf(pathOf(url), object.key);
    const entry = before.value;
    if (typeof rows === 'number') {
      // Rows of another message may be those of another version, also under the tag of one run: what a delivery that was not
      // reported has brought, before the key was rewritten and posted once more.
      if (entry.attemptSeq > 1) return;
      const expected = reconcile.parquetFooters ? await footerOf(work, object) : null;
      verdicts.set(object.key, settledByRows(loader, work, { entry, total: rows, expected }));
    } else if (rows === 'none' && isProof(loader, entry)) verdicts.set(object.key, 'proven');
  });
  await loader.ledger.write(
    work.ledger,
    asked.flatMap(({ object: { key }, before: { etag } }) => {
      const entry = verdicts.get(key);
      return entry === undefined || entry === 'proven' ? [] : [{ entry, etag }];
    }),
  );
  return round.flatMap((one) => {
    const verdict = verdicts.get(one.object.key);
    if (verdict === undefined) return [one];
    return verdict === 'proven' ? [{ ...one, unproven: false }] : [];
  });
}

function askedOf({ object, before, unproven }: ToPost): readonly Asked[] {
  if (!unproven || before === null) return [];
  const { state, tag, repostedUnproven } = before.value;
  // Of two messages without a report the table does not tell which brought what it has.
  return isUnsettled(state) && tag !== null && !repostedUnproven ? [{ object, before, tag }] : [];
}

/** What the table says of an object: how many rows, that there are none for certain, or nothing. */
type Rows = number | 'none' | 'notKnown';

interface Answer {
  rowsOf(path: string, key: string): Rows;
}

const NO_ANSWER: Answer = { rowsOf: () => 'notKnown' };

async function ask(
  { ingestion, snapshot }: UnitWork,
  column: string,
  asked: readonly Asked[],
): Promise<ReadonlyMap<string, Answer>> {
  const { database, table } = snapshot.definition.destination;
  const answers = new Map<string, Answer>();
  for (const tag of new Set(asked.map((one) => one.tag))) {
    const keys = asked.filter((one) => one.tag === tag).map(({ object }) => object.key);
    const rows = await ingestion.countRowsByPath({ database, table, tag, column, md5Prefix: '', keys });
    answers.set(tag, rows === null ? NO_ANSWER : answerOf(rows));
  }
  return answers;
}

function answerOf(rows: ReadonlyMap<string, number>): Answer {
  const byPath = new Map<string, number>();
  for (const [url, count] of rows) byPath.set(pathOf(url), (byPath.get(pathOf(url)) ?? 0) + count);
  const uncertain = new Set([...rows.keys()].filter(mayBeOfAnotherKey).map(pathOf));
  return {
    rowsOf(path, key) {
      if (uncertain.has(path)) return 'notKnown';
      const count = byPath.get(path) ?? 0;
      if (count > 0) return count;
      // A row without a path may be anybody's, and the bucket may have been addressed in another way.
      const mayBeIts = [...byPath.keys()].some((other) => other === '' || other.endsWith(`/${key}`));
      return mayBeIts || isCutWhenDecoded(key) ? 'notKnown' : 'none';
    },
  };
}

/** Whether no rows mean that the message has brought none, and never will. */
function isProof(loader: Loader, entry: LedgerEntry): boolean {
  const { downloadGraceMs } = loader.timing;
  return entry.attempts < MOST_PROVEN_POSTS && isBehindFence(entry, { now: loader.now(), downloadGraceMs });
}

/** `null`: not known. */
async function footerOf({ source }: UnitWork, { key, version }: PlannedObject): Promise<number | null> {
  return source.countParquetRows({ key, version }).catch(() => null);
}

interface FoundRows {
  readonly entry: LedgerEntry;
  readonly total: number;
  /** Rows that the object holds; `null`: not known. */
  readonly expected: number | null;
}

function settledByRows(
  loader: Loader,
  { input: { runId, epoch } }: UnitWork,
  { entry, total, expected }: FoundRows,
): LedgerEntry {
  const settled = { ...entry, runId, epoch, settledAt: loader.now().toISOString() };
  if (expected !== null && total < expected) {
    const errorMessage = `The table has ${total} of its ${expected} rows; ADX never reported on it.`;
    return { ...settled, state: 'failed', errorCode: 'partlyIngested', errorMessage, fateUnknown: true };
  }
  return {
    ...settled,
    state: 'ingested',
    errorCode: null,
    errorMessage: null,
    // More than it holds: it is named as one that may be there twice.
    repostedUnproven: expected !== null && total > expected,
  };
}
