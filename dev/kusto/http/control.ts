import type { Faults, IngestionFault, RequestFault } from '../faults.ts';
import type { DataManagement } from '../ingest/data-management.ts';
import type { BatchRecord, IngestionCounters } from '../ingest/ingestion-counters.ts';

/** What tests and the command line may see and do; all of it also over `/-/control`. */
export interface KustoControl {
  readonly faults: Faults;
  /** Seals all open batches now. @returns how many. */
  flush(): number;
  /** Open and sealed batches, oldest first. */
  batches(): { readonly open: readonly object[]; readonly sealed: readonly BatchRecord[] };
  stats(): KustoStats;
  /** Resolves when no message is held and nothing is loading; messages still in the queues are not waited for. */
  idle(): Promise<void>;
}

export interface KustoStats extends IngestionCounters {
  /** By method and path. */
  readonly requests: Readonly<Record<string, number>>;
  readonly heldMessages: number;
  readonly openBatches: number;
  readonly dropped: readonly { readonly droppedAt: string; readonly reason: string }[];
}

export function makeControl(
  { counters, batcher, loader, reader }: DataManagement,
  faults: Faults,
  requestCounts: ReadonlyMap<string, number>,
): KustoControl {
  return {
    faults,
    flush: () => batcher.flush(),
    batches: () => ({
      open: batcher.openBatches.map((batch) => ({
        id: batch.id,
        database: batch.database,
        table: batch.table,
        openedAt: new Date(batch.openedAtMs).toISOString(),
        rawSizeBytes: batch.rawSizeBytes,
        items: batch.items.length,
      })),
      sealed: loader.records,
    }),
    stats: () => ({
      ...counters,
      requests: Object.fromEntries(requestCounts),
      heldMessages: reader.heldCount,
      openBatches: batcher.openBatches.length,
      dropped: reader.dropped,
    }),
    idle: async () => {
      while (reader.heldCount > 0) await new Promise((resolve) => setTimeout(resolve, 20));
      await loader.idle();
    },
  };
}

/** @returns undefined for an unknown path. */
export function handleControl(
  control: KustoControl,
  method: string,
  path: string,
  body: unknown,
): object | undefined {
  switch (`${method} ${path}`) {
    case 'GET /stats':
      return control.stats();
    case 'GET /batches':
      return control.batches();
    case 'POST /flush':
      return { sealed: control.flush() };
    case 'GET /faults':
      return control.faults.list();
    case 'DELETE /faults':
      control.faults.clear();
      return {};
    case 'POST /faults/requests':
      control.faults.addRequestFault(body as RequestFault);
      return control.faults.list();
    case 'POST /faults/ingestions':
      control.faults.addIngestionFault(body as IngestionFault);
      return control.faults.list();
    default:
      return undefined;
  }
}
