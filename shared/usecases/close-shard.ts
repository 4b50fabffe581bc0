import type { SettleShardInput } from '../contracts/durable.ts';
import { fenceOf, isUnsettled } from '../domain/ledger-entry.ts';
import { outcomeOf, type ShardItem } from '../domain/object-outcome.ts';
import { isOnErrorReached } from '../domain/on-error.ts';
import type { ControlRow, PartRow, ShardRow, Stored } from '../domain/run-record.ts';
import {
  addDigests,
  digestOutcomes,
  EMPTY_DIGEST,
  type ObjectOutcome,
  type OutcomeDigest,
} from '../domain/run-summary.ts';
import type { ErrorCode } from '../errors/loader-error.ts';
import type { RunWrite } from '../ports/run-store.ts';
import type { Loader } from './loader.ts';
import { change, decideAsPart } from './part-commit.ts';
import { planRetries, type Retries, retryShard, standingRetries } from './plan-retries.ts';
import { recordShard } from './record.ts';
import { pendingListOf, type RunSnapshot, writeOutcomes } from './run-documents.ts';
import { endsOfRun, sampled } from './run-totals.ts';

export interface Closing {
  readonly snapshot: RunSnapshot;
  readonly row: ShardRow;
  /** `null` when the shard's manifest is gone: its objects are only counted. */
  readonly items: readonly ShardItem[] | null;
  readonly control: ControlRow;
  /** The run is given up: nothing is posted any more. */
  readonly isForGood: boolean;
}

/**
 * Writes the outcomes, then moves the shard out of the live part of the run together with the settler's progress. Objects
 * that are posted once more have no outcome yet: they go on as a shard of their own.
 */
export async function closeShard(
  loader: Loader,
  { runId, epoch, settler, shard }: SettleShardInput,
  closing: Closing,
): Promise<void> {
  const { snapshot, row, items } = closing;
  const { digest, again, outcomes } =
    items === null
      ? {
          digest: { ...EMPTY_DIGEST, objects: { ...EMPTY_DIGEST.objects, unknown: row.objects } },
          again: null,
          outcomes: null,
        }
      : await accountFor(loader, { ...closing, items });
  // Before the commit, behind which nobody comes back to the shard: what stands of its outcomes is told again, if need be.
  if (outcomes !== null) await recordShard(loader, snapshot, shard, outcomes);
  await decideAsPart(loader, { runId, epoch, part: `settler-${settler}` }, ({ view, me }) => {
    const stored = view.shards.find(({ value }) => value.shard === shard);
    if (stored === undefined) return { answer: null, me: {} };
    const counted = { ...me.progress, digest: addDigests(me.progress.digest, digest) };
    const progress: PartRow['progress'] = sampled(counted, view, loader.now(), loader.timeScale);
    // What goes on is counted with the shard that it goes on in.
    const objects = stored.value.objects - (again?.objects ?? 0);
    const bytes = stored.value.bytes - (again?.takenBytes ?? 0);
    const settled = change(stored, {
      state: 'settled',
      heldBy: null,
      objects,
      bytes,
      settledObjects: objects,
      settledBytes: bytes,
      unsettledObjects: digest.objects.unknown + digest.objects.deferred,
    });
    const seen = addDigests(endsOfRun(view, shard), digest);
    return {
      answer: null,
      me: { progress },
      writes: [
        settled,
        ...(again === null ? [] : [{ value: retryShard(loader, snapshot, again, epoch), etag: null }]),
        ...stopOnError(loader, view.control, snapshot, seen),
      ],
    };
  });
}

interface AccountedShard {
  readonly digest: OutcomeDigest;
  /** `null` when there are none, as the manifest is gone. */
  readonly outcomes: readonly ObjectOutcome[] | null;
  /** The shard that takes what is posted once more; `null` when there is none. */
  readonly again: Retries | null;
}

/** Writes down how each object of a shard ended, once; what stands decides also what is posted once more. */
async function accountFor(
  loader: Loader,
  closing: Closing & { readonly items: readonly ShardItem[] },
): Promise<AccountedShard> {
  const { snapshot, row, items, control } = closing;
  const { runId } = snapshot.request;
  const { downloadGraceMs } = loader.timing;
  const fences = new Map(
    items.map(({ object, stored }) => [
      object.key,
      stored === null ? null : (fenceOf(stored.value, downloadGraceMs)?.toISOString() ?? null),
    ]),
  );
  const planned = await planRetries(loader, closing);
  const situation = {
    runId,
    tag: snapshot.tag,
    code: row.code,
    stop: control.stop,
    now: loader.now(),
    downloadGraceMs,
  };
  const outcomes = await writeOutcomes(
    loader,
    runId,
    row.shard,
    items
      .filter(({ object }) => planned === null || !planned.keys.has(object.key))
      .map((item) => outcomeOf(item, situation)),
  );
  await lookAtKeysAgain(loader, snapshot, items, outcomes);
  // A twin may have accounted for all of them, as it saw a stop; or for some, as it did not see the stop that this one saw.
  const isGoingOn = outcomes.length < items.length;
  const again = isGoingOn ? (planned ?? (await standingRetries(loader, snapshot, row, items))) : null;
  return {
    outcomes,
    digest: digestOutcomes(outcomes, (key) => fences.get(key) ?? null),
    again,
  };
}

/** How objects ended that the run has not loaded although nothing is wrong with them. */
const NOT_LOADED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'notPosted',
  'queueRefused',
  'ingestionThrottled',
  'urlExpired',
]);

/**
 * Puts keys back before the load's next events run, which finds out what they need:
 * - announced objects that this run did not begin, or could not have loaded, for their events are used up;
 * - objects that were open when an event for them came, now that their fate is known: there may be a newer version.
 */
async function lookAtKeysAgain(
  loader: Loader,
  snapshot: RunSnapshot,
  items: readonly ShardItem[],
  outcomes: readonly ObjectOutcome[],
): Promise<void> {
  const { request, definition } = snapshot;
  if (!definition.events) return;
  const settledNow = items
    .filter(
      ({ object, stored }) =>
        object.reason === 'recheck' && stored !== null && !isUnsettled(stored.value.state),
    )
    .map(({ object }) => object.key);
  const notLoaded =
    request.trigger !== 'events'
      ? []
      : outcomes
          .filter(({ state, code }) => state === 'notStarted' || (code !== null && NOT_LOADED.has(code)))
          .map(({ key }) => key);
  const keys = [...settledNow, ...notLoaded];
  if (keys.length > 0) await loader.loads.addPending(pendingListOf(snapshot), keys);
}

/** Stops the run when its `onError` policy says so, given what has been seen so far. */
export function stopOnError(
  loader: Loader,
  control: Stored<ControlRow>,
  { definition }: RunSnapshot,
  digest: OutcomeDigest,
): readonly RunWrite[] {
  if (control.value.stop !== null || !isOnErrorReached(definition.onError, digest.objects)) return [];
  return [change(control, { stop: 'onError', stopAt: loader.now().toISOString() })];
}
