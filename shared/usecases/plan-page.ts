import { randomUUID } from 'node:crypto';

import type { PlanPageInput, PlanPageOutput } from '../contracts/durable.ts';
import { leastLeftMs } from '../domain/least-left.ts';
import { shareAt } from '../domain/pace.ts';
import type { Taken } from '../domain/run-limits.ts';
import { newShard, type PartRow, type RunView } from '../domain/run-record.ts';
import { addPlanTotals, EMPTY_PLAN, type PlanTotals } from '../domain/run-summary.ts';
import { layOutShards } from '../domain/shard-layout.ts';
import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import { allOf } from './bounded.ts';
import { mostInFlight } from './fair-share.ts';
import { type FindTask, type FoundPage, findObjects } from './find-objects.ts';
import type { Loader } from './loader.ts';
import { locateInventory } from './locate-inventory.ts';
import { decideAsPart, pauseMs, retryPauseMs, SUSPENDED_PAUSE_MS } from './part-commit.ts';
import {
  type PlannedShard,
  type PlanPage,
  pendingListOf,
  type RunFacts,
  type RunSnapshot,
  readFacts,
  readPage,
  readSnapshot,
  serializeManifest,
  writeFacts,
  writePage,
} from './run-documents.ts';
import { planOfRun } from './run-totals.ts';
import { slowDownBy } from './slow-down.ts';

/** Attempts at one page before planning ends with the error; pauses around 5, 10, 20, 40 s. */
const PAGE_ATTEMPTS = 5;
const RETRY_PAUSE_MS = 5000;
/** Pause while the planned shards are far ahead of the lanes. */
const LEAD_PAUSE_MS = 5000;

/** Objects that may be planned and not yet claimed, as a multiple of `maxInFlight`. */
const LEAD = 2;

/** Shard rows of one transaction; Azure takes 100 operations, one of which is the planner's own row. */
const SHARDS_PER_COMMIT = 80;

type Position =
  | {
      readonly kind: 'plan';
      readonly cursor: string | null;
      readonly inserted: number;
      readonly taken: Taken;
      readonly share: number;
    }
  | { readonly kind: 'answer'; readonly answer: PlanPageOutput };

/**
 * Plans one page: lists, selects, compares with the ledger, writes the shard manifests, and hands the shards to the
 * lanes.
 *
 * What a page holds is decided by whoever writes its document first. An activity that runs twice, or at the same time
 * as its twin, finds that document and goes on from there; shards enter the run together with the planner's position,
 * so none enters twice.
 */
export async function planPage(loader: Loader, input: PlanPageInput): Promise<PlanPageOutput> {
  const { runId, epoch, page, attempt } = input;
  try {
    const snapshot = await readSnapshot(loader, runId);
    const position = await takePosition(loader, input, snapshot);
    if (position.kind === 'answer') return position.answer;
    const facts = (await readFacts(loader, runId)) ?? (await learnFacts(loader, snapshot));
    const planned =
      (await readPage(loader, runId, page)) ??
      (await makePage(loader, { ...position, snapshot, facts, epoch, page }));
    const { answer, isIn } = await handOver(loader, input, planned, position.inserted);
    if (isIn && planned.pending.length > 0) {
      await loader.loads.removePending(pendingListOf(snapshot), planned.pending);
    }
    return answer;
  } catch (thrown) {
    const error = toLoaderError(thrown);
    await slowDownBy(loader, input, [error]);
    events.planningFailed(loader.logger, { runId, epoch, page, attempt, error });
    if (!error.permanent && attempt + 1 < PAGE_ATTEMPTS) {
      return { kind: 'retry', waitMs: retryPauseMs(loader, RETRY_PAUSE_MS * 2 ** attempt), code: error.code };
    }
    return endPlanning(loader, input, { code: error.code, message: error.message });
  }
}

/** Where planning stands; also what it has to wait for. */
async function takePosition(
  loader: Loader,
  { runId, epoch, page }: PlanPageInput,
  { definition }: RunSnapshot,
): Promise<Position> {
  const position = await decideAsPart<Position>(
    loader,
    { runId, epoch, part: 'planner' },
    ({ view, me, etag }) => {
      const answer = (output: PlanPageOutput, changes: Partial<PartRow> | null = null) => ({
        answer: { kind: 'answer', answer: output } as const,
        me: changes,
      });
      if (me.endedAt !== null) return answer({ kind: 'stop' });
      if (view.control.value.stop !== null)
        return answer({ kind: 'stop' }, { endedAt: loader.now().toISOString() });
      if (me.turn > page) return answer({ kind: 'page', next: me.turn });
      if (view.control.value.suspendedAt !== null) return answer(suspendedAnswer(loader), {});
      if (plannedObjects(view) > LEAD * definition.concurrency.maxInFlight) {
        return answer({ kind: 'wait', waitMs: pauseMs(loader, LEAD_PAUSE_MS) }, {});
      }
      // The first write makes the row, and each page begins with a sign of life.
      const { selected: objects, selectedBytes: bytes } = planOfRun(view);
      return {
        answer: {
          kind: 'plan',
          cursor: me.cursor,
          inserted: Number(me.holds ?? 0),
          taken: { objects, bytes },
          share: shareAt(view.control.value.pace, loader.now(), loader.timeScale),
        },
        me: etag === null || me.holds === null ? {} : null,
      };
    },
  );
  return position ?? { kind: 'answer', answer: { kind: 'stop' } };
}

function suspendedAnswer(loader: Loader): PlanPageOutput {
  return { kind: 'wait', waitMs: pauseMs(loader, SUSPENDED_PAUSE_MS) };
}

function plannedObjects(view: RunView): number {
  return view.shards.reduce((sum, { value }) => sum + (value.state === 'planned' ? value.objects : 0), 0);
}

