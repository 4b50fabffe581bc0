import type { IngestUnitInput, IngestUnitOutput } from '../contracts/durable.ts';
import { leastLeftMs } from '../domain/least-left.ts';
import { EARLIER_MESSAGES, type LedgerEntry } from '../domain/ledger-entry.ts';
import { atShare, shareAt } from '../domain/pace.ts';
import { decidePost } from '../domain/plan-decision.ts';
import { rawSizeOf } from '../domain/raw-size.ts';
import { CUT_SHORT, type RunView, type Stored } from '../domain/run-record.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import { sourceIdOf } from '../domain/source-id.ts';
import { type LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { PostResult } from '../ports/ingestion.ts';
import { askForRows } from './ask-for-rows.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import { change, isOver } from './part-commit.ts';
import { settleRechecked, type ToPost, type UnitWork, withoutRewritten } from './recheck.ts';
import { ledgerOf, policyOf, readFacts, readSnapshot, readUnit } from './run-documents.ts';
import { slowDown, slowDownBy } from './slow-down.ts';

/** How old the knowledge of epoch and control may be when a group of objects is begun. */
const CONTROL_AGE_MS = 1000;
/** Units show that their lane lives: a shard may take long. */
const HEARTBEAT_MS = 60_000;

/**
 * Posts the objects of one unit: intent, sign, post, record; in groups no larger than the posts in flight, so that a
 * crash leaves at most one group between intent and record.
 *
 * It may run twice and at the same time: the intent is a conditional write, and only its writer posts.
 */
export async function ingestUnit(loader: Loader, input: IngestUnitInput): Promise<IngestUnitOutput> {
  const { runId, epoch, shard, unit } = input;
  try {
    const view = await loader.runs.readRun(runId);
    const row = view?.shards.find(({ value }) => value.shard === shard)?.value;
    // A settled shard is no longer among the live ones: a late twin has nothing to do.
    if (row === undefined || view?.run.value.epoch !== epoch) return { ok: true };
    await showLife(loader, input, view);
    const snapshot = await readSnapshot(loader, runId);
    const { source, destination, concurrency } = snapshot.definition;
    const work: UnitWork = {
      input,
      snapshot,
      ledger: ledgerOf(snapshot),
      source: await loader.source(source),
      ingestion: await loader.ingestion(destination.cluster),
      leastLeftMs: leastLeftMs((await readFacts(loader, runId))?.batchingWindowMs ?? 0, loader.timeScale),
    };
    await work.ingestion.warmUp();
    const objects = await readUnit(loader, row.manifest, unit);
    const isThrough = await ingestInGroups(loader, work, objects, concurrency.postsInFlight);
    return isThrough ? { ok: true } : { ok: false, code: CUT_SHORT };
  } catch (thrown) {
    const error = toLoaderError(thrown);
    await slowDownBy(loader, input, [error]);
    events.unitFailed(loader.logger, { runId, epoch, shard, unit, error });
    return { ok: false, code: error.code };
  }
}

/**
 * @returns `false` when the run was suspended before all objects had their turn.
 * @throws {LoaderError} when all had it, and some could not be looked at: the unit is tried again.
 */
async function ingestInGroups(
  loader: Loader,
  work: UnitWork,
  objects: readonly PlannedObject[],
  most: number,
): Promise<boolean> {
  let checkedAt = 0;
  let lookedAt = loader.now().getTime();
  let size = most;
  let failure: LoaderError | null = null;
  for (let at = 0; at < objects.length; at += size) {
    const now = loader.now().getTime();
    if (now - checkedAt >= CONTROL_AGE_MS / loader.timeScale) {
      const { order, share } = await readOrder(loader, work.input);
      if (order !== 'goOn') return order === 'stop';
      size = atShare(most, share);
      checkedAt = now;
    }
    if (now - lookedAt >= HEARTBEAT_MS / loader.timeScale) {
      await showLife(loader, work.input, await loader.runs.readRun(work.input.runId));
      lookedAt = now;
    }
    failure = (await ingestGroup(loader, work, objects.slice(at, at + size))) ?? failure;
  }
  if (failure !== null) throw failure;
  return true;
}

interface Order {
  readonly order: 'goOn' | 'suspend' | 'stop';
  /** Of the load's concurrency. */
  readonly share: number;
}

async function readOrder(loader: Loader, { runId, epoch }: IngestUnitInput): Promise<Order> {
  const now = await loader.runs.readControl(runId);
  if (now === null || now.run.value.epoch !== epoch || isOver(now.run.value))
    return { order: 'stop', share: 0 };
  const { stop, suspendedAt, pace } = now.control.value;
  if (stop !== null) return { order: 'stop', share: 0 };
  const share = shareAt(pace, loader.now(), loader.timeScale);
  return { order: suspendedAt === null ? 'goOn' : 'suspend', share };
}

/**
 * Renews the heartbeat of the lane that holds the shard, when it is old. Losing the race for the lane's row is as good:
 * somebody else wrote it.
 */
async function showLife(
  loader: Loader,
  { runId, epoch, shard }: IngestUnitInput,
  view: RunView | null,
): Promise<void> {
  const lane = view?.shards.find(({ value }) => value.shard === shard)?.value.heldBy;
  const part = view?.parts.find(({ value }) => value.part === lane && value.epoch === epoch);
  const now = loader.now();
  if (part === undefined) return;
  if (now.getTime() - Date.parse(part.value.heartbeatAt) < HEARTBEAT_MS / loader.timeScale) return;
  await loader.runs.commit(runId, [change(part, { heartbeatAt: now.toISOString() })]);
}

interface Attempt {
  readonly object: PlannedObject;
  readonly before: Stored<LedgerEntry> | null;
  readonly url: string;
  readonly entry: LedgerEntry;
}

/** One group: at most as many objects as posts in flight. Returns why some of them could not be looked at, if so. */
async function ingestGroup(
  loader: Loader,
  work: UnitWork,
  group: readonly PlannedObject[],
): Promise<LoaderError | null> {
  const known = group.filter(({ reason }) => reason !== 'new');
  const entries =
    known.length === 0
      ? new Map<string, Stored<LedgerEntry>>()
      : await loader.ledger.readKeys(
          work.ledger,
          known.map(({ key }) => key),
        );
  // Only now: as long as this run has not ended no other has begun, and one that writes later changes the ETags that were
  // read. An activity that slept through its run's end would else post over what the next run has loaded.
  if (known.length > 0 && (await readOrder(loader, work.input)).order === 'stop') return null;
  const open = await settleRechecked(loader, work, group, entries);

  const toPost: ToPost[] = [];
  const toGiveUp: ToPost[] = [];
  for (const object of open) {
    const before = entries.get(object.key) ?? null;
    const decision = decidePost(before?.value ?? null, {
      runId: work.input.runId,
      reason: object.reason,
      ...(object.failedSeq === undefined ? {} : { failedSeq: object.failedSeq }),
      version: object.version,
      now: loader.now(),
      downloadGraceMs: loader.timing.downloadGraceMs,
      policy: policyOf(work.snapshot),
    });
    if (decision.post !== 'no')
      toPost.push({ object, before, unproven: decision.post === 'again' && !decision.provenNotIngested });
    else if (decision.givesWay === true) toGiveUp.push({ object, before, unproven: true });
  }
  const held = new Set(toGiveUp.map(({ object }) => object.key));
  const looked = await withoutRewritten(loader, work, [...toGiveUp, ...toPost]);
  const left = await askForRows(loader, work, looked.left);
  // What only a person may have posted is posted where the table proves that nothing comes twice.
  await postGroup(
    loader,
    work,
    left.filter(({ object, unproven }) => !unproven || !held.has(object.key)),
  );
  return looked.failure;
}

/** Intents, then posts, then what became of them. What every queue refused has failed; the run posts it once more, later. */
async function postGroup(loader: Loader, work: UnitWork, group: readonly ToPost[]): Promise<void> {
  if (group.length === 0) return;
  const attempts = await allOf(group, group.length, ({ object, before, unproven }) =>
    prepare(loader, work, object, before, unproven),
  );
  const etags = await loader.ledger.write(
    work.ledger,
    attempts.map(({ entry, before }) => ({ entry, etag: before?.etag ?? null })),
  );
  // No ETag: a twin wrote the intent, and it alone posts.
  const mine = attempts.flatMap((attempt, index) =>
    etags[index] == null ? [] : [{ attempt, etag: etags[index] }],
  );
  const results = await allOf(mine, mine.length, ({ attempt }) => post(work, attempt));

  tellAmbiguous(loader, work, mine, results);
  if (results.some(({ throttled }) => throttled === true)) await slowDown(loader, work.input);
  const now = loader.now().toISOString();
  await loader.ledger.write(
    work.ledger,
    mine.flatMap(({ attempt, etag }, index) => {
      const entry = entryAfterPost(attempt.entry, results[index]!, now);
      return entry === null ? [] : [{ entry, etag }];
    }),
  );
}

/** `null`: it stays an intent, for the message may be in. */
function entryAfterPost(entry: LedgerEntry, result: PostResult, now: string): LedgerEntry | null {
  switch (result.result) {
    case 'accepted':
      return { ...entry, state: 'queued', queuedAt: now };
    case 'refused': {
      const errorMessage = result.message.slice(0, 500);
      return { ...entry, state: 'failed', settledAt: now, errorCode: 'queueRefused', errorMessage };
    }
    case 'ambiguous':
      return null;
  }
}

/** One line for a group, with the first of its objects: what cuts one post off mostly cuts its neighbours off, too. */
function tellAmbiguous(
  loader: Loader,
  { input: { runId, epoch, shard, unit } }: UnitWork,
  mine: readonly { readonly attempt: Attempt }[],
  results: readonly PostResult[],
): void {
  const ambiguous = mine.flatMap(({ attempt }, index) => {
    const result = results[index]!;
    return result.result === 'ambiguous' ? [{ ...attempt.entry, message: result.message }] : [];
  });
  const [first] = ambiguous;
  if (first === undefined) return;
  const { sourceId, message } = first;
  events.postsAmbiguous(loader.logger, {
    runId,
    epoch,
    shard,
    unit,
    objects: ambiguous.length,
    sourceId,
    message,
  });
}

async function prepare(
  loader: Loader,
  work: UnitWork,
  object: PlannedObject,
  before: Stored<LedgerEntry> | null,
  unproven: boolean,
): Promise<Attempt> {
  const { source, destination } = work.snapshot.definition;
  const { url, expiresAt } = await work.source.presignGet({
    key: object.key,
    version: object.version,
    lifetimeMs: loader.timing.urlLifetimeMs,
    leastLeftMs: work.leastLeftMs,
  });
  const attemptSeq = (before?.value.attemptSeq ?? 0) + 1;
  const isSameVersion = before !== null && before.value.version === object.version;
  const entry: LedgerEntry = {
    key: object.key,
    version: object.version,
    sizeBytes: object.sizeBytes,
    state: 'intent',
    runId: work.input.runId,
    epoch: work.input.epoch,
    sourceId: sourceIdOf({
      appId: loader.appId,
      runId: work.input.runId,
      ...work.ledger,
      ...destination,
      bucket: source.bucket,
      key: object.key,
      version: object.version,
      attemptSeq,
    }),
    attemptSeq,
    attempts: isSameVersion ? before.value.attempts + 1 : 1,
    intentAt: loader.now().toISOString(),
    queuedAt: null,
    settledAt: null,
    urlExpiresAt: expiresAt?.toISOString() ?? null,
    errorCode: null,
    errorMessage: null,
    tag: work.snapshot.tag,
    repostedUnproven: unproven,
    fateUnknown: false,
    earlierSourceIds: unproven && isSameVersion ? earlierMessages(before.value) : null,
    otherTags: unproven && before !== null ? tagsOf(before.value) : null,
  };
  return { object, before, url, entry };
}

function earlierMessages({ sourceId, earlierSourceIds }: LedgerEntry): readonly string[] {
  return [sourceId, ...(earlierSourceIds ?? [])].slice(0, EARLIER_MESSAGES);
}

function tagsOf({ tag, otherTags }: LedgerEntry): readonly (string | null)[] {
  return [tag, ...(otherTags ?? [])].slice(0, EARLIER_MESSAGES);
}

function post({ ingestion, snapshot }: UnitWork, { object, url, entry }: Attempt): Promise<PostResult> {
  const { destination, format } = snapshot.definition;
  return ingestion.post({
    sourceId: entry.sourceId,
    url,
    rawSizeBytes: rawSizeOf(object, format.type),
    database: destination.database,
    table: destination.table,
    format: format.type,
    mapping: destination.mapping,
    ignoreFirstRecord: format.ignoreFirstRecord,
    tags: [snapshot.tag],
  });
}
