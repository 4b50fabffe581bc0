import type { ControlRow, PartRow, RunRow, RunView, ShardRow, Stored } from '../../domain/run-record.ts';
import type { RunRowValue } from '../../ports/run-store.ts';
import { decodeFields, encodeFields, type FieldKinds } from './entity-fields.ts';
import type { EntityFields, StoredEntity } from './entity-table.ts';

/**
 * Row keys within the partition of a run, which is its id. The live part of a run is one range, from `part-` on;
 * settled shards stand before it.
 *
 * | row key | row |
 * |---|---|
 * | `done-{shard}` | settled shard |
 * | `part-e{epoch}-{part}` | part |
 * | `run`, `run-control` | the run, its control |
 * | `shard-{shard}` | shard under way |
 */
export const LIVE_FROM = 'part-';
export const RUN_ROW_KEY = 'run';
export const CONTROL_ROW_KEY = 'run-control';

const RUN: FieldKinds<RunRow> = {
  row: 'plain',
  runId: 'plain',
  load: 'plain',
  trigger: 'plain',
  options: 'json',
  createdAt: 'plain',
  epoch: 'plain',
  epochAt: 'plain',
  partCount: 'plain',
  generation: 'plain',
  closingAt: 'plain',
  finalState: 'plain',
  endedAt: 'plain',
  pauseUntil: 'plain',
  silentSince: 'plain',
};

const CONTROL: FieldKinds<ControlRow> = {
  row: 'plain',
  stop: 'plain',
  stopAt: 'plain',
  suspendedAt: 'plain',
  pace: 'json',
};

const PART: FieldKinds<PartRow> = {
  row: 'plain',
  part: 'plain',
  epoch: 'plain',
  turn: 'plain',
  holds: 'plain',
  heartbeatAt: 'plain',
  endedAt: 'plain',
  problem: 'json',
  cursor: 'plain',
  progress: 'json',
};

const SHARD: FieldKinds<ShardRow> = {
  row: 'plain',
  shard: 'plain',
  state: 'plain',
  units: 'plain',
  objects: 'plain',
  bytes: 'plain',
  manifest: 'plain',
  heldBy: 'plain',
  epoch: 'plain',
  turn: 'plain',
  attempt: 'plain',
  postedAt: 'plain',
  lookAt: 'plain',
  looks: 'plain',
  code: 'plain',
  settledObjects: 'plain',
  settledBytes: 'plain',
  ends: 'json',
  unsettledObjects: 'plain',
};

export function doneRowKey(shard: string): string {
  return `done-${shard}`;
}

export function liveShardRowKey(shard: string): string {
  return `shard-${shard}`;
}

/** Where a row stands as it is now; a settled shard stands elsewhere than before. */
export function runRowKey(value: RunRowValue): string {
  switch (value.row) {
    case 'run':
      return RUN_ROW_KEY;
    case 'control':
      return CONTROL_ROW_KEY;
    case 'part':
      return `part-e${value.epoch}-${value.part}`;
    case 'shard':
      return value.state === 'settled' ? doneRowKey(value.shard) : liveShardRowKey(value.shard);
  }
}

export function encodeRunRow(value: RunRowValue): EntityFields {
  switch (value.row) {
    case 'run':
      return encodeFields(RUN, value);
    case 'control':
      return encodeFields(CONTROL, value);
    case 'part':
      return encodeFields(PART, value);
    case 'shard':
      return encodeFields(SHARD, value);
  }
}

export function decodeRun(entity: StoredEntity): Stored<RunRow> {
  return { value: decodeFields(RUN, entity.fields), etag: entity.etag };
}

export function decodeShard(entity: StoredEntity): Stored<ShardRow> {
  return { value: decodeFields(SHARD, entity.fields), etag: entity.etag };
}

/** Puts rows together; `null` without the row of the run. */
export function viewOf(entities: readonly StoredEntity[]): RunView | null {
  const of = (row: RunRowValue['row']) => entities.filter(({ fields }) => fields['row'] === row);
  const [run] = of('run');
  const [control] = of('control');
  if (run === undefined || control === undefined) return null;
  return {
    run: decodeRun(run),
    control: { value: decodeFields(CONTROL, control.fields), etag: control.etag },
    parts: of('part').map(({ fields, etag }) => ({ value: decodeFields(PART, fields), etag })),
    shards: of('shard').map(decodeShard),
  };
}
