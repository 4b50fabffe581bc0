import { createHash } from 'node:crypto';
import { LoaderError } from '../../errors/loader-error.ts';
import type { LoadState, Lock, ScheduleState, Unsettled } from '../../ports/load-state.ts';
import { decodeFields, encodeFields, type FieldKinds } from './entity-fields.ts';
import type { EntityFields, EntityTable, StoredEntity } from './entity-table.ts';
import { readAll } from './entity-table.ts';
import { mapLimited, REQUESTS_AT_ONCE } from './map-limited.ts';
import { pendingTable } from './pending-table.ts';
import { transactOnce } from './transact-once.ts';

/** All locks stand in one partition, so that they can be listed; no load has a dot in its name. */
const LOCKS = '.locks';
const SCHEDULE_ROW_KEY = 'schedule';
const UNSETTLED = 'unsettled-';
const CLAIM_ROWS = 'idem-';
/** Sorts behind every run id. */
const LAST = '~';
/** An entity that is gone whenever it is read and there whenever it is inserted is no ordinary race. */
const INSERT_TRIES = 10;

const LOCK: FieldKinds<Lock> = { load: 'plain', request: 'json', acquiredAt: 'plain' };

type ScheduleFields = Omit<ScheduleState, 'etag'>;
const SCHEDULE: FieldKinds<ScheduleFields> = {
  setAt: 'plain',
  checkedUntil: 'plain',
  waiting: 'plain',
};

const UNSETTLED_FIELDS: FieldKinds<Unsettled> = {
  load: 'plain',
  generation: 'plain',
  runId: 'plain',
  manifest: 'plain',
  objects: 'plain',
  lookAt: 'plain',
};

interface ClaimFields {
  readonly runId: string;
  readonly fingerprint: string;
}
const CLAIM: FieldKinds<ClaimFields> = { runId: 'plain', fingerprint: 'plain' };

/**
 * Facts about loads over two tables. In `loads`, the partition of a load has the rows `schedule`,
 * `unsettled-{runId}` and `idem-{SHA-256 of the idempotency key}`, and the partition `.locks` a row for each locked
 * load. `pending` holds the pending objects.
 */
export function loadTable(tables: { readonly loads: EntityTable; readonly pending: EntityTable }): LoadState {
  const { loads } = tables;

  /** Inserts an entity, or reads the one that is there. */
  const insertOrRead = async (
    partitionKey: string,
    rowKey: string,
    fields: EntityFields,
  ): Promise<StoredEntity | null> => {
    for (let tries = 0; tries < INSERT_TRIES; tries += 1) {
      const { ok } = await transactOnce(loads, partitionKey, [{ kind: 'insert', rowKey, fields }]);
      if (ok) return null;
      const existing = await loads.get(partitionKey, rowKey);
      if (existing !== null) return existing;
    }
    throw new LoaderError(
      'stateUnavailable',
      `The row ${rowKey} of ${partitionKey} was taken and freed ${INSERT_TRIES} times while it was being taken.`,
    );
  };

  /** Deletes an entity if it is still this version; that it is gone or changed is no error. */
  const drop = async (partitionKey: string, rowKey: string, etag: string | null): Promise<void> => {
    await loads.transact(partitionKey, [{ kind: 'delete', rowKey, etag }]);
  };

  return {
    ...pendingTable(tables.pending),

    acquireLock: async (lock) => {
      const holder = await insertOrRead(LOCKS, lock.load, encodeFields(LOCK, lock));
      return holder === null
        ? { acquired: true }
        : { acquired: false, heldBy: decodeFields(LOCK, holder.fields) };
    },
    readLock: async (load) => {
      const entity = await loads.get(LOCKS, load);
      return entity === null ? null : decodeFields(LOCK, entity.fields);
    },
    releaseLock: async (load, runId) => {
      const entity = await loads.get(LOCKS, load);
      if (entity === null || decodeFields(LOCK, entity.fields).request.runId !== runId) return;
      await drop(LOCKS, load, entity.etag);
    },
    listLocks: async () => {
      const entities = await readAll(loads, { partitionKey: LOCKS });
      return entities.map(({ fields }) => decodeFields(LOCK, fields));
    },

    claimIdempotencyKey: async ({ load, idempotencyKey, runId, fingerprint }) => {
      const claim = { runId, fingerprint };
      const earlier = await insertOrRead(load, claimRowKey(idempotencyKey), encodeFields(CLAIM, claim));
      return earlier === null
        ? { ...claim, isNew: true }
        : { ...decodeFields(CLAIM, earlier.fields), isNew: false };
    },
    dropIdempotencyKey: (load, idempotencyKey) => drop(load, claimRowKey(idempotencyKey), null),
    dropIdempotencyKeys: async (load, isForgotten) => {
      const range = { partitionKey: load, from: CLAIM_ROWS, to: `${CLAIM_ROWS}${LAST}` };
      let dropped = 0;
      for await (const page of loads.query(range)) {
        const old = page.filter(({ fields }) => isForgotten(decodeFields(CLAIM, fields).runId));
        await mapLimited(old, REQUESTS_AT_ONCE, ({ rowKey, etag }) => drop(load, rowKey, etag));
        dropped += old.length;
      }
      return dropped;
    },

    forgetLoad: async (load, isGone) => {
      for await (const page of loads.query({ partitionKey: load })) {
        if (page.length === 0 || !(await isGone())) return;
        await mapLimited(page, REQUESTS_AT_ONCE, ({ rowKey, etag }) => drop(load, rowKey, etag));
      }
    },

    readSchedule: async (load) => {
      const entity = await loads.get(load, SCHEDULE_ROW_KEY);
      return entity === null ? null : { ...decodeFields(SCHEDULE, entity.fields), etag: entity.etag };
    },
    writeSchedule: async (load, { etag, ...state }) => {
      const row = { rowKey: SCHEDULE_ROW_KEY, fields: encodeFields(SCHEDULE, state) };
      const { ok } = await transactOnce(loads, load, [
        etag === null ? { kind: 'insert', ...row } : { kind: 'replace', ...row, etag },
      ]);
      return ok;
    },

    addUnsettled: async (unsettled) => {
      const rowKey = `${UNSETTLED}${unsettled.runId}`;
      const fields = encodeFields(UNSETTLED_FIELDS, unsettled);
      await loads.transact(unsettled.load, [{ kind: 'upsert', rowKey, fields }]);
    },
    listUnsettled: async (load) => {
      const range = { partitionKey: load, from: UNSETTLED, to: `${UNSETTLED}${LAST}` };
      return (await readAll(loads, range)).map(({ fields }) => decodeFields(UNSETTLED_FIELDS, fields));
    },
    removeUnsettled: ({ load, runId }) => drop(load, `${UNSETTLED}${runId}`, null),
  };
}

/** The key is the caller's: of any length and any characters, so that its hash stands for it. */
function claimRowKey(idempotencyKey: string): string {
  return `${CLAIM_ROWS}${createHash('sha256').update(idempotencyKey).digest('hex')}`;
}
