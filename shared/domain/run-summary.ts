import type { ErrorCode } from '../errors/loader-error.ts';
import type { ExpectedRows, RowCount } from './row-count.ts';
import type { SkipReason } from './selection.ts';

/**
 * How one object of a run ended.
 * - `gone`: it was deleted before it was loaded.
 * - `changed`: its key was rewritten while it was loaded, and the rows may be those of either version; or it was rewritten
 *   before the fate of its earlier version was known.
 * - `notStarted`: the run was cancelled, stopped or given up before the object was posted.
 */
export const OBJECT_STATES = [
  'ingested',
  'failed',
  'gone',
  'changed',
  'unknown',
  'deferred',
  'notStarted',
] as const;
export type ObjectState = (typeof OBJECT_STATES)[number];

/** One line of a shard's outcomes. Times are ISO 8601, UTC. */
export interface ObjectOutcome {
  readonly key: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly state: ObjectState;
  readonly code: ErrorCode | null;
  readonly message: string | null;
  readonly sourceId: string | null;
  readonly attempts: number;
  readonly postedAt: string | null;
  readonly settledAt: string | null;
  /** The message was posted again without proof that the earlier one was not ingested. */
  readonly repostedUnproven: boolean;
  /** Rows that the object holds, by itself; `null`, and absent in outcomes of older versions: not known. */
  readonly rows?: number | null;
  /** The tag of its rows where that is not the run's own: an earlier run had posted the object. */
  readonly earlierTag?: string;
}

export interface FailureExample {
  readonly key: string;
  readonly message: string;
}

export interface SlowObject {
  readonly key: string;
  /** From post to ADX's report, milliseconds. */
  readonly durationMs: number;
}

/** The outcomes of a shard (or of several) in a few figures that can be added up. */
export interface OutcomeDigest {
  readonly objects: Readonly<Record<ObjectState, number>>;
  readonly bytesIngested: number;
  /** Of objects that were ingested under the run's tag; absent in digests of older versions. */
  readonly rows?: ExpectedRows;
  readonly failures: Readonly<
    Partial<Record<ErrorCode, { readonly count: number; readonly examples: readonly FailureExample[] }>>
  >;
  readonly slowest: readonly SlowObject[];
  readonly repostedUnproven: readonly string[];
  /** Earliest end of the fences of objects whose fate is open: unknown and deferred ones. */
  readonly earliestFenceAt: string | null;
}

const EXAMPLES = 3;
const SLOWEST = 5;
/** Keys that are named; the count of further ones would say no more. */
const REPOSTED_NAMED = 20;

export const EMPTY_DIGEST: OutcomeDigest = {
  objects: { ingested: 0, failed: 0, gone: 0, changed: 0, unknown: 0, deferred: 0, notStarted: 0 },
  bytesIngested: 0,
  rows: { known: 0, unknownObjects: 0 },
  failures: {},
  slowest: [],
  repostedUnproven: [],
  earliestFenceAt: null,
};

/** The digest of single outcomes; `fenceOf` tells the fence of an object whose fate is open. */
export function digestOutcomes(
  outcomes: readonly ObjectOutcome[],
  fenceOf: (key: string) => string | null,
): OutcomeDigest {
  return outcomes.reduce(
    (digest, outcome) => addDigests(digest, digestOutcome(outcome, fenceOf)),
    EMPTY_DIGEST,
  );
}

function digestOutcome(outcome: ObjectOutcome, fence: (key: string) => string | null): OutcomeDigest {
  const durationMs =
    outcome.postedAt === null || outcome.settledAt === null
      ? null
      : Date.parse(outcome.settledAt) - Date.parse(outcome.postedAt);
  return {
    objects: { ...EMPTY_DIGEST.objects, [outcome.state]: 1 },
    bytesIngested: outcome.state === 'ingested' ? outcome.sizeBytes : 0,
    rows: rowsUnderTag(outcome),
    failures:
      outcome.code !== null
        ? { [outcome.code]: { count: 1, examples: [{ key: outcome.key, message: outcome.message ?? '' }] } }
        : {},
    slowest: durationMs === null ? [] : [{ key: outcome.key, durationMs }],
    repostedUnproven: outcome.repostedUnproven ? [outcome.key] : [],
    earliestFenceAt: outcome.state === 'unknown' || outcome.state === 'deferred' ? fence(outcome.key) : null,
  };
}

function rowsUnderTag({ state, rows = null, earlierTag }: ObjectOutcome): ExpectedRows {
  if (state !== 'ingested' || earlierTag !== undefined) return { known: 0, unknownObjects: 0 };
  return rows === null ? { known: 0, unknownObjects: 1 } : { known: rows, unknownObjects: 0 };
}

function rowsOfDigest({ rows, objects }: OutcomeDigest): ExpectedRows {
  return rows ?? { known: 0, unknownObjects: objects.ingested };
}

/**
 * Rows that the objects of a digest have added under the run's tag. `null`, not known, where the rows of an object are not,
 * and where nobody knows whether an object's are in: its fate is open, or it was rewritten while it was loaded.
 */
export function expectedRowsOf(digest: OutcomeDigest): number | null {
  const { known, unknownObjects } = rowsOfDigest(digest);
  return unknownObjects + digest.objects.unknown + digest.objects.changed === 0 ? known : null;
}

