import type { LoadDefinition } from '../contracts/load-definition.ts';
import { dropByTag, type TagWindow } from '../domain/drop-by-tag.ts';
import type { ChangePolicy } from '../domain/plan-decision.ts';
import type { RunRequest } from '../domain/run-record.ts';
import type { ObjectOutcome, PlanTotals, RunSummary } from '../domain/run-summary.ts';
import { latestDue } from '../domain/schedule.ts';
import type { PlannedObject, Shard } from '../domain/shard-layout.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { LedgerName } from '../ports/ledger.ts';
import type { PendingList, Unsettled } from '../ports/load-state.ts';
import type { InventoryList } from '../ports/source.ts';
import type { Loader } from './loader.ts';

/** What a run works by from beginning to end, whatever becomes of the definition meanwhile. */
export interface RunSnapshot {
  readonly v: 1;
  readonly request: RunRequest;
  readonly generation: number;
  readonly definition: LoadDefinition;
  readonly tag: string;
  readonly tagWindow: TagWindow;
}

/** The ledger that a run works on. */
export function ledgerOf({ request: { load }, generation }: RunSnapshot): LedgerName {
  return { load, generation };
}

/** What a run does with objects that the ledger knows. */
export function policyOf({ definition, request: { options } }: RunSnapshot): ChangePolicy {
  const { changed, onUnproven } = definition;
  const { retryFailed, rerun } = options;
  return rerun === undefined
    ? { changed, onUnproven, retryFailed }
    : { changed, onUnproven, retryFailed: true, acceptDoubles: rerun.acceptDoubles };
}

/** The pending list of a run's load. */
export function pendingListOf({ request: { load }, definition: { source } }: RunSnapshot): PendingList {
  return { load, bucket: source.bucket };
}

/** A plan page: what was found between two cursors. Written once; the shards that it names stand beside it. */
export interface PlanPage {
  readonly v: 1;
  readonly shards: readonly PlannedShard[];
  readonly totals: PlanTotals;
  /** Cursor of the next page, `null` after the last. */
  readonly next: string | null;
  /** Pending objects that this page has taken over. */
  readonly pending: readonly { readonly key: string; readonly etag: string }[];
}

export interface PlannedShard {
  readonly shard: string;
  readonly units: number;
  readonly objects: number;
  readonly bytes: number;
  readonly manifest: string;
}

/** What the planner learned before its first page. */
export interface RunFacts {
  readonly v: 1;
  readonly batchingWindowMs: number;
  /** What earlier runs left unknown and this one settles. */
  readonly unsettled: readonly Unsettled[];
  /** The S3 Inventory list that the run takes its keys from; `null`, and absent in facts of older versions: none. */
  readonly inventory?: InventoryFacts | null;
}

export interface InventoryFacts {
  /** Where the list lies; seldom the bucket that it is about. */
  readonly bucket: string;
  readonly list: InventoryList;
}

const snapshotPath = (runId: string) => `runs/${runId}/snapshot.json`;
const factsPath = (runId: string) => `runs/${runId}/facts.json`;
const pagePath = (runId: string, page: number) => `runs/${runId}/pages/${String(page).padStart(4, '0')}.json`;
const outcomesPath = (runId: string, shard: string) => `runs/${runId}/outcomes/${shard}.ndjson`;
const statusesRemovedPath = (runId: string) => `runs/${runId}/statuses-removed.json`;
const summaryPath = (runId: string) => `runs/${runId}/summary.json`;
export const unsettledPath = (runId: string) => `runs/${runId}/unsettled.ndjson`;

/** Snapshots and facts never change, so a process needs to read each of them once. The oldest are forgotten. */
const CACHED_RUNS = 500;
/** Snapshots may hold up to 10,000 keys each, of 2 MiB: not so many of these. */
const CACHED_KEYS = 100_000;
const snapshots = new Map<string, RunSnapshot>();
const factsOfRuns = new Map<string, RunFacts>();

function remember<Value>(cache: Map<string, Value>, runId: string, value: Value): Value {
  cache.set(runId, value);
  if (cache.size > CACHED_RUNS) cache.delete(cache.keys().next().value!);
  return value;
}

function rememberSnapshot(runId: string, snapshot: RunSnapshot): RunSnapshot {
  remember(snapshots, runId, snapshot);
  const keysOf = ({ definition }: RunSnapshot) => definition.source.files?.length ?? 0;
  let keys = 0;
  for (const cached of snapshots.values()) keys += keysOf(cached);
  for (const [oldest, cached] of snapshots) {
    if (keys <= CACHED_KEYS) break;
    snapshots.delete(oldest);
    keys -= keysOf(cached);
  }
  return snapshot;
}