/** Checks the destination and the end of the credentials, and notes what earlier runs left open, once per run. */
async function learnFacts(loader: Loader, { request, definition }: RunSnapshot): Promise<RunFacts> {
  const { cluster, database, table, mapping } = definition.destination;
  const ingestion = await loader.ingestion(cluster);
  const { batchingWindowMs } = await ingestion.describeTable({
    database,
    table,
    mapping,
    format: definition.format.type,
    column: definition.reconcile.sourcePathColumn,
  });
  // What only settles goes on without: reports are ADX's, and what is to be signed is checked again.
  if (request.trigger !== 'settle')
    await (await loader.source(definition.source)).signIn(leastLeftMs(batchingWindowMs, loader.timeScale));
  // A rerun is about objects of one run and no others.
  const unsettled = request.options.rerun === undefined ? await loader.loads.listUnsettled(request.load) : [];
  // The list is chosen once per run, so that a newer one does not come in between.
  const listsAll = !['events', 'settle'].includes(request.trigger) && request.options.rerun === undefined;
  const inventory = listsAll ? await locateInventory(loader, definition.source) : null;
  return writeFacts(loader, request.runId, { v: 1, batchingWindowMs, unsettled, inventory });
}

async function makePage(loader: Loader, task: FindTask): Promise<PlanPage> {
  const { snapshot, page } = task;
  const { runId } = snapshot.request;
  const found = await findObjects(loader, task);
  const shards = await writeManifests(loader, snapshot, page, found);
  return writePage(loader, runId, page, {
    v: 1,
    shards,
    totals: found.totals,
    next: found.next,
    pending: found.pending,
  });
}

/** Two twins may write manifests for the same page: each under a name of its own, and the page document names one's. */
async function writeManifests(
  loader: Loader,
  snapshot: RunSnapshot,
  page: number,
  found: FoundPage,
): Promise<readonly PlannedShard[]> {
  const writer = randomUUID().slice(0, 8);
  const { concurrency } = snapshot.definition;
  const maxInFlight = await mostInFlight(loader, snapshot.definition);
  const shards = layOutShards(found.objects, { ...concurrency, maxInFlight });
  return allOf(shards, 4, async (units, index) => {
    const shard = `${String(page).padStart(4, '0')}-${String(index).padStart(3, '0')}`;
    const manifest = `runs/${snapshot.request.runId}/shards/${shard}-${writer}.ndjson`;
    await loader.documents.put(manifest, serializeManifest(units), 'always');
    const objects = units.flat();
    return {
      shard,
      manifest,
      units: units.length,
      objects: objects.length,
      bytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  });
}

interface HandOver {
  readonly answer: PlanPageOutput;
  /** All shards of the page are in the run. Until then the events that announced their objects are not used up. */
  readonly isIn: boolean;
}

/** Puts the page's shards before the lanes, some at a time; `holds` of the planner's row counts those that are in. */
async function handOver(
  loader: Loader,
  { runId, epoch, page }: PlanPageInput,
  planned: PlanPage,
  alreadyIn: number,
): Promise<HandOver> {
  let inserted = alreadyIn;
  for (;;) {
    const answer = await decideAsPart<HandOver | 'more'>(
      loader,
      { runId, epoch, part: 'planner' },
      ({ view, me }) => {
        const isIn = me.turn > page;
        if (me.endedAt !== null) return { answer: { answer: { kind: 'stop' }, isIn }, me: null };
        if (isIn) return { answer: { answer: { kind: 'page', next: me.turn }, isIn }, me: null };
        const { stop, suspendedAt } = view.control.value;
        if (stop === null && suspendedAt !== null)
          return { answer: { answer: suspendedAnswer(loader), isIn }, me: {} };
        inserted = Number(me.holds ?? 0);
        const batch = planned.shards.slice(inserted, inserted + SHARDS_PER_COMMIT);
        const writes = batch.map((shard) => ({ value: newShard(shard, epoch), etag: null }));
        const plan = addPlanTotals(me.progress.plan, totalsWith(batch, planned, inserted === 0));
        const progress = { ...me.progress, plan };
        if (inserted + batch.length < planned.shards.length) {
          return { answer: 'more', me: { holds: String(inserted + batch.length), progress }, writes };
        }
        const isLast = planned.next === null;
        return {
          answer: { answer: isLast ? { kind: 'stop' } : { kind: 'page', next: page + 1 }, isIn: true },
          me: {
            turn: page + 1,
            holds: null,
            cursor: planned.next,
            endedAt: isLast ? loader.now().toISOString() : null,
            progress,
          },
          writes,
        };
      },
    );
    if (answer !== 'more') return answer ?? { answer: { kind: 'stop' }, isIn: false };
  }
}

/**
 * What a page adds to the run's totals when these of its shards come in: selected are only objects that are in, for the rest
 * of the page may never come.
 */
function totalsWith(batch: readonly PlannedShard[], { totals }: PlanPage, isFirst: boolean): PlanTotals {
  return {
    ...(isFirst ? totals : EMPTY_PLAN),
    selected: batch.reduce((sum, { objects }) => sum + objects, 0),
    selectedBytes: batch.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** However planning ends, it is written down: the lanes stop by it, and the summary tells it. */
async function endPlanning(
  loader: Loader,
  { runId, epoch }: PlanPageInput,
  problem: NonNullable<PartRow['problem']>,
): Promise<PlanPageOutput> {
  await decideAsPart(loader, { runId, epoch, part: 'planner' }, ({ me }) => ({
    answer: null,
    me: me.endedAt === null ? { endedAt: loader.now().toISOString(), problem } : null,
  }));
  return { kind: 'stop' };
}
