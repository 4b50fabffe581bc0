import type { SettleShardInput } from '../contracts/durable.ts';
import type { LedgerEntry } from '../domain/ledger-entry.ts';
import type { ShardItem } from '../domain/object-outcome.ts';
import { rowsOf } from '../domain/rewritten-key.ts';
import type { Stored } from '../domain/run-record.ts';
import { type S3Object, versionIdOf } from '../domain/s3-object.ts';
import { ERROR_KINDS, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Loader } from './loader.ts';
import { presentObjects } from './present-objects.ts';
import { ledgerOf, type RunSnapshot } from './run-documents.ts';
import { slowDownBy } from './slow-down.ts';

/** What is looked at in the bucket before a shard is closed. */
export interface ClosingLook {
  readonly snapshot: RunSnapshot;
  readonly items: readonly ShardItem[];
  /** What can't be seen now is not waited for. */
  readonly isLastLook: boolean;
  /** Of the requests that are made at the same time. */
  readonly share: number;
}

/**
 * Looks once more at the keys of a shard that has come to its end, where it matters what they hold now:
 * - an object that ADX has ingested may have been rewritten before ADX read it. The ledger then names the version whose
 *   rows are in the table, or says that it may be either, or that nobody could look;
 * - an object that ADX did not find may be there again.
 */
export async function withPresentVersions(
  loader: Loader,
  { runId, epoch, shard }: SettleShardInput,
  { snapshot, items, isLastLook, share }: ClosingLook,
): Promise<readonly ShardItem[]> {
  const inQuestion = items.flatMap(({ stored }) =>
    stored !== null && isInQuestion(stored.value, snapshot) ? [stored] : [],
  );
  if (inQuestion.length === 0) return items;
  try {
    const source = await loader.source(snapshot.definition.source);
    const { prefix } = snapshot.definition.source;
    const present = await presentObjects(
      source,
      prefix,
      inQuestion.map(({ value }) => value.key),
      share,
    );
    return await write(loader, snapshot, items, inQuestion, (entry) =>
      correctedEntry(entry, present.get(entry.key) ?? null),
    );
  } catch (thrown) {
    const error = toLoaderError(thrown);
    // Credentials may be renewed. What has been loaded is accounted for in the end, also when nobody may look any more.
    if (!isLastLook) throw error;
    await slowDownBy(loader, { runId, epoch }, [error]);
    events.keysNotLookedAtAgain(loader.logger, { runId, epoch, shard, error });
    return await write(loader, snapshot, items, inQuestion, asUnproven);
  }
}

function isInQuestion(
  { runId, state, version, errorCode }: LedgerEntry,
  { request, definition }: RunSnapshot,
): boolean {
  // A version id pins what ADX reads.
  if (runId !== request.runId || versionIdOf(version) !== null) return false;
  if (state === 'failed') return errorCode === 'objectGone';
  const isOpen = errorCode === null || errorCode === 'versionUnproven';
  return state === 'ingested' && isOpen && !definition.source.writtenOnce;
}

/** Writes what the look has shown of each entry; `null` leaves it as it is. */
async function write(
  loader: Loader,
  snapshot: RunSnapshot,
  items: readonly ShardItem[],
  inQuestion: readonly Stored<LedgerEntry>[],
  look: (entry: LedgerEntry) => LedgerEntry | null,
): Promise<readonly ShardItem[]> {
  const ledger = ledgerOf(snapshot);
  const writes = inQuestion.flatMap(({ value, etag }) => {
    const entry = look(value);
    return entry === null ? [] : [{ entry, etag }];
  });
  const etags = await loader.ledger.write(ledger, writes);
  // What a twin has written meanwhile stands, and is what the outcomes tell, too.
  const taken = writes.flatMap(({ entry }, index) => (etags[index] == null ? [entry.key] : []));
  const standing = taken.length === 0 ? null : await loader.ledger.readKeys(ledger, taken);
  const corrected = new Map(
    writes.flatMap(({ entry }, index) => {
      const etag = etags[index];
      const stored = etag == null ? standing?.get(entry.key) : { value: entry, etag };
      return stored === undefined ? [] : [[entry.key, stored] as const];
    }),
  );
  return items.map((item) => ({ ...item, stored: corrected.get(item.object.key) ?? item.stored }));
}

function asUnproven(entry: LedgerEntry): LedgerEntry | null {
  if (entry.state !== 'ingested') return null;
  return { ...entry, errorCode: 'versionUnproven', errorMessage: ERROR_KINDS.versionUnproven.title };
}

function correctedEntry(entry: LedgerEntry, present: S3Object | null): LedgerEntry | null {
  if (entry.state === 'failed') {
    if (present === null) return null;
    // It is there, so ADX can read it: as what it is now.
    const { version, sizeBytes } = present;
    return {
      ...entry,
      version,
      sizeBytes,
      errorCode: 'objectReplaced',
      errorMessage: ERROR_KINDS.objectReplaced.title,
    };
  }
  switch (rowsOf(entry, present)) {
    case 'loaded':
      return entry.errorCode === null ? null : { ...entry, errorCode: null, errorMessage: null };
    case 'present':
      return {
        ...entry,
        version: present!.version,
        sizeBytes: present!.sizeBytes,
        errorCode: null,
        errorMessage: null,
      };
    case 'either':
      return { ...entry, errorCode: 'objectChanged', errorMessage: ERROR_KINDS.objectChanged.title };
  }
}