export async function writeSnapshot({ documents }: Loader, snapshot: RunSnapshot): Promise<RunSnapshot> {
  return writeOnce(documents, snapshotPath(snapshot.request.runId), snapshot);
}

export async function readSnapshot({ documents }: Loader, runId: string): Promise<RunSnapshot> {
  const cached = snapshots.get(runId);
  if (cached !== undefined) return cached;
  const document = await documents.get(snapshotPath(runId));
  if (document === null) throw new LoaderError('runNotFound', `The run "${runId}" has no snapshot`);
  return rememberSnapshot(runId, JSON.parse(document.body) as RunSnapshot);
}

/** The snapshot of a run that begins now. */
export function takeSnapshot(
  loader: Loader,
  request: RunRequest,
  generation: number,
  definition: LoadDefinition,
): RunSnapshot {
  const tagWindow = definition.tagWindow ?? defaultTagWindow(definition, request);
  const tag = dropByTag({
    appId: loader.appId,
    load: request.load,
    generation,
    runId: request.runId,
    window: tagWindow,
    runCreatedAt: new Date(request.createdAt),
  });
  return { v: 1, request, generation, definition, tag, tagWindow };
}

/** `run`, unless runs come so often that a tag for each of them would splinter the table. */
function defaultTagWindow({ schedule, events }: LoadDefinition, request: RunRequest): TagWindow {
  if (request.trigger === 'events' || (events && request.trigger === 'settle')) return 'day';
  if (request.trigger === 'manual' || request.trigger === 'rerun' || schedule === null) return 'run';
  const created = new Date(request.createdAt);
  const latest = latestDue(schedule, new Date(0), created);
  const before = latest === null ? null : latestDue(schedule, new Date(0), new Date(latest.getTime() - 1000));
  const isDaily = latest === null || before === null || latest.getTime() - before.getTime() >= 20 * 3_600_000;
  return isDaily ? 'run' : 'day';
}

export async function readFacts({ documents }: Loader, runId: string): Promise<RunFacts | null> {
  const cached = factsOfRuns.get(runId);
  if (cached !== undefined) return cached;
  const document = await documents.get(factsPath(runId));
  return document === null ? null : remember(factsOfRuns, runId, JSON.parse(document.body) as RunFacts);
}

export async function writeFacts({ documents }: Loader, runId: string, facts: RunFacts): Promise<RunFacts> {
  return remember(factsOfRuns, runId, await writeOnce(documents, factsPath(runId), facts));
}

export async function readPage({ documents }: Loader, runId: string, page: number): Promise<PlanPage | null> {
  const document = await documents.get(pagePath(runId, page));
  return document === null ? null : (JSON.parse(document.body) as PlanPage);
}

/** Writes a page if there is none; what stands in storage is returned and counts. */
export async function writePage(
  { documents }: Loader,
  runId: string,
  page: number,
  value: PlanPage,
): Promise<PlanPage> {
  return writeOnce(documents, pagePath(runId, page), value);
}

async function writeOnce<Value>(documents: Loader['documents'], path: string, value: Value): Promise<Value> {
  const { written } = await documents.put(path, JSON.stringify(value), 'ifAbsent');
  if (written) return value;
  const standing = await documents.get(path);
  if (standing === null) throw new LoaderError('stateUnavailable', `The document ${path} vanished`);
  return JSON.parse(standing.body) as Value;
}

/**
 * Shard manifest: a line of JSON that says where each unit lies, then one line of JSON per object. A unit is read by
 * its bytes, so that the cost of an activity doesn't depend on the size of the shard.
 */
interface ManifestHeader {
  readonly v: 1;
  /** Offset (behind the header line), length in bytes, and objects of each unit. */
  readonly units: readonly (readonly [offset: number, length: number, objects: number])[];
}

type ManifestLine = readonly [
  key: string,
  version: string,
  sizeBytes: number,
  reason: PlannedObject['reason'],
  failedSeq?: number,
];

export function serializeManifest(shard: Shard): string {
  const bodies = shard.map((unit) =>
    unit
      .map(({ key, version, sizeBytes, reason, failedSeq }) => {
        const line = [key, version, sizeBytes, reason] as const;
        return `${JSON.stringify(failedSeq === undefined ? line : [...line, failedSeq])}\n`;
      })
      .join(''),
  );
  let offset = 0;
  const units = bodies.map((body, index) => {
    const length = Buffer.byteLength(body);
    const entry = [offset, length, shard[index]!.length] as const;
    offset += length;
    return entry;
  });
  return `${JSON.stringify({ v: 1, units } satisfies ManifestHeader)}\n${bodies.join('')}`;
}

