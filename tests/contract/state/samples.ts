import fc from 'fast-check';
import type { LedgerEntry } from '../../../shared/domain/ledger-entry.ts';
import { NO_OPTIONS, type PartRow, type RunRow, type ShardRow } from '../../../shared/domain/run-record.ts';
import { EMPTY_DIGEST, EMPTY_PLAN } from '../../../shared/domain/run-summary.ts';

export const AT = '2026-11-24T03:52:18.123Z';

export function entryOf(key: string, changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    key,
    version: '"9b2cf535f27731c974343645a3985328"',
    // More than an Int32 holds.
    sizeBytes: 5_368_709_121,
    state: 'intent',
    runId: 'daily-20261124T035218Z-ab12',
    epoch: 1,
    sourceId: '0b1f6a2e-9f0b-4c55-8a1e-5a6d1f0c2b3d',
    attemptSeq: 1,
    attempts: 1,
    intentAt: AT,
    queuedAt: null,
    settledAt: null,
    urlExpiresAt: '2026-11-24T09:52:18.000Z',
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

export function runOf(runId: string, changes: Partial<RunRow> = {}): RunRow {
  return {
    row: 'run',
    runId,
    load: 'daily',
    trigger: 'manual',
    options: { ...NO_OPTIONS, prefix: "it's/a prefix" },
    createdAt: AT,
    epoch: 1,
    epochAt: AT,
    partCount: 6,
    generation: 1,
    closingAt: null,
    finalState: null,
    endedAt: null,
    pauseUntil: null,
    silentSince: null,
    ...changes,
  };
}

export function partOfRun(part: string, changes: Partial<PartRow> = {}): PartRow {
  return {
    row: 'part',
    part,
    epoch: 1,
    turn: 0,
    holds: null,
    heartbeatAt: AT,
    endedAt: null,
    problem: null,
    cursor: null,
    progress: { plan: EMPTY_PLAN, digest: EMPTY_DIGEST },
    ...changes,
  };
}

export function shardOf(shard: string, changes: Partial<ShardRow> = {}): ShardRow {
  return {
    row: 'shard',
    shard,
    state: 'planned',
    units: 3,
    objects: 300,
    bytes: 12_884_901_888,
    manifest: `runs/r/shards/${shard}.ndjson`,
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

/** Keys that something on the way to the table could mistake for syntax. */
export const AWKWARD_KEYS: readonly string[] = [
  "a/b\\c#d?e'f''g%2Fh%25i+j&k=l m",
  '/',
  '//',
  '.',
  '..',
  '~',
  '{"json": "}"}',
  '<xml/>&amp;',
  "RowKey='x')",
  'HTTP/1.1 404 Not Found',
  "https://example.org/(PartitionKey='a',RowKey='b')",
  '-',
  '-begins with a hyphen',
  '--changeset_x--',
  'DELETE x HTTP/1.1\r\nIf-Match: *\r\n',
  'line\nfeed\ttab\u0000null\u007f',
  'line\u2028separator\u2029paragraph\u0085next',
  'grüße/日本語/\u{1f600}.json',
  'e\u0301 is not é',
  '\ufeffbom\uffff\ufffe',
  'CASE',
  'case',
  'x'.repeat(1_024),
  `${'x'.repeat(1_023)}a`,
  `${'x'.repeat(1_023)}b`,
  '\u{1f600}'.repeat(256),
  `year=2026/month=11/day=24/${'/'.repeat(500)}`,
];

const character = fc.oneof(
  fc.constantFrom(...'/\\#?\'%-.=_~{}[]"<>:,aZ09 '),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
);

/** Well-formed keys of 1 to 1,024 bytes. */
export const anyKey = fc
  .string({ unit: character, minLength: 1, maxLength: 900 })
  .filter((key) => Buffer.byteLength(key) <= 1_024);
