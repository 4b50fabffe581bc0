import type { IngestUnitInput } from '../contracts/durable.ts';
import type { IngestionStatus } from '../domain/ingestion-status.ts';
import { isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import type { Stored } from '../domain/run-record.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import { ERROR_KINDS, type ErrorCode, type LoaderError, toLoaderError } from '../errors/loader-error.ts';
import type { Ingestion } from '../ports/ingestion.ts';
import type { LedgerName } from '../ports/ledger.ts';
import type { Source } from '../ports/source.ts';
import { allOf } from './bounded.ts';
import { expectListing } from './expect-listing.ts';
import type { Loader } from './loader.ts';
import type { RunSnapshot } from './run-documents.ts';
import { settleEntry } from './settle-entry.ts';
import { slowDownBy } from './slow-down.ts';

/** What the work on a unit needs from all sides. */
export interface UnitWork {
  readonly input: IngestUnitInput;
  readonly snapshot: RunSnapshot;
  readonly ledger: LedgerName;
  readonly source: Source;
  readonly ingestion: Ingestion;
  /** See `leastLeftMs`. */
  readonly leastLeftMs: number;
}

export interface ToPost {
  readonly object: PlannedObject;
  readonly before: Stored<LedgerEntry> | null;
  /** An earlier message may have been ingested. */
  readonly unproven: boolean;
}

/** What is left of a round to be posted; and why others stay open that could not be looked at now, but may be later. */
export interface LookedAt {
  readonly left: readonly ToPost[];
  readonly failure: LoaderError | null;
}

/**
 * Hours lie between an open object's first message and its second. By then the key may hold another object, and its URL
 * would load that one under the old one's name: such an object has failed, and the new one is for the next run. Where ADX
 * has ingested another version of the key, that one stays ingested, for its rows are in the table.
 */
export async function withoutRewritten(
  loader: Loader,
  { source, ledger, input, snapshot }: UnitWork,
  round: readonly ToPost[],
): Promise<LookedAt> {
  const { runId, epoch } = input;
  const failures: LoaderError[] = [];
  const codes = await allOf(round, round.length, async ({ object, unproven }) => {
    if (!unproven) return null;
    try {
      const now = await source.head(object.key);
      if (now === null) return 'goneUnreported';
      return now.version === object.version ? null : 'objectChanged';
    } catch (thrown) {
      // It stays open, and must not keep the others.
      failures.push(toLoaderError(thrown));
      return 'unreadable';
    }
  });
  await slowDownBy(loader, input, failures);
  const settledAt = loader.now().toISOString();
  await loader.ledger.write(
    ledger,
    round.flatMap(({ before }, index) => {
      const errorCode = codes[index] ?? null;
      if (errorCode === null || errorCode === 'unreadable' || before === null) return [];
      const entry = notPosted(before.value, errorCode, settledAt);
      return [{ entry: { ...entry, runId, epoch }, etag: before.etag }];
    }),
  );
  const left = round.filter((_, index) => codes[index] === null);
  return { left, failure: await passingFailure(source, snapshot, failures) };
}

/** Why some could not be looked at, if that may pass. */
async function passingFailure(
  source: Source,
  { definition }: RunSnapshot,
  failures: readonly LoaderError[],
): Promise<LoaderError | null> {
  const passing = failures.find(({ permanent }) => !permanent) ?? null;
  if (passing !== null || failures.length === 0) return passing;
  try {
    await expectListing(source, definition.source.prefix);
    return null;
  } catch (thrown) {
    return toLoaderError(thrown);
  }
}

function notPosted(
  before: LedgerEntry,
  why: 'goneUnreported' | 'objectChanged',
  settledAt: string,
): LedgerEntry {
  const withCode = (errorCode: ErrorCode) => ({
    ...before,
    errorCode,
    errorMessage: ERROR_KINDS[errorCode].title,
  });
  // ADX has reported on what it ingested: what is gone is the version that was to be loaded now.
  if (before.state === 'ingested') return withCode(why === 'goneUnreported' ? 'objectGone' : why);
  return { ...withCode(why), state: 'failed', settledAt, fateUnknown: true };
}

/** Objects that an earlier run left open: what ADX has reported meanwhile settles them without a post. */
export async function settleRechecked(
  loader: Loader,
  work: UnitWork,
  group: readonly PlannedObject[],
  entries: ReadonlyMap<string, Stored<LedgerEntry>>,
): Promise<readonly PlannedObject[]> {
  const open = group.filter(({ key, reason }) => {
    const entry = entries.get(key)?.value;
    return reason === 'recheck' && entry !== undefined && isUnsettled(entry.state);
  });
  if (open.length === 0) return group;
  const idsOf = ({ key }: PlannedObject) => {
    const { value } = entries.get(key)!;
    return [value.sourceId, ...(value.earlierSourceIds ?? [])];
  };
  const statuses = await work.ingestion.readStatuses(open.flatMap(idsOf));
  const settled = new Set<string>();
  const writes = open.flatMap((object) => {
    const { key } = object;
    const stored = entries.get(key)!;
    const [latest, ...earlier] = idsOf(object).map((id) => statuses.get(id) ?? null);
    const entry = settleByAny(stored.value, latest!, earlier, loader.now());
    if (entry === null) return [];
    settled.add(key);
    return [{ entry: { ...entry, runId: work.input.runId, epoch: work.input.epoch }, etag: stored.etag }];
  });
  await loader.ledger.write(work.ledger, writes);
  return group.filter(({ key }) => !settled.has(key));
}

/** A late success of an earlier message is one, also when the latest has failed; its failure says nothing of the latest. */
function settleByAny(
  entry: LedgerEntry,
  latest: IngestionStatus | null,
  earlier: readonly (IngestionStatus | null)[],
  now: Date,
): LedgerEntry | null {
  const settled = settleEntry(entry, latest, now);
  if (settled?.state === 'ingested') return settled;
  const late = earlier.findIndex((status) => status?.status === 'Succeeded');
  if (late < 0) return settled;
  const { tag, otherTags } = entry;
  const tagOfLate = otherTags?.[late] ?? null;
  // The rows carry the tag of the message that made them; those of the others may be there, too.
  const others = [tag, ...(otherTags ?? [])].filter((one) => one !== null && one !== tagOfLate);
  const success = settleEntry(entry, earlier[late]!, now);
  return success === null ? null : { ...success, tag: tagOfLate, otherTags: others };
}