/** Adds two digests up. Associative and commutative but for which of equal examples is named. */
export function addDigests(a: OutcomeDigest, b: OutcomeDigest): OutcomeDigest {
  const objects = { ...a.objects };
  // Digests of older versions lack the states that are newer.
  for (const state of OBJECT_STATES) objects[state] = (a.objects[state] ?? 0) + (b.objects[state] ?? 0);
  const failures: Partial<Record<ErrorCode, { count: number; examples: readonly FailureExample[] }>> = {
    ...a.failures,
  };
  for (const [code, more] of Object.entries(b.failures) as [
    ErrorCode,
    { count: number; examples: readonly FailureExample[] },
  ][]) {
    const sofar = failures[code];
    failures[code] = {
      count: (sofar?.count ?? 0) + more.count,
      examples: [...(sofar?.examples ?? []), ...more.examples].slice(0, EXAMPLES),
    };
  }
  const [rowsOfA, rowsOfB] = [rowsOfDigest(a), rowsOfDigest(b)];
  return {
    objects,
    bytesIngested: a.bytesIngested + b.bytesIngested,
    rows: {
      known: rowsOfA.known + rowsOfB.known,
      unknownObjects: rowsOfA.unknownObjects + rowsOfB.unknownObjects,
    },
    failures,
    slowest: [...a.slowest, ...b.slowest].sort((x, y) => y.durationMs - x.durationMs).slice(0, SLOWEST),
    repostedUnproven: [...a.repostedUnproven, ...b.repostedUnproven].slice(0, REPOSTED_NAMED),
    earliestFenceAt: earliest(a.earliestFenceAt, b.earliestFenceAt),
  };
}

function earliest(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}

/** What planning found, added up over plan pages. */
export interface PlanTotals {
  readonly listed: number;
  readonly listedBytes: number;
  readonly selected: number;
  readonly selectedBytes: number;
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
}

export const EMPTY_PLAN: PlanTotals = {
  listed: 0,
  listedBytes: 0,
  selected: 0,
  selectedBytes: 0,
  skipped: {},
};

export function addPlanTotals(a: PlanTotals, b: PlanTotals): PlanTotals {
  const skipped: Partial<Record<SkipReason, number>> = { ...a.skipped };
  for (const [reason, more] of Object.entries(b.skipped) as [SkipReason, number][])
    skipped[reason] = (skipped[reason] ?? 0) + more;
  return {
    listed: a.listed + b.listed,
    listedBytes: a.listedBytes + b.listedBytes,
    selected: a.selected + b.selected,
    selectedBytes: a.selectedBytes + b.selectedBytes,
    skipped,
  };
}

/** The states a run may have. The first five are of a run under way, the others final. */
export const RUN_STATES = [
  'starting',
  'planning',
  'running',
  'suspended',
  'cancelling',
  'completed',
  'completedWithFailures',
  'completedWithDiscrepancy',
  'stopped',
  'cancelled',
  'failed',
] as const;
export type RunState = (typeof RUN_STATES)[number];
export type FinalRunState = Exclude<
  RunState,
  'starting' | 'planning' | 'running' | 'suspended' | 'cancelling'
>;

/** What made a run start no further objects: a person, its `onError` policy, its deadline, or that it was taken over too often. */
export type StopReason = 'cancel' | 'onError' | 'deadline' | 'givenUp';

export interface RunProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
}

/** What a run did, as JSON: the output of its orchestration, a blob, and the answer of GET /api/runs/{id}. */
export interface RunSummary {
  readonly runId: string;
  readonly load: string;
  readonly state: FinalRunState;
  readonly trigger: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationMs: number;
  /** `null` unless planning failed or the run was given up. */
  readonly problem: RunProblem | null;
  readonly plan: PlanTotals;
  readonly objects: OutcomeDigest['objects'];
  readonly bytesIngested: number;
  readonly throughput: { readonly objectsPerSecond: number; readonly bytesPerSecond: number };
  readonly failures: OutcomeDigest['failures'];
  readonly slowest: readonly SlowObject[];
  readonly repostedUnproven: readonly string[];
  readonly rows: RowCount;
  /** Why no new objects were started from some time on; `null`: all were. */
  readonly stopReason: StopReason | null;
  /** How often the run was slowed down because S3 or ADX throttled, and to which share of its concurrency at the least. */
  readonly throttling: { readonly slowdowns: number; readonly lowestShare: number } | null;
  /** The drop-by tag of the rows. */
  readonly tag: string;
  /** When the objects whose fate is unknown may be posted again; `null` when there are none. */
  readonly unsettledUntil: string | null;
  readonly epochs: number;
}

export interface FinalStateInput {
  readonly stop: StopReason | null;
  /** Planning ended by an error. */
  readonly planFailed: boolean;
  readonly givenUp: boolean;
  readonly digest: OutcomeDigest;
  readonly rowsAgree: boolean | null;
  /** Keys that the run was to look at and may not. */
  readonly unreadable: number;
}

/** Ends of objects of which nobody knows whether the table holds their rows, all of them, and once. */
const DISCREPANCIES: readonly ErrorCode[] = ['versionUnproven', 'goneUnreported', 'partlyIngested'];

/** The final state of a run. A discrepancy outranks failures; being cancelled or stopped outranks both. */
export function finalState({
  stop,
  planFailed,
  givenUp,
  digest,
  rowsAgree,
  unreadable,
}: FinalStateInput): FinalRunState {
  const { failed, changed, unknown, deferred, notStarted } = digest.objects;
  if (givenUp) return 'failed';
  const isAnyBegun = OBJECT_STATES.some((state) => state !== 'notStarted' && digest.objects[state] > 0);
  if (planFailed && !isAnyBegun) return 'failed';
  if (stop !== null) return stop === 'cancel' ? 'cancelled' : 'stopped';
  const isUnclear = DISCREPANCIES.some((code) => digest.failures[code] !== undefined);
  if (rowsAgree === false || changed > 0 || isUnclear || digest.repostedUnproven.length > 0)
    return 'completedWithDiscrepancy';
  const isAnyMissing = failed + unknown + deferred + notStarted + unreadable > 0;
  if (planFailed || isAnyMissing) return 'completedWithFailures';
  return 'completed';
}
