import type { SettleShardInput, SettleShardOutput } from '../contracts/durable.ts';
import { saysThrottled } from '../domain/ingestion-status.ts';
import { aroundMs } from '../domain/jitter.ts';
import type { LedgerEntry } from '../domain/ledger-entry.ts';
import { endOf, isYetToBePosted, type ShardItem } from '../domain/object-outcome.ts';
import { type Pace, shareAt } from '../domain/pace.ts';
import { isCutShort, type ShardRow, type Stored } from '../domain/run-record.ts';
import { addDigests, EMPTY_DIGEST, type OutcomeDigest } from '../domain/run-summary.ts';
import { nextLookAt } from '../domain/settle-timing.ts';
import { ERROR_KINDS, LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Ingestion } from '../ports/ingestion.ts';
import type { LedgerName } from '../ports/ledger.ts';
import { closeShard, stopOnError } from './close-shard.ts';
import type { Loader } from './loader.ts';
import { withParquetRows } from './parquet-rows.ts';
import { change, decideAsPart } from './part-commit.ts';
import { postedAgain } from './plan-retries.ts';
import { withPresentVersions } from './rewritten-keys.ts';
import { ledgerOf, type RunSnapshot, readFacts, readManifest, readSnapshot } from './run-documents.ts';
import { endsOfRun, sampled } from './run-totals.ts';
import { settleEntry } from './settle-entry.ts';
import { slowDown, slowDownBy } from './slow-down.ts';

/** ADX's default batching window, for a run whose planner could not tell it. */
const DEFAULT_BATCHING_WINDOW_MS = 5 * 60_000;

/**
 * ADX reports a batch at once, so a few objects tell whether it is worth reading the status of all: one in sixteen, and
 * never fewer than sixteen, spread over the shard.
 */
const SAMPLE = 16;

/** For so long the keys of a shard whose last object is settled are looked at in the bucket; then it is closed without. */
const LOOK_AT_KEYS_MS = 10 * 60_000;

export interface SettleOptions {
  /** Nobody will look again: what has no report becomes `unknown` before its deadline, also if it was never handed to a settler. */
  readonly isLastLook?: boolean;
}

/**
 * Makes one pass over a posted shard: reads ADX's reports, writes them into the ledger, and either says when to look
 * again or, when every object is settled or past its deadline, writes the shard's outcomes once.
 */
export async function settleShard(
  loader: Loader,
  input: SettleShardInput,
  options: SettleOptions = {},
): Promise<SettleShardOutput> {
  const { runId, epoch, shard } = input;
  try {
    return await passOver(loader, input, options);
  } catch (thrown) {
    const error = toLoaderError(thrown);
    await slowDownBy(loader, input, [error]);
    events.settlingFailed(loader.logger, { runId, epoch, shard, error });
    await lookLater(loader, input);
    return { ok: false, code: error.code };
  }
}

async function passOver(
  loader: Loader,
  input: SettleShardInput,
  options: SettleOptions,
): Promise<SettleShardOutput> {
  const { runId, epoch, shard } = input;
  const view = await loader.runs.readRun(runId);
  const row = view?.shards.find(({ value }) => value.shard === shard)?.value;
  if (view === null || row === undefined || view.run.value.epoch !== epoch)
    return { ok: true, settled: true };
  const isForGood = options.isLastLook === true;
  if (row.postedAt === null && !isForGood) return { ok: true, settled: true };
  const overdueMs = isForGood ? Number.POSITIVE_INFINITY : overdueMsOf(loader, row);
  const isGivenUp = overdueMs >= loader.timing.lookAtMostEveryMs;

  const snapshot = await readSnapshot(loader, runId);
  const ledger = ledgerOf(snapshot);
  const closing = { snapshot, row, control: view.control.value, isForGood };
  const items = await readItems(loader, ledger, row);
  if (items === null) {
    if (!isGivenUp) throw new LoaderError('stateUnavailable', `The manifest ${row.manifest} is not there`);
    await closeShard(loader, input, { ...closing, items: null });
    return { ok: true, settled: true };
  }

  const isLastLook = overdueMs >= 0;
  const open = items.filter(({ stored }) => isOpen(stored, runId));
  const statuses =
    open.length === 0
      ? NO_REPORTS
      : await readReports(loader, input, snapshot, { open, isLastLook, isGivenUp });
  const settled = await settleItems(loader, { ledger, items, open, statuses, isLastLook });
  if (isThrottlingReported(open, statuses, view.control.value.pace)) await slowDown(loader, input);

  // Objects that wait for the run to be resumed have no outcome yet.
  const isWaiting = isCutShort(row) && view.control.value.stop === null && !isForGood;
  if (isWaiting || settled.some(({ stored }) => isOpen(stored, runId))) {
    await lookAgain(loader, input, snapshot, { row, items: settled });
    return { ok: true, settled: false };
  }
  // What was settled only now is looked at at least once more.
  const isSettledLong =
    open.length === 0 && settledForMs(loader, row, settled) >= LOOK_AT_KEYS_MS / loader.timeScale;
  const mayLeave = isForGood || isSettledLong;
  const share = shareAt(view.control.value.pace, loader.now(), loader.timeScale);
  const look = { snapshot, share, isLastLook: mayLeave };
  const looked = await withPresentVersions(loader, input, { ...look, items: settled });
  const counted = await withParquetRows(loader, input, { ...look, items: looked });
  await closeShard(loader, input, { ...closing, items: counted });
  return { ok: true, settled: true };
}

