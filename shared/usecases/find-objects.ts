import { isUnsettled, type LedgerEntry, wasBehindFence } from '../domain/ledger-entry.ts';
import { decidePlan, type KnownObject } from '../domain/plan-decision.ts';
import { fits, isLimited, NO_LIMITS, type Taken } from '../domain/run-limits.ts';
import { EMPTY_PLAN, type PlanTotals } from '../domain/run-summary.ts';
import type { S3Object } from '../domain/s3-object.ts';
import { compileSelection, type SkipReason } from '../domain/selection.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import type { LedgerName } from '../ports/ledger.ts';
import type { PendingObject, Unsettled } from '../ports/load-state.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import { asTheyAreNow, type KeyBatch, nextKeys } from './next-keys.ts';
import {
  ledgerOf,
  policyOf,
  type RunFacts,
  type RunSnapshot,
  readOpenObjects,
  readPage,
} from './run-documents.ts';
import { byBytes } from './stretches.ts';

/** One page of what a run is about, compared with the ledger. */
export interface FoundPage {
  readonly objects: readonly PlannedObject[];
  readonly totals: PlanTotals;
  readonly next: string | null;
  readonly pending: readonly PendingObject[];
}

/** The ledger knows the object as ingested in its present version. Most objects of most pages are so. */
const UNCHANGED = 'unchanged';

/** What planning needs of the ledger, by key: a page of 50,000 keys would hold 70 MB of whole entries. */
type Known = ReadonlyMap<string, KnownObject | typeof UNCHANGED>;

const NOTHING: FoundPage = { objects: [], totals: EMPTY_PLAN, next: null, pending: [] };

/** Where the next page begins: `u:<index of the unsettled manifest>` or `k:<position among the keys>`. */
type Cursor =
  | { readonly phase: 'unsettled'; readonly index: number }
  | { readonly phase: 'keys'; readonly after: string | null };

export interface FindTask {
  readonly snapshot: RunSnapshot;
  readonly facts: RunFacts;
  readonly epoch: number;
  /** Of the load's concurrency that the run may use now. */
  readonly share: number;
  readonly page: number;
  readonly cursor: string | null;
  /** What the pages before this one have taken. */
  readonly taken: Taken;
}

/** Finds the objects of the page that begins at the cursor: first what earlier runs left open, then keys. */
export async function findObjects(loader: Loader, task: FindTask): Promise<FoundPage> {
  const cursor = readCursor(task.cursor, task.facts);
  if (cursor.phase === 'unsettled') return findUnsettled(loader, task, cursor.index);
  // It was started for what others have settled meanwhile.
  if (task.snapshot.request.trigger === 'settle') return NOTHING;
  return findKeys(loader, task, cursor.after);
}

function readCursor(cursor: string | null, facts: RunFacts): Cursor {
  if (cursor === null)
    return facts.unsettled.length > 0 ? { phase: 'unsettled', index: 0 } : { phase: 'keys', after: null };
  if (cursor.startsWith('u:')) return { phase: 'unsettled', index: Number(cursor.slice(2)) };
  return { phase: 'keys', after: cursor.length > 2 ? cursor.slice(2) : null };
}

/**
 * One document of unsettled objects is one page. Each is looked at again, whatever the run selects otherwise. What a rerun has
 * settled and somebody has undone since is open no more: it is found among the keys, and loaded again.
 */
async function findUnsettled(
  loader: Loader,
  { snapshot, facts }: FindTask,
  index: number,
): Promise<FoundPage> {
  const unsettled = facts.unsettled[index]!;
  const isLast = index + 1 === facts.unsettled.length;
  const next = isLast ? (snapshot.request.trigger === 'settle' ? null : 'k:') : `u:${index + 1}`;
  const open = await readOpenObjects(loader, snapshot, unsettled);
  const keys = open.map(({ key }) => key);
  const before = await openKeys(loader, snapshot, facts.unsettled.slice(0, index), keys);
  const asked = new Map(keys.map((key) => [key, null]));
  const states = await loader.ledger.readEach(ledgerOf(snapshot), asked, ({ state }) => state);
  const objects = open
    .filter(({ key }) => !before.has(key) && states.get(key) !== 'undone')
    .map(({ key, version, sizeBytes }): PlannedObject => ({ key, version, sizeBytes, reason: 'recheck' }));
  const bytes = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const totals = { ...EMPTY_PLAN, selected: objects.length, selectedBytes: bytes };
  return { objects, totals, next, pending: [] };
}

