import { isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import { LEDGER_PARTITIONS } from '../domain/ledger-key.ts';
import { decidePlan } from '../domain/plan-decision.ts';
import { fits, NO_LIMITS, type Taken } from '../domain/run-limits.ts';
import type { Stored } from '../domain/run-record.ts';
import { EMPTY_PLAN, type PlanTotals } from '../domain/run-summary.ts';
import type { S3Object } from '../domain/s3-object.ts';
import { compileSelection, type SkipReason } from '../domain/selection.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import type { LedgerName } from '../ports/ledger.ts';
import type { PendingObject, Unsettled } from '../ports/load-state.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import { asTheyAreNow, type KeyBatch, nextKeys } from './next-keys.ts';
import { ledgerOf, policyOf, type RunFacts, type RunSnapshot, readOpenObjects } from './run-documents.ts';

/** One page of what a run is about, compared with the ledger. */
export interface FoundPage {
  readonly objects: readonly PlannedObject[];
  readonly totals: PlanTotals;
  readonly next: string | null;
  readonly pending: readonly PendingObject[];
}

/** Where the next page begins: `u:<index of the unsettled manifest>` or `k:<position among the keys>`. */
type Cursor =
  | { readonly phase: 'unsettled'; readonly index: number }
  | { readonly phase: 'keys'; readonly after: string | null };

export interface FindTask {
  readonly snapshot: RunSnapshot;
  readonly facts: RunFacts;
  readonly page: number;
  readonly cursor: string | null;
  /** What the pages before this one have taken. */
  readonly taken: Taken;
}

/** Finds the objects of the page that begins at the cursor: first what earlier runs left open, then keys. */
export async function findObjects(loader: Loader, task: FindTask): Promise<FoundPage> {
  const cursor = readCursor(task.cursor, task.facts);
  return cursor.phase === 'unsettled'
    ? findUnsettled(loader, task, cursor.index)
    : findKeys(loader, task, cursor.after);
}

function readCursor(cursor: string | null, facts: RunFacts): Cursor {
  if (cursor === null)
    return facts.unsettled.length > 0 ? { phase: 'unsettled', index: 0 } : { phase: 'keys', after: null };
  if (cursor.startsWith('u:')) return { phase: 'unsettled', index: Number(cursor.slice(2)) };
  return { phase: 'keys', after: cursor.length > 2 ? cursor.slice(2) : null };
}

/** One document of unsettled objects is one page. Each is looked at again, whatever the run selects otherwise. */
async function findUnsettled(
  loader: Loader,
  { snapshot, facts }: FindTask,
  index: number,
): Promise<FoundPage> {
  const unsettled = facts.unsettled[index]!;
  const isLast = index + 1 === facts.unsettled.length;
  const next = isLast ? (snapshot.request.trigger === 'settle' ? null : 'k:') : `u:${index + 1}`;
  const before = await openKeys(loader, snapshot, facts.unsettled.slice(0, index));
  const objects = (await readOpenObjects(loader, snapshot, unsettled))
    .filter(({ key }) => !before.has(key))
    .map(({ key, version, sizeBytes }): PlannedObject => ({ key, version, sizeBytes, reason: 'recheck' }));
  const bytes = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const totals = { ...EMPTY_PLAN, selected: objects.length, selectedBytes: bytes };
  return { objects, totals, next, pending: [] };
}

/** Keys that this run looks at again already, as earlier runs had handed them on. A run may have handed on another's. */
async function openKeys(
  loader: Loader,
  snapshot: RunSnapshot,
  unsettled: readonly Unsettled[],
): Promise<ReadonlySet<string>> {
  const documents = await allOf(unsettled, 4, (one) => readOpenObjects(loader, snapshot, one));
  return new Set(documents.flat().map(({ key }) => key));
}

async function findKeys(loader: Loader, task: FindTask, after: string | null): Promise<FoundPage> {
  const { snapshot } = task;
  const { options } = snapshot.request;
  const found = await nextKeys(loader, task, after);
  const skipped = new Map<SkipReason, number>();
  const skip = (reason: SkipReason) => skipped.set(reason, (skipped.get(reason) ?? 0) + 1);

  const reasonToSkip = compileSelection(selectionOf(snapshot));
  const select = (objects: readonly S3Object[]) =>
    objects.filter((object) => {
      const reason = reasonToSkip(object);
      if (reason !== null) skip(reason);
      return reason === null;
    });
  const first = select(found.objects);
  const entries = await readEntries(loader, ledgerOf(snapshot), found, first);
  const batch = { ...found, objects: first };
  const looked = await lookAtDated(loader, snapshot, batch, entries);
  if (looked.gone > 0) skipped.set('gone', looked.gone);
  if (looked.unreadable > 0) skipped.set('unreadable', looked.unreadable);
  // What was looked at once more may be another object by now.
  const selected = looked === batch ? first : select(looked.objects);

  const lookedAtAgain = await openKeys(loader, snapshot, task.facts.unsettled);
  const policy = policyOf(snapshot);
  const objects: PlannedObject[] = [];
  // A rerun is about the objects that it was asked for, all of them.
  const limits = options.rerun === undefined ? snapshot.definition.limits : NO_LIMITS;
  let { taken } = task;
  const left = new Set<string>();
  const take = (object: PlannedObject) => {
    // Once the run is full it stays full: what comes later must not overtake what was left.
    if (left.size > 0 || !fits(limits, taken, object.sizeBytes)) {
      left.add(object.key);
      skip('limit');
      return;
    }
    taken = { objects: taken.objects + 1, bytes: taken.bytes + object.sizeBytes };
    objects.push(object);
  };
  for (const object of selected) {
    const entry = entries.get(object.key)?.value ?? null;
    if (lookedAtAgain.has(object.key)) {
      // This run settles its earlier version; a newer one is for the next run, as a run loads a key once.
      skip('unsettled');
      continue;
    }
    if (isOrphan(entry, snapshot.request.runId)) {
      take({ key: entry.key, version: entry.version, sizeBytes: entry.sizeBytes, reason: 'recheck' });
      continue;
    }
    const decision = decidePlan(object, entry, policy);
    if (decision.plan === 'skip') skip(decision.reason);
    else
      take({
        key: object.key,
        version: object.version,
        sizeBytes: object.sizeBytes,
        reason: decision.reason,
      });
  }
  const sumBytes = (items: readonly { readonly sizeBytes: number }[]) =>
    items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    objects,
    totals: {
      listed: found.objects.length + found.gone + found.unreadable,
      listedBytes: sumBytes(found.objects),
      selected: objects.length,
      selectedBytes: sumBytes(objects),
      skipped: Object.fromEntries(skipped),
    },
    next: batch.isLast || left.size > 0 ? null : `k:${batch.position}`,
    pending: batch.pending.filter(({ key }) => !left.has(key)),
  };
}

