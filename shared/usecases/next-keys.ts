import { atShare } from '../domain/pace.ts';
import type { RerunOptions } from '../domain/run-record.ts';
import { OBJECT_STATES } from '../domain/run-summary.ts';
import type { S3Object } from '../domain/s3-object.ts';
import { LoaderError, toLoaderError } from '../errors/loader-error.ts';
import type { PendingObject } from '../ports/load-state.ts';
import type { Source } from '../ports/source.ts';
import { allOf } from './bounded.ts';
import { expectListing } from './expect-listing.ts';
import type { FindTask } from './find-objects.ts';
import type { Loader } from './loader.ts';
import { decideAsPart } from './part-commit.ts';
import { listObjects } from './read-run.ts';
import { type InventoryFacts, pendingListOf, type RunSnapshot, readSnapshot } from './run-documents.ts';
import { slowDownBy } from './slow-down.ts';
import { byBytes, readStretches, type Stretch, splitStretches, writeStretches } from './stretches.ts';

/**
 * Keys of one plan page, for each lister. Large, so that the ledger's range queries (one per partition) are shared by many
 * keys; the first page is smaller, so that the lanes have work early.
 */
const PAGE_KEYS = 50_000;
const FIRST_PAGE_KEYS = 5000;

/** A page of pending objects: each costs a HEAD request. */
const PENDING_KEYS = 2000;
const HEADS_AT_ONCE = 16;

/**
 * A page of an inventory. A file of it is read from its beginning for each page that begins within it, so pages are large;
 * and each of their keys may need a HEAD, so they end within the time that an activity has.
 */
const INVENTORY_ROWS = 100_000;
/** HEADs between two signs of life. */
const HEADS_A_BEAT = 5000;

/** Listing for one page ends after this long, so that a slow endpoint doesn't make the planner look dead. */
const LISTING_MS = 120_000;

/** Some of the objects that a run is about, as they are now. */
export interface KeyBatch {
  readonly objects: readonly S3Object[];
  /** Keys that were asked for and hold nothing. */
  readonly gone: readonly string[];
  readonly unreadable: number;
  /** Where the next batch begins: behind this key, or whatever else the kind of keys needs. */
  readonly position: string | null;
  /** Stretches of the bucket of which the batch holds all keys; `null` where keys may be anywhere. */
  readonly runs: readonly { readonly first: string; readonly last: string }[] | null;
  readonly isLast: boolean;
  readonly pending: readonly PendingObject[];
  /** The objects are as they were some time ago, perhaps a day. Absent: as they are now. */
  readonly isDated?: true;
}

/** The keys behind a position, `null` for the first ones, of whatever kind of keys the run is about. */
export async function nextKeys(loader: Loader, task: FindTask, after: string | null): Promise<KeyBatch> {
  const { snapshot, facts } = task;
  const { definition, request } = snapshot;
  const source = await loader.source(definition.source);
  const { rerun } = request.options;
  if (rerun !== undefined) return ofEarlierRun(loader, source, task, { rerun, after });
  if (request.trigger === 'events') return announced(loader, source, task, after);
  if (definition.source.files !== null) return named(loader, source, task, after);
  if (facts.inventory != null) return inventoried(loader, snapshot, facts.inventory, after);
  return listed(loader, source, task, after);
}

/** The keys of a listing: of one stretch of the bucket after the other or, with several listers, of some at a time. */
async function listed(
  loader: Loader,
  source: Source,
  { snapshot, page, share }: FindTask,
  position: string | null,
): Promise<KeyBatch> {
  const listers = atShare(snapshot.definition.source.listers, share);
  const prefix = snapshot.request.options.prefix ?? snapshot.definition.source.prefix;
  const most = page === 0 ? Math.ceil(FIRST_PAGE_KEYS / listers) : PAGE_KEYS;
  const until = loader.now().getTime() + LISTING_MS;
  const stretches = await splitStretches(source, prefix, readStretches(position), listers);
  const lists = await allOf(stretches, listers, (stretch) =>
    listStretch(loader, source, prefix, stretch, most, until),
  );
  const left = lists.flatMap(({ rest }) => (rest === null ? [] : [rest]));
  return {
    objects: lists.flatMap(({ objects }) => objects),
    gone: [],
    unreadable: 0,
    position: writeStretches(left),
    runs: lists.flatMap(({ objects }) =>
      objects.length === 0 ? [] : [{ first: objects[0]!.key, last: objects.at(-1)!.key }],
    ),
    isLast: left.length === 0,
    pending: [],
  };
}

async function listStretch(
  loader: Loader,
  source: Source,
  prefix: string,
  { after, upTo }: Stretch,
  most: number,
  until: number,
): Promise<{ readonly objects: readonly S3Object[]; readonly rest: Stretch | null }> {
  const objects: S3Object[] = [];
  let at = after;
  for (
    let isFirst = true;
    isFirst || (objects.length < most && loader.now().getTime() < until);
    isFirst = false
  ) {
    const part = await source.listPage({ prefix, startAfter: at });
    const within = part.objects.filter(({ key }) => upTo === null || byBytes(key, upTo) <= 0);
    for (const object of within) objects.push(object);
    if (part.isLast || within.length < part.objects.length) return { objects, rest: null };
    if (part.upTo !== undefined && upTo !== null && byBytes(part.upTo, upTo) >= 0)
      return { objects, rest: null };
    at = part.upTo ?? part.objects.at(-1)?.key ?? at;
  }
  return { objects, rest: { after: at, upTo } };
}

