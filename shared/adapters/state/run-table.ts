import type { ControlRow, RunRow } from '../../domain/run-record.ts';
import type { RunStore, RunWrite } from '../../ports/run-store.ts';
import type { EntityOperation, EntityTable } from './entity-table.ts';
import { readAll } from './entity-table.ts';
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
    const operation: EntityOperation = { kind: 'upsert', rowKey, fields: { runId: run.runId } };
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

    listRuns: async ({ load, limit, after = null }) => {
      // One more tells whether there is a next page.
      const rows = await readAll(table, {
        partitionKey: indexPartition(load),
        limit: limit + 1,
        ...(after === null ? {} : { after }),
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

function indexRowKey({ runId, createdAt }: RunRow): string {
  const newestFirst = LATEST_MS - Date.parse(createdAt);
  return `${String(newestFirst).padStart(13, '0')}-${runId}`;
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