/**
 * Whether ADX has reported, since the run was last slowed down, that it had no capacity for an object. What it goes on trying
 * by itself is read with the same report in every look.
 */
function isThrottlingReported(open: readonly ShardItem[], statuses: Statuses, pace: Pace | null): boolean {
  const isAnswered = (updatedAt: string | null) =>
    pace !== null && updatedAt !== null && Date.parse(updatedAt) <= Date.parse(pace.since);
  return open.some(({ stored }) => {
    const status = statuses.get(stored!.value.sourceId) ?? null;
    return status !== null && saysThrottled(status) && !isAnswered(status.updatedAt);
  });
}

/** How long the deadline of a shard has passed, in milliseconds; negative before it. */
function overdueMsOf({ timing, now }: Loader, { postedAt }: ShardRow): number {
  return now().getTime() - Date.parse(postedAt!) - timing.settleDeadlineMs;
}

/**
 * How long every object of a shard has been settled, in milliseconds. What an earlier run had posted may have been settled
 * long before this one posted the shard.
 */
function settledForMs({ now }: Loader, { postedAt }: ShardRow, items: readonly ShardItem[]): number {
  const times = [postedAt, ...items.map(({ stored }) => stored?.value.settledAt ?? null)];
  const last = times.reduce((latest, at) => Math.max(latest, at === null ? 0 : Date.parse(at)), 0);
  return now().getTime() - last;
}

/** The objects of a shard with what the ledger says of them; `null` when somebody has removed the manifest. */
async function readItems(
  loader: Loader,
  ledger: LedgerName,
  { manifest }: ShardRow,
): Promise<readonly ShardItem[] | null> {
  const objects = await readManifest(loader, manifest);
  if (objects === null) return null;
  const entries = await loader.ledger.readKeys(
    ledger,
    objects.map(({ key }) => key),
  );
  return objects.map((object) => ({ object, stored: entries.get(object.key) ?? null }));
}

/** A message of this run may be alive, and its deadline has not passed. */
function isOpen(stored: Stored<LedgerEntry> | null, runId: string): boolean {
  return (
    stored !== null &&
    stored.value.runId === runId &&
    (stored.value.state === 'intent' || stored.value.state === 'queued')
  );
}

interface Settling {
  readonly ledger: LedgerName;
  readonly items: readonly ShardItem[];
  readonly open: readonly ShardItem[];
  readonly statuses: Statuses;
  readonly isLastLook: boolean;
}

/** Writes what the reports settle; on the last look the rest becomes `unknown`. */
async function settleItems(
  loader: Loader,
  { ledger, items, open, statuses, isLastLook }: Settling,
): Promise<readonly ShardItem[]> {
  const now = loader.now();
  const changed = open.flatMap(({ stored }) => {
    const entry = settleEntryOf(stored!.value, statuses, now, isLastLook);
    return entry === null ? [] : [{ entry, etag: stored!.etag }];
  });
  const etags = await loader.ledger.write(ledger, changed);
  // An entry that somebody else wrote meanwhile is looked at again in the next pass.
  const written = new Map(
    changed.flatMap(({ entry }, index) =>
      etags[index] == null ? [] : [[entry.key, { value: entry, etag: etags[index] }] as const],
    ),
  );
  return items.map((item) => ({ ...item, stored: written.get(item.object.key) ?? item.stored }));
}

type Statuses = Awaited<ReturnType<Ingestion['readStatuses']>>;
const NO_REPORTS: Statuses = new Map();

interface Reading {
  readonly open: readonly ShardItem[];
  readonly isLastLook: boolean;
  /** The deadline has passed for so long that a run does not wait for reports that can't be read. */
  readonly isGivenUp: boolean;
}