/** Objects of an S3 Inventory list, as they were when it was made. */
async function inventoried(
  loader: Loader,
  { definition }: RunSnapshot,
  { bucket, list }: InventoryFacts,
  position: string | null,
): Promise<KeyBatch> {
  const [file, row] = position === null ? [0, 0] : (position.split('.').map(Number) as [number, number]);
  const source = await loader.source({ ...definition.source, bucket });
  const page = await source.readInventory({ list, file, row, most: INVENTORY_ROWS });
  return {
    objects: page.objects,
    gone: [],
    unreadable: 0,
    position: page.next === null ? null : `${page.next.file}.${page.next.row}`,
    runs: null,
    isLast: page.next === null,
    pending: [],
    isDated: true,
  };
}

/** Objects whose keys the definition names, as they are now. */
async function named(
  loader: Loader,
  source: Source,
  task: FindTask,
  after: string | null,
): Promise<KeyBatch> {
  const files = task.snapshot.definition.source.files ?? [];
  const rest = [...new Set(files)].sort(byBytes).filter((key) => after === null || byBytes(key, after) > 0);
  const batch = rest.slice(0, PENDING_KEYS);
  const heads = await headAll(loader, source, task, batch);
  throwPassing(heads);
  return {
    ...sortHeads(batch, heads),
    position: batch.at(-1) ?? after,
    isLast: batch.length === rest.length,
    runs: null,
    pending: [],
  };
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
  task: FindTask,
  afterKey: string | null,
): Promise<KeyBatch> {
  const pending = await loader.loads.readPending(pendingListOf(task.snapshot), {
    afterKey,
    limit: PENDING_KEYS,
  });
  const keys = pending.map(({ key }) => key);
  const heads = await headAll(loader, source, task, keys);
  return {
    ...sortHeads(keys, heads),
    position: pending.at(-1)?.key ?? afterKey,
    isLast: pending.length < PENDING_KEYS,
    runs: null,
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
  task: FindTask,
  { rerun, after }: { readonly rerun: RerunOptions; readonly after: string | null },
): Promise<KeyBatch> {
  await expectSameLedger(loader, rerun.runId, task.snapshot);
  const { objects, next } = await listObjects(loader, rerun.runId, {
    state: rerun.objects === 'failed' ? 'failed' : NOT_INGESTED,
    limit: PENDING_KEYS,
    after,
    until: new Date(loader.now().getTime() + LISTING_MS),
  });
  const keys = objects.map(({ key }) => key);
  const heads = await headAll(loader, source, task, keys);
  throwPassing(heads);
  return { ...sortHeads(keys, heads), position: next, isLast: next === null, runs: null, pending: [] };
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

/**
 * Objects of a list that may be old, those that the ledger knows in another version looked at as they are now: the list
 * may name the version before the one that was loaded, which would be loaded again with every run.
 */
export async function asTheyAreNow(
  loader: Loader,
  task: FindTask,
  batch: KeyBatch,
  isDoubtful: (object: S3Object) => boolean,
): Promise<KeyBatch> {
  const doubtful = batch.objects.filter(isDoubtful).map(({ key }) => key);
  if (doubtful.length === 0) return batch;
  const source = await loader.source(task.snapshot.definition.source);
  const heads: Head[] = [];
  for (let at = 0; at < doubtful.length; at += HEADS_A_BEAT) {
    if (at > 0) await showLife(loader, task);
    const some = await headAll(loader, source, task, doubtful.slice(at, at + HEADS_A_BEAT));
    throwPassing(some);
    heads.push(...some);
  }
  const looked = sortHeads(doubtful, heads);
  const keys = new Set(doubtful);
  return {
    ...batch,
    objects: [...batch.objects.filter(({ key }) => !keys.has(key)), ...looked.objects],
    gone: [...batch.gone, ...looked.gone],
    unreadable: batch.unreadable + looked.unreadable,
  };
}

/** What takes minutes must not make the planner look dead. */
async function showLife(loader: Loader, { snapshot, epoch }: FindTask): Promise<void> {
  const { runId } = snapshot.request;
  await decideAsPart(loader, { runId, epoch, part: 'planner' }, () => ({ answer: null, me: {} }));
}

/** Looks at each key. One that can't be looked at does not keep the others. */
async function headAll(
  loader: Loader,
  source: Source,
  { snapshot: { definition, request }, epoch, share }: FindTask,
  keys: readonly string[],
): Promise<readonly Head[]> {
  const look = async (key: string): Promise<Head> => {
    try {
      return await source.head(key);
    } catch (thrown) {
      return toLoaderError(thrown);
    }
  };
  const atOnce = atShare(HEADS_AT_ONCE, share);
  const heads = await allOf(keys, atOnce, look);
  await slowDownBy(loader, { runId: request.runId, epoch }, heads);
  if (!heads.some((head) => head instanceof LoaderError)) return heads;
  await expectListing(source, definition.source.prefix);
  const isRefused = (head: Head) => head instanceof LoaderError && head.permanent;
  // The credentials may have been renewed in between.
  return allOf(heads, atOnce, async (head, index) => (isRefused(head) ? look(keys[index]!) : head));
}

/** What was found under each of these keys, in their order. */
function sortHeads(
  keys: readonly string[],
  heads: readonly Head[],
): Pick<KeyBatch, 'objects' | 'gone' | 'unreadable'> {
  return {
    objects: heads.filter((head): head is S3Object => head !== null && !(head instanceof LoaderError)),
    gone: keys.filter((_, index) => heads[index] === null),
    unreadable: heads.filter((head) => head instanceof LoaderError).length,
  };
}
