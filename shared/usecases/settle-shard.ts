import type { SettleShardInput, SettleShardOutput } from '../contracts/durable.ts';
import { fenceOf, isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import { isOnErrorReached } from '../domain/on-error.ts';
import type { ControlRow, PartRow, RunView, ShardRow, Stored } from '../domain/run-record.ts';
import {
  addDigests,
  digestOutcomes,
  EMPTY_DIGEST,
  type ObjectOutcome,
  type OutcomeDigest,
} from '../domain/run-summary.ts';
import { nextLookAt } from '../domain/settle-timing.ts';
import type { PlannedObject } from '../domain/shard-layout.ts';
import { ERROR_KINDS, type ErrorCode, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Ingestion } from '../ports/ingestion.ts';
import type { LedgerName } from '../ports/ledger.ts';
import type { RunWrite } from '../ports/run-store.ts';
import type { Loader } from './loader.ts';
import { change, decideAsPart } from './part-commit.ts';
import { type RunSnapshot, readFacts, readManifest, readSnapshot, writeOutcomes } from './run-documents.ts';
import { settleEntry } from './settle-entry.ts';

/** ADX's default batching window, for a run whose planner could not tell it. */
const DEFAULT_BATCHING_WINDOW_MS = 5 * 60_000;

/**
 * ADX reports a batch at once, so a few objects tell whether it is worth reading the status of all: one in sixteen, and
 * never fewer than sixteen, spread over the shard.
 */
const SAMPLE = 16;

/** One object of a shard with what the ledger says of it now. */
interface Item {
  readonly object: PlannedObject;
  readonly stored: Stored<LedgerEntry> | null;
}

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
  const snapshot = await readSnapshot(loader, runId);
  const ledger: LedgerName = { load: snapshot.request.load, generation: snapshot.generation };

  const objects = await readManifest(loader, row.manifest);
  const entries = await loader.ledger.readKeys(
    ledger,
    objects.map(({ key }) => key),
  );
  const items: Item[] = objects.map((object) => ({ object, stored: entries.get(object.key) ?? null }));

  const isLastLook =
    isForGood || loader.now().getTime() >= Date.parse(row.postedAt!) + loader.timing.settleDeadlineMs;
  const ingestion = await loader.ingestion(snapshot.definition.destination.cluster);
  const settled = await settleItems(loader, { ledger, ingestion, items, runId, isLastLook });

  const stillOpen = settled.filter(({ stored }) => isOpen(stored, runId));
  if (stillOpen.length > 0) {
    await lookAgain(loader, input, snapshot, settled);
    return { ok: true, settled: false };
  }
  await closeShard(loader, input, { snapshot, row, items: settled, control: view.control.value });
  return { ok: true, settled: true };
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
  readonly ingestion: Ingestion;
  readonly items: readonly Item[];
  readonly runId: string;
  readonly isLastLook: boolean;
}

