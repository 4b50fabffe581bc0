import { isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import { LEDGER_PARTITIONS } from '../domain/ledger-key.ts';
import { decidePlan } from '../domain/plan-decision.ts';
import { fits, NO_LIMITS, type Taken } from '../domain/run-limits.ts';
import type { RerunOptions, Stored } from '../domain/run-record.ts';
import { EMPTY_PLAN, OBJECT_STATES, type PlanTotals } from '../domain/run-summary.ts';
import type { S3Object } from '../domain/s3-object.ts';
import { compileSelection, type SkipReason } from '../domain/selection.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import { LoaderError, toLoaderError } from '../errors/loader-error.ts';
import type { PendingObject, Unsettled } from '../ports/load-state.ts';
import type { Source } from '../ports/source.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import { listObjects } from './read-run.ts';
import {
  ledgerOf,
  pendingListOf,
  policyOf,
  type RunFacts,
  type RunSnapshot,
  readOpenObjects,
  readSnapshot,
} from './run-documents.ts';

/** One page of what a run is about, compared with the ledger. */
export interface FoundPage {
  readonly objects: readonly PlannedObject[];
  readonly totals: PlanTotals;
  readonly next: string | null;
  readonly pending: readonly PendingObject[];
}

/**
 * Keys of one plan page. Large, so that the ledger's range queries (one per partition) are shared by many keys; the
 * first page is smaller, so that the lanes have work early.
 */
const PAGE_KEYS = 50_000;
const FIRST_PAGE_KEYS = 5000;

/** A page of pending objects: each costs a HEAD request. */
const PENDING_KEYS = 2000;
const HEADS_AT_ONCE = 16;

/** Listing for one page ends after this long, so that a slow endpoint doesn't make the planner look dead. */
const LISTING_MS = 120_000;

/** Where the next page begins: `u:<index of the unsettled manifest>` or `k:<key after which to go on>`. */
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
  const source = await loader.source(snapshot.definition.source);
  const { trigger, options } = snapshot.request;
  const batch =
    options.rerun !== undefined
      ? await ofEarlierRun(loader, source, { snapshot, rerun: options.rerun, after })
      : trigger === 'events'
        ? await announced(loader, source, task, after)
        : snapshot.definition.source.files !== null
          ? await named(source, snapshot, snapshot.definition.source.files, after)
          : await listed(loader, source, task, after);
  const skipped = new Map<SkipReason, number>();
  if (batch.gone > 0) skipped.set('gone', batch.gone);
  if (batch.unreadable > 0) skipped.set('unreadable', batch.unreadable);
  const skip = (reason: SkipReason) => skipped.set(reason, (skipped.get(reason) ?? 0) + 1);

  const reasonToSkip = compileSelection(selectionOf(snapshot));
  const selected = batch.objects.filter((object) => {
    const reason = reasonToSkip(object);
    if (reason !== null) skip(reason);
    return reason === null;
  });

  const entries = await readEntries(loader, snapshot, selected);
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
      listed: batch.objects.length + batch.gone + batch.unreadable,
      listedBytes: sumBytes(batch.objects),
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

interface KeyBatch {
  readonly objects: readonly S3Object[];
  readonly gone: number;
  readonly unreadable: number;
  /** Where the next batch begins: behind this key or, in a rerun, from this object of the earlier run on. */
  readonly position: string | null;
  readonly isLast: boolean;
  readonly pending: readonly PendingObject[];
}

async function listed(
  loader: Loader,
  source: Source,
  { snapshot, page }: FindTask,
  after: string | null,
): Promise<KeyBatch> {
  const prefix = snapshot.request.options.prefix ?? snapshot.definition.source.prefix;
  const most = page === 0 ? FIRST_PAGE_KEYS : PAGE_KEYS;
  const until = loader.now().getTime() + LISTING_MS;
  const objects: S3Object[] = [];
  let isLast = false;
  while (!isLast && objects.length < most && (objects.length === 0 || loader.now().getTime() < until)) {
    const part = await source.listPage({ prefix, startAfter: objects.at(-1)?.key ?? after });
    for (const object of part.objects) objects.push(object);
    isLast = part.isLast;
  }
  return { objects, gone: 0, unreadable: 0, position: objects.at(-1)?.key ?? after, isLast, pending: [] };
}

/** Objects whose keys the definition names, as they are now. */
async function named(
  source: Source,
  snapshot: RunSnapshot,
  files: readonly string[],
  after: string | null,
): Promise<KeyBatch> {
  const rest = [...new Set(files)].sort(byBytes).filter((key) => after === null || byBytes(key, after) > 0);
  const batch = rest.slice(0, PENDING_KEYS);
  const heads = await headAll(
    source,
    snapshot,
    batch.map((key) => ({ key })),
  );
  throwPassing(heads);
  return {
    ...countHeads(heads),
    position: batch.at(-1) ?? after,
    isLast: batch.length === rest.length,
    pending: [],
  };
}

/** The order of S3's listings. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** What may be readable in a while is no reason to plan without it. */
function throwPassing(heads: readonly Head[]): void {
  const passing = heads.find((head) => head instanceof LoaderError && !head.permanent);
  if (passing instanceof LoaderError) throw passing;
}

/** Objects that events announced, as they are now: an event may be older than the object. */
async function announced(
  loader: Loader,
  source: Source,
  { snapshot }: FindTask,
  afterKey: string | null,
): Promise<KeyBatch> {
  const pending = await loader.loads.readPending(pendingListOf(snapshot), { afterKey, limit: PENDING_KEYS });
  const heads = await headAll(source, snapshot, pending);
  return {
    ...countHeads(heads),
    position: pending.at(-1)?.key ?? afterKey,
    isLast: pending.length < PENDING_KEYS,
    // What may be readable in a while stays in the list.
    pending: pending.filter((_, index) => {
      const head = heads[index];
      return !(head instanceof LoaderError) || head.permanent;
    }),
  };
}

/** Objects of an earlier run by how they ended there, as they are now. */
async function ofEarlierRun(
  loader: Loader,
  source: Source,
  {
    snapshot,
    rerun,
    after,
  }: { readonly snapshot: RunSnapshot; readonly rerun: RerunOptions; readonly after: string | null },
): Promise<KeyBatch> {
  await expectSameLedger(loader, rerun.runId, snapshot);
  const { objects, next } = await listObjects(loader, rerun.runId, {
    state: rerun.objects === 'failed' ? 'failed' : NOT_INGESTED,
    limit: PENDING_KEYS,
    after,
    until: new Date(loader.now().getTime() + LISTING_MS),
  });
  const heads = await headAll(source, snapshot, objects);
  throwPassing(heads);
  return { ...countHeads(heads), position: next, isLast: next === null, pending: [] };
}

/** Every state of an ended run's objects but `ingested`. */
const NOT_INGESTED = OBJECT_STATES.filter((state) => state !== 'ingested');

/**
 * What an earlier run says of its objects is about the ledger that it wrote.
 *
 * @throws {LoaderError} `loadChanged`.
 */
export async function expectSameLedger(
  loader: Loader,
  runId: string,
  { generation }: Pick<RunSnapshot, 'generation'>,
): Promise<void> {
  const earlier = await readSnapshot(loader, runId);
  if (earlier.generation === generation) return;
  throw new LoaderError(
    'loadChanged',
    `The bucket or the destination of the load "${earlier.request.load}" is another one than that of the run "${runId}"`,
  );
}

type Head = S3Object | LoaderError | null;

/** Looks at each key. One that can't be looked at does not keep the others. */
async function headAll(
  source: Source,
  { definition }: RunSnapshot,
  wanted: readonly { readonly key: string }[],
): Promise<readonly Head[]> {
  const heads = await allOf(wanted, HEADS_AT_ONCE, async ({ key }): Promise<Head> => {
    try {
      return await source.head(key);
    } catch (thrown) {
      return toLoaderError(thrown);
    }
  });
  // S3 says no more than 403, and it says that too when the credentials have ended meanwhile: then the listing fails, and
  // nothing is taken for what it is not.
  if (heads.some((head) => head instanceof LoaderError))
    await source.listPage({ prefix: definition.source.prefix, startAfter: null });
  return heads;
}

function countHeads(heads: readonly Head[]): Pick<KeyBatch, 'objects' | 'gone' | 'unreadable'> {
  return {
    objects: heads.filter((head): head is S3Object => head !== null && !(head instanceof LoaderError)),
    gone: heads.filter((head) => head === null).length,
    unreadable: heads.filter((head) => head instanceof LoaderError).length,
  };
}

/**
 * A range query per partition for many keys of a listing, between which the ledger holds no more than the listing does.
 * Announced keys, named ones, and those of an earlier run may be anywhere, so only they are looked up.
 */
async function readEntries(
  loader: Loader,
  snapshot: RunSnapshot,
  objects: readonly S3Object[],
): Promise<ReadonlyMap<string, Stored<LedgerEntry>>> {
  const name = ledgerOf(snapshot);
  const first = objects[0];
  const last = objects.at(-1);
  if (first === undefined || last === undefined) return new Map();
  const keys = () => objects.map(({ key }) => key);
  const { trigger, options } = snapshot.request;
  const isListing =
    trigger !== 'events' && options.rerun === undefined && snapshot.definition.source.files === null;
  if (!isListing || objects.length <= LEDGER_PARTITIONS) return loader.ledger.readKeys(name, keys());
  return loader.ledger.readRange(name, first.key, last.key);
}