/** Unsettled, but in no document of unsettled objects: the run that wrote the entry could not finish. */
function isOrphan(entry: LedgerEntry | null, runId: string): entry is LedgerEntry {
  return entry !== null && isUnsettled(entry.state) && entry.runId !== runId;
}

function selectionOf({ definition: { source, format }, request: { options } }: RunSnapshot) {
  return {
    ...source,
    suffixes: typeof source.suffix === 'string' ? [source.suffix] : source.suffix,
    compression: format.compression,
    modifiedAfter: later(source.modifiedAfter, options.modifiedAfter),
    modifiedBefore: earlier(source.modifiedBefore, options.modifiedBefore),
  };
}

function later(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return Date.parse(a) > Date.parse(b) ? a : b;
}

function earlier(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return Date.parse(a) < Date.parse(b) ? a : b;
}

/** Of an old list, objects that the ledger knows in another version are taken as they are now. */
async function lookAtDated(
  loader: Loader,
  snapshot: RunSnapshot,
  batch: KeyBatch,
  entries: ReadonlyMap<string, Stored<LedgerEntry>>,
): Promise<KeyBatch> {
  if (batch.isDated !== true || snapshot.definition.source.writtenOnce) return batch;
  return asTheyAreNow(loader, snapshot, batch, ({ key, version }) => {
    const entry = entries.get(key)?.value;
    return entry !== undefined && !isUnsettled(entry.state) && entry.version !== version;
  });
}

/**
 * A range query per partition for many keys of a listing, between which the ledger holds no more than the listing does.
 * Keys that were found otherwise may be anywhere, so only they are looked up.
 */
async function readEntries(
  loader: Loader,
  ledger: LedgerName,
  { runs }: KeyBatch,
  selected: readonly S3Object[],
): Promise<ReadonlyMap<string, Stored<LedgerEntry>>> {
  if (runs === null || selected.length <= LEDGER_PARTITIONS * runs.length)
    return loader.ledger.readKeys(
      ledger,
      selected.map(({ key }) => key),
    );
  const entries = new Map<string, Stored<LedgerEntry>>();
  for (const { first, last } of runs)
    for (const [key, entry] of await loader.ledger.readRange(ledger, first, last)) entries.set(key, entry);
  return entries;
}