/** Reads reports for open objects and writes what they settle; on the last look the rest becomes `unknown`. */
async function settleItems(
  loader: Loader,
  { ledger, ingestion, items, runId, isLastLook }: Settling,
): Promise<readonly Item[]> {
  const open = items.filter(({ stored }) => isOpen(stored, runId));
  if (open.length === 0) return items;
  const statuses = await readReports(loader, ingestion, open, isLastLook);
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

async function readReports(
  loader: Loader,
  ingestion: Ingestion,
  open: readonly Item[],
  readAll: boolean,
): Promise<Statuses> {
  const ids = open.map(({ stored }) => stored!.value.sourceId);
  const step = readAll ? 1 : Math.max(1, Math.floor(ids.length / Math.max(SAMPLE, ids.length / SAMPLE)));
  if (step === 1) return ingestion.readStatuses(ids);
  const sample = await ingestion.readStatuses(ids.filter((_, index) => index % step === 0));
  const now = loader.now();
  const anyReported = open.some(({ stored }) => settleEntryOf(stored!.value, sample, now, false) !== null);
  if (!anyReported) return sample;
  const rest = await ingestion.readStatuses(ids.filter((_, index) => index % step !== 0));
  return new Map([...sample, ...rest]);
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
  items: readonly Item[],
): Promise<void> {
  const facts = await readFacts(loader, runId);
  const done = items.filter(
    ({ stored }) => stored !== null && stored.value.runId === runId && !isOpen(stored, runId),
  );
  const failedHere = done.filter(({ stored }) => stored!.value.state === 'failed').length;
  await decideAsPart(loader, { runId, epoch, part: `settler-${settler}` }, ({ view }) => {
    const stored = view.shards.find(({ value }) => value.shard === shard);
    if (stored === undefined || stored.value.state !== 'posted') return { answer: null, me: {} };
    const { postedAt, looks } = stored.value;
    const now = loader.now();
    const lookAt = nextLookAt({
      postedAt: new Date(postedAt ?? now),
      now,
      looks,
      batchingWindowMs: facts?.batchingWindowMs ?? DEFAULT_BATCHING_WINDOW_MS,
      timing: loader.timing,
    });
    const next = change(stored, {
      heldBy: null,
      lookAt: lookAt.toISOString(),
      looks: looks + 1,
      settledObjects: done.length,
      settledBytes: done.reduce((sum, { object }) => sum + object.sizeBytes, 0),
    });
    const seen = addDigests(digestOfRun(view), {
      ...EMPTY_DIGEST,
      objects: { ...EMPTY_DIGEST.objects, ingested: done.length - failedHere, failed: failedHere },
    });
    return { answer: null, me: {}, writes: [next, ...stopOnError(loader, view.control, snapshot, seen)] };
  });
}

/** A pass that could not be made is tried again later, and the shard stays where it is. */
async function lookLater(loader: Loader, { runId, epoch, settler, shard }: SettleShardInput): Promise<void> {
  try {
    await decideAsPart(loader, { runId, epoch, part: `settler-${settler}` }, ({ view }) => {
      const stored = view.shards.find(({ value }) => value.shard === shard && value.state === 'posted');
      const lookAt = new Date(loader.now().getTime() + loader.timing.firstLookMs).toISOString();
      return {
        answer: null,
        me: {},
        writes: stored === undefined ? [] : [change(stored, { heldBy: null, lookAt })],
      };
    });
  } catch {
    // The state storage is away too: the settler holds the shard and gets it again with its next turn.
  }
}

interface Closing {
  readonly snapshot: RunSnapshot;
  readonly row: ShardRow;
  readonly items: readonly Item[];
  readonly control: ControlRow;
}

/** Writes the outcomes, then moves the shard out of the live part of the run together with the settler's progress. */
async function closeShard(
  loader: Loader,
  { runId, epoch, settler, shard }: SettleShardInput,
  closing: Closing,
): Promise<void> {
  const { snapshot, row, items, control } = closing;
  const fences = new Map(
    items.map(({ object, stored }) => [
      object.key,
      stored === null ? null : fenceOf(stored.value, loader.timing.downloadGraceMs).toISOString(),
    ]),
  );
  const outcomes = await writeOutcomes(
    loader,
    runId,
    shard,
    items.map((item) => outcomeOf(item, runId, row, control)),
  );
  await lookAtKeysAgain(loader, snapshot, items);
  const digest = digestOutcomes(outcomes, (key) => fences.get(key) ?? null);
  await decideAsPart(loader, { runId, epoch, part: `settler-${settler}` }, ({ view, me }) => {
    const stored = view.shards.find(({ value }) => value.shard === shard);
    if (stored === undefined) return { answer: null, me: {} };
    const progress: PartRow['progress'] = { ...me.progress, digest: addDigests(me.progress.digest, digest) };
    const settled = change(stored, {
      state: 'settled',
      heldBy: null,
      settledObjects: stored.value.objects,
      settledBytes: stored.value.bytes,
      unsettledObjects: digest.objects.unknown + digest.objects.deferred,
    });
    const seen = addDigests(digestOfRun(view), digest);
    return {
      answer: null,
      me: { progress, holds: null },
      writes: [settled, ...stopOnError(loader, view.control, snapshot, seen)],
    };
  });
}

/**
 * An event for an object whose earlier message was open could not be acted upon. Now that its fate is known the key is
 * put before the load's next run, which finds a newer version if there is one.
 */
async function lookAtKeysAgain(
  loader: Loader,
  { request, generation, definition }: RunSnapshot,
  items: readonly Item[],
): Promise<void> {
  if (!definition.events) return;
  const keys = items
    .filter(
      ({ object, stored }) =>
        object.reason === 'recheck' && stored !== null && !isUnsettled(stored.value.state),
    )
    .map(({ object }) => object.key);
  if (keys.length > 0) await loader.loads.addPending({ load: request.load, generation }, keys);
}

/** Progress of all parts, those of earlier epochs too. */
export function digestOfRun(view: Pick<RunView, 'parts'>): OutcomeDigest {
  return view.parts.reduce((digest, { value }) => addDigests(digest, value.progress.digest), EMPTY_DIGEST);
}

function stopOnError(
  loader: Loader,
  control: Stored<ControlRow>,
  { definition }: RunSnapshot,
  digest: OutcomeDigest,
): readonly RunWrite[] {
  if (control.value.stop !== null || !isOnErrorReached(definition.onError, digest.objects)) return [];
  return [change(control, { stop: 'onError', stopAt: loader.now().toISOString() })];
}

/** How an object of a shard ended, by what the ledger says of it. */
export function outcomeOf(
  { object, stored }: Item,
  runId: string,
  shard: Pick<ShardRow, 'code'>,
  control: Pick<ControlRow, 'stop'>,
): ObjectOutcome {
  const base = { key: object.key, version: object.version, sizeBytes: object.sizeBytes };
  const entry = stored?.value ?? null;
  // Settled after all, between the document of unsettled objects and now.
  const settledElsewhere =
    entry !== null && object.reason === 'recheck' && (entry.state === 'ingested' || entry.state === 'failed');
  if (entry === null || (entry.runId !== runId && !settledElsewhere))
    return { ...base, ...withoutPost(object, entry, shard, control) };
  const state = {
    ingested: 'ingested',
    failed: 'failed',
    unknown: 'unknown',
    intent: 'unknown',
    queued: 'unknown',
    undone: 'notStarted',
  } as const;
  return {
    ...base,
    version: entry.version,
    state: state[entry.state],
    code: entry.errorCode,
    message: entry.errorMessage,
    sourceId: entry.sourceId,
    attempts: entry.attempts,
    postedAt: entry.queuedAt ?? entry.intentAt,
    settledAt: entry.settledAt,
    repostedUnproven: entry.repostedUnproven,
  };
}

/** The run has not posted the object: it was stopped, could not, or another run's message is still open. */
function withoutPost(
  object: PlannedObject,
  entry: LedgerEntry | null,
  shard: Pick<ShardRow, 'code'>,
  control: Pick<ControlRow, 'stop'>,
) {
  const none = { sourceId: null, attempts: 0, postedAt: null, settledAt: null, repostedUnproven: false };
  if (entry !== null && object.reason === 'recheck') {
    return {
      ...none,
      state: 'deferred' as const,
      code: 'noReport' as const,
      message: ERROR_KINDS.noReport.title,
      sourceId: entry.sourceId,
    };
  }
  if (control.stop !== null) return { ...none, state: 'notStarted' as const, code: null, message: null };
  const why = shard.code as ErrorCode | null;
  return {
    ...none,
    state: 'failed' as const,
    code: 'notPosted' as const,
    message: why === null ? ERROR_KINDS.notPosted.title : ERROR_KINDS[why].title,
  };
}