/** Enough for the header of a shard of 100 units, and for small shards as a whole. */
const FIRST_READ_BYTES = 64 * 1024;

/** The objects of one unit. One request for small shards, two for large ones. */
export async function readUnit(
  { documents }: Loader,
  manifest: string,
  unit: number,
): Promise<readonly PlannedObject[]> {
  const first = await documents.getRange(manifest, 0, FIRST_READ_BYTES);
  if (first === null) throw new LoaderError('stateUnavailable', `The manifest ${manifest} is not there`);
  const headerEnd = first.indexOf(0x0a) + 1;
  const header = JSON.parse(first.subarray(0, headerEnd).toString()) as ManifestHeader;
  const place = header.units[unit];
  if (place === undefined) throw new LoaderError('internal', `The manifest ${manifest} has no unit ${unit}`);
  const from = headerEnd + place[0];
  const slice =
    from + place[1] <= first.length
      ? first.subarray(from, from + place[1])
      : await documents.getRange(manifest, from, place[1]);
  if (slice === null) throw new LoaderError('stateUnavailable', `The manifest ${manifest} is not there`);
  return parseLines(slice.toString());
}

/** All objects of a shard; `null` when somebody has removed the manifest. */
export async function readManifest(
  { documents }: Loader,
  manifest: string,
): Promise<readonly PlannedObject[] | null> {
  const document = await documents.get(manifest);
  return document === null ? null : parseLines(document.body.slice(document.body.indexOf('\n') + 1));
}

function parseLines(text: string): readonly PlannedObject[] {
  return readNdjson<ManifestLine>(text).map(([key, version, sizeBytes, reason, failedSeq]) => ({
    key,
    version,
    sizeBytes,
    reason,
    ...(failedSeq === undefined ? {} : { failedSeq }),
  }));
}

function readNdjson<Value>(text: string): readonly Value[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Value);
}

export function toNdjson(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}

/** An object whose fate a run left open, as its document of unsettled objects holds it. */
export interface OpenObject {
  readonly key: string;
  readonly version: string;
  readonly sizeBytes: number;
}

/** The objects of a document of unsettled objects; none when it is gone, or about the ledger of another generation. */
export async function readOpenObjects(
  { documents }: Loader,
  { generation }: RunSnapshot,
  unsettled: Unsettled,
): Promise<readonly OpenObject[]> {
  if (unsettled.generation !== generation) return [];
  const document = await documents.get(unsettled.manifest);
  return document === null ? [] : readNdjson<OpenObject>(document.body);
}

/** Writes the outcomes of a shard once; if some stand already, they are returned and count. */
export async function writeOutcomes(
  { documents }: Loader,
  runId: string,
  shard: string,
  outcomes: readonly ObjectOutcome[],
): Promise<readonly ObjectOutcome[]> {
  const { written } = await documents.put(outcomesPath(runId, shard), toNdjson(outcomes), 'ifAbsent');
  return written ? outcomes : ((await readOutcomes({ documents }, runId, shard)) ?? outcomes);
}

export async function readOutcomes(
  { documents }: Pick<Loader, 'documents'>,
  runId: string,
  shard: string,
): Promise<readonly ObjectOutcome[] | null> {
  const document = await documents.get(outcomesPath(runId, shard));
  return document === null ? null : readNdjson<ObjectOutcome>(document.body);
}

/** Shards whose outcomes are there, always in the same order. */
export async function listOutcomes({ documents }: Loader, runId: string): Promise<readonly string[]> {
  const paths = await documents.list(`runs/${runId}/outcomes/`);
  return paths.map((path) => path.slice(path.lastIndexOf('/') + 1).replace(/\.ndjson$/, '')).sort();
}

/** Of how many of these shards the status entities have been removed. */
export async function readStatusesRemoved({ documents }: Loader, runId: string): Promise<number> {
  const document = await documents.get(statusesRemovedPath(runId));
  return document === null ? 0 : (JSON.parse(document.body) as { readonly shards: number }).shards;
}

export async function writeStatusesRemoved(
  { documents }: Loader,
  runId: string,
  shards: number,
): Promise<void> {
  await documents.put(statusesRemovedPath(runId), JSON.stringify({ v: 1, shards }), 'always');
}

export async function writeSummary({ documents }: Loader, summary: RunSummary): Promise<RunSummary> {
  return writeOnce(documents, summaryPath(summary.runId), summary);
}

export async function readSummary({ documents }: Loader, runId: string): Promise<RunSummary | null> {
  const document = await documents.get(summaryPath(runId));
  return document === null ? null : (JSON.parse(document.body) as RunSummary);
}