/** Of these keys, those that this run looks at again already, as earlier runs had handed them on. A run may have handed on another's. */
async function openKeys(
  loader: Loader,
  snapshot: RunSnapshot,
  unsettled: readonly Unsettled[],
  keys: readonly string[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  if (unsettled.length === 0 || keys.length === 0) return found;
  const asked = new Set(keys);
  // One after the other: each may hold many.
  for (const document of unsettled)
    for (const { key } of await readOpenObjects(loader, snapshot, document))
      if (asked.has(key)) found.add(key);
  return found;
}

/** What the run has taken, without what it only looks at again: that takes nothing of the limits. */
async function takenAnew(loader: Loader, { snapshot, facts, taken }: FindTask): Promise<Taken> {
  const pages = await allOf(facts.unsettled, 4, (_, page) => readPage(loader, snapshot.request.runId, page));
  return pages.reduce<Taken>(
    ({ objects, bytes }, page) => ({
      objects: objects - (page?.totals.selected ?? 0),
      bytes: bytes - (page?.totals.selectedBytes ?? 0),
    }),
    taken,
  );
}

async function findKeys(loader: Loader, task: FindTask, after: string | null): Promise<FoundPage> {
  const { snapshot } = task;
  const { options } = snapshot.request;
  const found = eachOnce(await nextKeys(loader, task, after));
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
  const looked = await lookAtDated(loader, task, batch, entries);
  if (looked.unreadable > 0) skipped.set('unreadable', looked.unreadable);
  // What was looked at once more may be another object by now.
  const selected = looked === batch ? first : select(looked.objects);

  const keys = [...selected.map(({ key }) => key), ...looked.gone];
  const lookedAtAgain = await openKeys(loader, snapshot, task.facts.unsettled, keys);
  const policy = policyOf(snapshot);
  const objects = await findGone(loader, snapshot, looked.gone, lookedAtAgain);
  if (looked.gone.length > objects.length) skipped.set('gone', looked.gone.length - objects.length);
  // A rerun is about the objects that it was asked for, all of them.
  const limits = options.rerun === undefined ? snapshot.definition.limits : NO_LIMITS;
  let taken = isLimited(limits) ? await takenAnew(loader, task) : task.taken;
  const left = new Set<string>();
  const newer = new Set<string>();
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
    const entry = entries.get(object.key) ?? null;
    if (entry === UNCHANGED) {
      skip(lookedAtAgain.has(object.key) ? 'unsettled' : 'unchanged');
      continue;
    }
    if (lookedAtAgain.has(object.key) && entry?.state !== 'undone') {
      // This run settles its earlier version; a newer one is for the next run, as a run loads a key once.
      skip('unsettled');
      if (isLeftBehind(loader, snapshot, entry, object)) newer.add(object.key);
      continue;
    }
    if (isOrphan(entry, snapshot.request.runId)) {
      // As with those of the documents: looking at what was posted takes nothing of the limits.
      objects.push(asPosted(object.key, entry));
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
      listed: found.objects.length + found.gone.length + found.unreadable,
      listedBytes: sumBytes(found.objects),
      selected: objects.length,
      selectedBytes: sumBytes(objects),
      skipped: Object.fromEntries(skipped),
    },
    next: batch.isLast || left.size > 0 ? null : `k:${batch.position}`,
    pending: batch.pending.filter(({ key }) => !left.has(key) && !newer.has(key)),
  };
}

/** A list may hold older versions of a key, too, and a page loads a key once: as what was modified last. */
function eachOnce(batch: KeyBatch): KeyBatch {
  // A listing names each key once.
  if (batch.runs !== null) return batch;
  const objects = new Map<string, S3Object>();
  for (const object of batch.objects) {
    const other = objects.get(object.key);
    if (other === undefined || other.lastModified <= object.lastModified) objects.set(object.key, object);
  }
  return objects.size === batch.objects.length ? batch : { ...batch, objects: [...objects.values()] };
}

