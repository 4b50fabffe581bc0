import { fenceOf, isUnsettled, wasBehindFence } from '../domain/ledger-entry.ts';
import type { RunView, ShardRow } from '../domain/run-record.ts';
import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import type { Unsettled } from '../ports/load-state.ts';
import type { Loader } from './loader.ts';
import {
  ledgerOf,
  type OpenObject,
  pendingListOf,
  type RunSnapshot,
  readFacts,
  readManifest,
  readOpenObjects,
  readOutcomes,
  toNdjson,
  unsettledPath,
} from './run-documents.ts';

/** Settled shards that are read at once when looking for open objects. */
const SHARDS_AT_ONCE = 500;

/** After a run that could not settle what it should have, none is started for it sooner. */
const LOOK_AGAIN_MS = 3_600_000;

/**
 * Objects whose fate is still open go into a document of this run: those that it left open itself, and those of the
 * documents that it had taken over and that are open still. It replaces them.
 */
export async function handOnUnsettled(loader: Loader, snapshot: RunSnapshot, view: RunView): Promise<void> {
  const { runId, load } = snapshot.request;
  const taken = (await readFacts(loader, runId))?.unsettled ?? [];
  const { open, read } = await findOpen(loader, snapshot, view, taken);
  if (open.length > 0) {
    const manifest = unsettledPath(runId);
    const [first = null] = open.flatMap(({ fence }) => fence ?? []).sort();
    const soonest = new Date(loader.now().getTime() + LOOK_AGAIN_MS / loader.timeScale).toISOString();
    const isDue = first !== null && first <= loader.now().toISOString();
    await loader.documents.put(
      manifest,
      toNdjson(open.map(({ key, version, sizeBytes }) => ({ key, version, sizeBytes }))),
      'always',
    );
    await loader.loads.addUnsettled({
      load,
      generation: snapshot.generation,
      runId,
      manifest,
      objects: open.length,
      lookAt: isDue ? soonest : first,
    });
  }
  for (const earlier of read) {
    if (earlier.runId !== runId) await loader.loads.removeUnsettled({ load, runId: earlier.runId });
  }
}

interface FencedObject extends OpenObject {
  /** ISO 8601, UTC. */
  readonly fence: string | null;
}

/**
 * What is open by the ledger, among the objects of the run (those of shards that no settler could close, too) and of the
 * documents that it had taken over. A document that can't be read now stays for the next run.
 */
async function findOpen(
  loader: Loader,
  snapshot: RunSnapshot,
  view: RunView,
  taken: readonly Unsettled[],
): Promise<{ readonly open: readonly FencedObject[]; readonly read: readonly Unsettled[] }> {
  const { runId } = snapshot.request;
  const ledger = ledgerOf(snapshot);
  const isReported = snapshot.definition.onUnproven === 'report';
  const { downloadGraceMs } = loader.timing;
  const found = new Map<string, FencedObject>();
  const looked = new Set<string>();
  const collect = async (keys: readonly string[]) => {
    for (const { value } of (await loader.ledger.readKeys(ledger, keys)).values()) {
      // It was posted a second time, and nobody reported either, or the load only reports such an object; and this run has
      // looked at it, all the while behind its fence: no later run would do more than look.
      const isForPerson = value.repostedUnproven || isReported;
      const isOver =
        isForPerson && looked.has(value.key) && wasBehindFence(value, snapshot.request, downloadGraceMs);
      if (!isUnsettled(value.state) || isOver) continue;
      const { key, version, sizeBytes } = value;
      found.set(key, {
        key,
        version,
        sizeBytes,
        fence: fenceOf(value, downloadGraceMs)?.toISOString() ?? null,
      });
    }
  };
  for await (const shard of settledShards(loader, runId)) {
    if (shard.unsettledObjects === 0) continue;
    const outcomes = (await readOutcomes(loader, runId, shard.shard)) ?? [];
    const open = outcomes.filter(({ state }) => state === 'unknown' || state === 'deferred');
    // Any other code says why it could not be looked at.
    for (const { key, state, code } of open) if (state === 'unknown' && code === 'noReport') looked.add(key);
    await collect(open.map(({ key }) => key));
  }
  for (const { value } of view.shards.filter((shard) => shard.value.state !== 'planned')) {
    await collect(((await readManifest(loader, value.manifest)) ?? []).map(({ key }) => key));
  }
  const read: Unsettled[] = [];
  for (const document of taken) {
    try {
      const objects = await readOpenObjects(loader, snapshot, document);
      await collect(objects.map(({ key }) => key).filter((key) => !found.has(key)));
      read.push(document);
    } catch (thrown) {
      events.openObjectsUnread(loader.logger, {
        runId,
        document: document.manifest,
        error: toLoaderError(thrown),
      });
    }
  }
  return { open: [...found.values()], read };
}

/** Events of objects that the run has planned and not begun are used up: their keys wait for the next events run. */
export async function handBackAnnounced(
  loader: Loader,
  snapshot: RunSnapshot,
  { shards }: RunView,
): Promise<void> {
  if (snapshot.request.trigger !== 'events') return;
  for (const { value } of shards) {
    const objects = (await readManifest(loader, value.manifest)) ?? [];
    await loader.loads.addPending(
      pendingListOf(snapshot),
      objects.map(({ key }) => key),
    );
  }
}

async function* settledShards({ runs }: Loader, runId: string): AsyncGenerator<ShardRow> {
  let after: string | undefined;
  for (;;) {
    const page = await runs.settledShards(runId, {
      limit: SHARDS_AT_ONCE,
      ...(after === undefined ? {} : { after }),
    });
    yield* page;
    if (page.length < SHARDS_AT_ONCE) return;
    after = page.at(-1)!.shard;
  }
}
