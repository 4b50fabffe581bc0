import type { LedgerEntry } from '../../../shared/domain/ledger-entry.ts';
import type {
  ControlRow,
  PartRow,
  RunRow,
  RunView,
  ShardRow,
  Stored,
} from '../../../shared/domain/run-record.ts';
import { EMPTY_DIGEST, EMPTY_PLAN } from '../../../shared/domain/run-summary.ts';

/** A ledger entry of a queued object, with changes. */
export function ledgerEntry(changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    key: 'in/a.csv',
    version: 'e:1',
    sizeBytes: 10,
    state: 'queued',
    runId: 'run-1',
    epoch: 1,
    sourceId: '00000000-0000-4000-8000-000000000000',
    attemptSeq: 1,
    attempts: 1,
    intentAt: '2026-03-01T00:00:00.000Z',
    queuedAt: '2026-03-01T00:00:01.000Z',
    settledAt: null,
    urlExpiresAt: '2026-03-01T06:00:00.000Z',
    errorCode: null,
    errorMessage: null,
    tag: null,
    repostedUnproven: false,
    fateUnknown: false,
    earlierSourceIds: null,
    otherTags: null,
    ...changes,
  };
}

const stored = <Row>(value: Row): Stored<Row> => ({ value, etag: 'etag' });

export function partRow(part: string, changes: Partial<PartRow> = {}): PartRow {
  return {
    row: 'part',
    part,
    epoch: 1,
    turn: 0,
    holds: null,
    heartbeatAt: '2026-03-01T00:00:00.000Z',
    endedAt: null,
    problem: null,
    cursor: null,
    progress: { plan: EMPTY_PLAN, digest: EMPTY_DIGEST },
    ...changes,
  };
}

export function shardRow(shard: string, changes: Partial<ShardRow> = {}): ShardRow {
  return {
    row: 'shard',
    shard,
    state: 'planned',
    units: 1,
    objects: 10,
    bytes: 100,
    manifest: `${shard}.ndjson`,
    heldBy: null,
    epoch: 1,
    turn: 0,
    attempt: 0,
    postedAt: null,
    lookAt: null,
    looks: 0,
    code: null,
    settledObjects: 0,
    settledBytes: 0,
    ends: null,
    unsettledObjects: 0,
    ...changes,
  };
}

/** The live part of a run that began at midnight. */
export function runView(rows: {
  readonly run?: Partial<RunRow>;
  readonly control?: Partial<ControlRow>;
  readonly parts?: readonly PartRow[];
  readonly shards?: readonly ShardRow[];
}): RunView {
  return {
    run: stored<RunRow>({
      row: 'run',
      runId: 'run-1',
      load: 'flights',
      trigger: 'manual',
      options: { prefix: null, modifiedAfter: null, modifiedBefore: null, retryFailed: false },
      createdAt: '2026-03-01T00:00:00.000Z',
      epoch: 1,
      epochAt: '2026-03-01T00:00:00.000Z',
      partCount: 0,
      generation: 1,
      closingAt: null,
      finalState: null,
      endedAt: null,
      pauseUntil: null,
      silentSince: null,
      ...rows.run,
    }),
    control: stored<ControlRow>({
      row: 'control',
      stop: null,
      stopAt: null,
      suspendedAt: null,
      pace: null,
      ...rows.control,
    }),
    parts: (rows.parts ?? []).map(stored),
    shards: (rows.shards ?? []).map(stored),
  };
}