/**
 * The run may have looked at the key before it held this version, and then hand the object on to nobody: the event that
 * announced the version is not used up.
 */
function isLeftBehind(
  { timing: { downloadGraceMs } }: Loader,
  { request }: RunSnapshot,
  entry: KnownObject | null,
  { version }: S3Object,
): boolean {
  if (entry === null || !isUnsettled(entry.state) || entry.version === version) return false;
  return wasBehindFence(entry, request, downloadGraceMs);
}

/** Unsettled, but in no document of unsettled objects: the run that wrote the entry could not finish. */
function isOrphan(entry: KnownObject | null, runId: string): entry is KnownObject {
  return entry !== null && isUnsettled(entry.state) && entry.runId !== runId;
}

/** The object that the ledger knows as open under the key, to be looked at again. */
function asPosted(key: string, { version, sizeBytes }: KnownObject): PlannedObject {
  return { key, version, sizeBytes, reason: 'recheck' };
}

/** Of keys that hold nothing, those whose object's fate is open: nothing else finds it, and it would stay open for ever. */
async function findGone(
  loader: Loader,
  snapshot: RunSnapshot,
  gone: readonly string[],
  lookedAtAgain: ReadonlySet<string>,
): Promise<PlannedObject[]> {
  if (gone.length === 0) return [];
  const asked = new Map(gone.map((key) => [key, null]));
  const entries = await loader.ledger.readEach(ledgerOf(snapshot), asked, knownOf);
  return gone.flatMap((key) => {
    const entry = entries.get(key) ?? null;
    return !lookedAtAgain.has(key) && isOrphan(entry, snapshot.request.runId) ? [asPosted(key, entry)] : [];
  });
}

function selectionOf({ definition: { source, format }, request: { options } }: RunSnapshot) {
  return {
    ...source,
    runPrefix: options.prefix,
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
  task: FindTask,
  batch: KeyBatch,
  entries: Known,
): Promise<KeyBatch> {
  if (batch.isDated !== true || task.snapshot.definition.source.writtenOnce) return batch;
  const isDoubtful = ({ key, version }: S3Object) => {
    const entry = entries.get(key);
    if (entry === undefined || entry === UNCHANGED) return false;
    return !isUnsettled(entry.state) && entry.version !== version;
  };
  return asTheyAreNow(loader, task, batch, isDoubtful);
}

/** Each stretch of the bucket for itself: what the ledger holds between two stretches is no business of the page. */
async function readEntries(
  loader: Loader,
  ledger: LedgerName,
  { runs }: KeyBatch,
  selected: readonly S3Object[],
): Promise<Known> {
  const keep = (entry: LedgerEntry, { version }: S3Object) =>
    entry.state === 'ingested' && entry.version === version ? UNCHANGED : knownOf(entry);
  const read = (stretch: readonly S3Object[]) =>
    loader.ledger.readEach(ledger, new Map(stretch.map((object) => [object.key, object])), keep);
  const stretches = runs === null ? [selected] : splitAt(selected, runs);
  if (stretches.length === 1) return read(stretches[0]!);
  const entries = new Map<string, KnownObject | typeof UNCHANGED>();
  for (const stretch of stretches) for (const [key, entry] of await read(stretch)) entries.set(key, entry);
  return entries;
}

function knownOf(entry: LedgerEntry): KnownObject {
  const { version, sizeBytes, state, runId, errorCode, attempts } = entry;
  const urlExpiresAt = isUnsettled(state) ? entry.urlExpiresAt : null;
  return { version, sizeBytes, state, runId, errorCode, attempts, urlExpiresAt };
}

/** The objects of each run, both in the order of the listing. */
function splitAt(objects: readonly S3Object[], runs: NonNullable<KeyBatch['runs']>): readonly S3Object[][] {
  let at = 0;
  return runs.map(({ last }) => {
    const from = at;
    while (at < objects.length && byBytes(objects[at]!.key, last) <= 0) at += 1;
    return objects.slice(from, at);
  });
}
