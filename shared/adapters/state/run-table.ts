import type { ControlRow, RunRow } from '../../domain/run-record.ts';
import type { RunStore, RunWrite } from '../../ports/run-store.ts';
import type { EntityOperation, EntityTable } from './entity-table.ts';
import { deleteAll, readAll } from './entity-table.ts';
import { mapLimited, REQUESTS_AT_ONCE } from './map-limited.ts';
import {
  CONTROL_ROW_KEY,
  decodeRun,
  decodeShard,
  doneRowKey,
  encodeRunRow,
  LIVE_FROM,
  liveShardRowKey,
  RUN_ROW_KEY,
  runRowKey,
  viewOf,
} from './run-rows.ts';
import { transactOnce } from './transact-once.ts';

/** Sorts behind every shard, whose name is of letters, digits and hyphens. */
const LAST = '~';

const LATEST_MS = 9_999_999_999_999;

const NEW_CONTROL: ControlRow = { row: 'control', stop: null, stopAt: null, suspendedAt: null, pace: null };

/**
 * Runs over one table: the rows of a run in the partition named by its id (see run-rows.ts), and index rows in the
 * partitions `index` and `index-{load}` whose row keys sort the newest run first.
 */
export function runTable(table: EntityTable): RunStore {
  const addToIndex = async (run: RunRow): Promise<void> => {
    const rowKey = indexRowKey(run);
    const { runId, load } = run;
    const operation: EntityOperation = { kind: 'upsert', rowKey, fields: { runId, load } };
    const partitions = [indexPartition(), indexPartition(run.load)];
    await Promise.all(partitions.map((partition) => table.transact(partition, [operation])));
  };

  const readControl: RunStore['readControl'] = async (runId) => {
    const range = { partitionKey: runId, from: RUN_ROW_KEY, to: CONTROL_ROW_KEY };
    const view = viewOf(await readAll(table, range));
    return view === null ? null : { run: view.run, control: view.control };
  };

  return {
    createRun: async (run) => {
      const rows = [run, NEW_CONTROL].map(
        (value): EntityOperation => ({
          kind: 'insert',
          rowKey: runRowKey(value),
          fields: encodeRunRow(value),
        }),
      );
      const { ok } = await transactOnce(table, run.runId, rows);
      // A call that was cut off after the transaction left a run that is not listed; the next one lists it.
      const listed = ok ? run : ((await readControl(run.runId))?.run.value ?? run);
      await addToIndex(listed);
      return ok;
    },

    readRun: async (runId) => viewOf(await readAll(table, { partitionKey: runId, from: LIVE_FROM })),

    readControl,

    commit: async (runId, writes) => {
      if (writes.length === 0) return true;
      const { ok } = await transactOnce(table, runId, writes.flatMap(operationsOf));
      return ok;
    },

    settledShards: async (runId, { after, limit } = {}) => {
      const entities = await readAll(table, {
        partitionKey: runId,
        from: doneRowKey(''),
        to: doneRowKey(LAST),
        ...(after === undefined ? {} : { after: doneRowKey(after) }),
        ...(limit === undefined ? {} : { limit }),
      });
      return entities.map((entity) => decodeShard(entity).value);
    },

    listCreatedBefore: async (before, { limit, after }) => {
      const rows = await readAll(table, {
        partitionKey: indexPartition(),
        limit: limit + 1,
        // Row keys sort the newest first: what was created at that instant or later stands before this one.
        after: after ?? `${newestFirst(before)}${LAST}`,
      });
      const page = rows.slice(0, limit);
      return {
        runs: page.map(({ rowKey, fields }) => ({
          runId: String(fields['runId']),
          // Rows of older versions lack it; an id is made of the load, the time and four characters.
          load: String(fields['load'] ?? String(fields['runId']).replace(/-[^-]+-[^-]+$/, '')),
          createdAt: new Date(LATEST_MS - Number(rowKey.slice(0, 13))).toISOString(),
        })),
        next: rows.length > limit ? (page.at(-1)?.rowKey ?? null) : null,
      };
    },

    deleteRun: async (run) => {
      await deleteAll(table, { partitionKey: run.runId });
      const rowKey = indexRowKey(run);
      for (const partitionKey of [indexPartition(run.load), indexPartition()])
        await deleteAll(table, { partitionKey, from: rowKey, to: rowKey });
    },

    listRuns: async ({ load, limit, after = null, createdUntil }) => {
      // What was created at that instant stands behind it, as its row key goes on with the run's id.
      const from = after ?? (createdUntil === undefined ? null : newestFirst(createdUntil));
      // One more tells whether there is a next page.
      const rows = await readAll(table, {
        partitionKey: indexPartition(load),
        limit: limit + 1,
        ...(from === null ? {} : { after: from }),
      });
      const page = rows.slice(0, limit);
      const runs = await mapLimited(page, REQUESTS_AT_ONCE, ({ fields }) =>
        table.get(String(fields['runId']), RUN_ROW_KEY),
      );
      return {
        runs: runs.flatMap((run) => (run === null ? [] : [decodeRun(run).value])),
        next: rows.length > limit ? (page.at(-1)?.rowKey ?? null) : null,
      };
    },
  };
}

function indexPartition(load?: string): string {
  return load === undefined ? 'index' : `index-${load}`;
}

function indexRowKey({ runId, createdAt }: Pick<RunRow, 'runId' | 'createdAt'>): string {
  return `${newestFirst(new Date(createdAt))}-${runId}`;
}

function newestFirst(instant: Date): string {
  return String(LATEST_MS - instant.getTime()).padStart(13, '0');
}

function operationsOf({ value, etag }: RunWrite): EntityOperation[] {
  const row = { rowKey: runRowKey(value), fields: encodeRunRow(value) };
  if (etag === null) return [{ kind: 'insert', ...row }];
  if (value.row === 'shard' && value.state === 'settled') {
    return [
      { kind: 'delete', rowKey: liveShardRowKey(value.shard), etag },
      { kind: 'insert', ...row },
    ];
  }
  return [{ kind: 'replace', ...row, etag }];
}