async function readReports(
  loader: Loader,
  { runId, epoch, shard }: SettleShardInput,
  { definition }: RunSnapshot,
  { open, isLastLook, isGivenUp }: Reading,
): Promise<Statuses> {
  try {
    const ingestion = await loader.ingestion(definition.destination.cluster);
    const ids = open.map(({ stored }) => stored!.value.sourceId);
    const step = isLastLook ? 1 : Math.max(1, Math.floor(ids.length / Math.max(SAMPLE, ids.length / SAMPLE)));
    if (step === 1) return await ingestion.readStatuses(ids);
    const sample = await ingestion.readStatuses(ids.filter((_, index) => index % step === 0));
    const now = loader.now();
    const anyReported = open.some(({ stored }) => settleEntryOf(stored!.value, sample, now, false) !== null);
    if (!anyReported) return sample;
    const rest = await ingestion.readStatuses(ids.filter((_, index) => index % step !== 0));
    return new Map([...sample, ...rest]);
  } catch (thrown) {
    if (!isGivenUp) throw thrown;
    const error = toLoaderError(thrown);
    await slowDownBy(loader, { runId, epoch }, [error]);
    events.settlingFailed(loader.logger, { runId, epoch, shard, error });
    return NO_REPORTS;
  }
}

function settleEntryOf(
  entry: LedgerEntry,
  statuses: Statuses,
  now: Date,
  isLastLook: boolean,
): LedgerEntry | null {
  const settled = settleEntry(entry, statuses.get(entry.sourceId) ?? null, now);
  if (settled !== null || !isLastLook) return settled;
  return {
    ...entry,
    state: 'unknown',
    settledAt: null,
    errorCode: 'noReport',
    errorMessage: ERROR_KINDS.noReport.title,
  };
}

async function lookAgain(
  loader: Loader,
  { runId, epoch, settler, shard }: SettleShardInput,
  snapshot: RunSnapshot,
  { row, items }: { readonly row: ShardRow; readonly items: readonly ShardItem[] },
): Promise<void> {
  const facts = await readFacts(loader, runId);
  const done = items.filter(
    (item) =>
      item.stored !== null &&
      item.stored.value.runId === runId &&
      !isOpen(item.stored, runId) &&
      !(isCutShort(row) && isYetToBePosted(item)),
  );
  const ended = endsOf(done.filter((item) => postedAgain(item, snapshot, shard) === null));
  await decideAsPart(loader, { runId, epoch, part: `settler-${settler}` }, ({ view, me }) => {
    const stored = view.shards.find(({ value }) => value.shard === shard);
    if (stored === undefined || stored.value.state !== 'posted') return { answer: null, me: {} };
    const { postedAt, looks } = stored.value;
    const now = loader.now();
    const nextReport = nextLookAt({
      postedAt: new Date(postedAt ?? now),
      now,
      looks,
      batchingWindowMs: facts?.batchingWindowMs ?? DEFAULT_BATCHING_WINDOW_MS,
      timing: loader.timing,
    });
    // Of a shard that only waits for the run to be resumed nothing is under way; a cancel must not wait long for it.
    const isUnderWay = items.some((item) => isOpen(item.stored, runId));
    const lookAt = isUnderWay ? nextReport : new Date(now.getTime() + loader.timing.lookEveryMs);
    const next = change(stored, {
      heldBy: null,
      lookAt: lookAt.toISOString(),
      looks: looks + 1,
      settledObjects: done.length,
      settledBytes: done.reduce((sum, { object }) => sum + object.sizeBytes, 0),
      ends: { ingested: ended.objects.ingested, failed: ended.objects.failed },
    });
    const seen = addDigests(endsOfRun(view, shard), ended);
    const progress = sampled(me.progress, view, now, loader.timeScale);
    return {
      answer: null,
      me: { progress },
      writes: [next, ...stopOnError(loader, view.control, snapshot, seen)],
    };
  });
}

/** How many of these have ended how, as their shard will say when it is closed. */
function endsOf(items: readonly ShardItem[]): OutcomeDigest {
  const objects = { ...EMPTY_DIGEST.objects };
  for (const { stored } of items) objects[endOf(stored!.value)] += 1;
  return { ...EMPTY_DIGEST, objects };
}

/** A pass that could not be made is tried again later, and the shard stays where it is. */
async function lookLater(loader: Loader, { runId, epoch, settler, shard }: SettleShardInput): Promise<void> {
  try {
    await decideAsPart(loader, { runId, epoch, part: `settler-${settler}` }, ({ view }) => {
      const stored = view.shards.find(({ value }) => value.shard === shard && value.state === 'posted');
      // All shards of a run, and all runs, meet the same cluster.
      const pauseMs = aroundMs(loader.timing.firstLookMs, loader.random());
      const lookAt = new Date(loader.now().getTime() + pauseMs).toISOString();
      const looks = (stored?.value.looks ?? 0) + 1;
      return {
        answer: null,
        me: {},
        writes: stored === undefined ? [] : [change(stored, { heldBy: null, lookAt, looks })],
      };
    });
  } catch {
    // The state storage is away too: the settler holds the shard and gets it again with its next turn.
  }
}
