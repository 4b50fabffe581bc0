import type { ShardItem } from '../domain/object-outcome.ts';
import { isRetriable, retryDelayMs, retryNumber, retryShardOf } from '../domain/retry-shard.ts';
import { type ControlRow, newShard, type ShardRow } from '../domain/run-record.ts';
import { layOutRetry, type PlannedObject } from '../domain/shard-layout.ts';
import type { Loader } from './loader.ts';
import { type RunSnapshot, readManifest, serializeManifest } from './run-documents.ts';

/** Objects of a shard that the run posts once more. */
export interface Retries {
  readonly shard: string;
  readonly manifest: string;
  readonly units: number;
  readonly objects: number;
  readonly bytes: number;
  /** Their bytes as the shard counted them that they come from. */
  readonly takenBytes: number;
  readonly keys: ReadonlySet<string>;
}

interface RetrySituation {
  readonly snapshot: RunSnapshot;
  readonly row: ShardRow;
  readonly items: readonly ShardItem[];
  readonly control: ControlRow;
  readonly isForGood: boolean;
}

/**
 * Chooses the objects of a settled shard that are posted once more. Whoever writes their manifest first decides; twins
 * and later passes go by what stands.
 */
export async function planRetries(
  loader: Loader,
  { snapshot, row, items, control, isForGood }: RetrySituation,
): Promise<Retries | null> {
  const { concurrency } = snapshot.definition;
  const { runId } = snapshot.request;
  const wanted = items.flatMap((item) => postedAgain(item, snapshot, row.shard) ?? []);
  if (wanted.length === 0) return null;
  const standing = await standingRetries(loader, snapshot, row, items);
  if (standing !== null || isForGood || control.stop !== null) return standing;
  const body = serializeManifest(layOutRetry(wanted, concurrency));
  const { written } = await loader.documents.put(manifestOf(runId, row), body, 'ifAbsent');
  return written
    ? retriesOf(snapshot, row, items, wanted)
    : await standingRetries(loader, snapshot, row, items);
}

/** What somebody has decided before; `null`: nobody has. */
export async function standingRetries(
  loader: Loader,
  snapshot: RunSnapshot,
  row: ShardRow,
  items: readonly ShardItem[],
): Promise<Retries | null> {
  const objects = await readManifest(loader, manifestOf(snapshot.request.runId, row));
  return objects === null ? null : retriesOf(snapshot, row, items, objects);
}

function manifestOf(runId: string, row: ShardRow): string {
  return `runs/${runId}/shards/${retryShardOf(row.shard)}.ndjson`;
}

function retriesOf(
  { definition: { concurrency }, request: { runId } }: RunSnapshot,
  row: ShardRow,
  items: readonly ShardItem[],
  objects: readonly PlannedObject[],
): Retries {
  const keys = new Set(objects.map(({ key }) => key));
  const taken = items.filter(({ object }) => keys.has(object.key));
  return {
    shard: retryShardOf(row.shard),
    manifest: manifestOf(runId, row),
    units: layOutRetry(objects, concurrency).length,
    objects: objects.length,
    bytes: sumBytes(objects),
    takenBytes: sumBytes(taken.map(({ object }) => object)),
    keys,
  };
}

/** The object as it is posted once more when its shard is closed, unless the run is stopped by then; or `null`. */
export function postedAgain(
  { object, stored }: ShardItem,
  { definition: { retry }, request: { runId } }: RunSnapshot,
  shard: string,
): PlannedObject | null {
  if (retryNumber(shard) + 1 >= retry.attempts) return null;
  if (stored === null || stored.value.runId !== runId || !isRetriable(stored.value)) return null;
  // A key that is replaced again and again is for the next run.
  if (stored.value.errorCode === 'objectReplaced' && retryNumber(shard) > 0) return null;
  const { key, version, sizeBytes, attemptSeq } = stored.value;
  return { ...object, key, version, sizeBytes, reason: 'again', failedSeq: attemptSeq };
}

function sumBytes(objects: readonly { readonly sizeBytes: number }[]): number {
  return objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** The row of a retry shard: due after a pause that grows with each retry. */
export function retryShard(
  loader: Loader,
  { definition: { retry } }: RunSnapshot,
  { shard, manifest, units, objects, bytes }: Retries,
  epoch: number,
): ShardRow {
  const firstDelayMs = (retry.firstDelaySeconds * 1000) / loader.timeScale;
  const delayMs = retryDelayMs(shard, firstDelayMs, loader.random());
  const lookAt = new Date(loader.now().getTime() + delayMs).toISOString();
  return { ...newShard({ shard, manifest, units, objects, bytes }, epoch), lookAt };
}
