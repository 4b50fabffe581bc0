import type { SettleShardInput } from '../contracts/durable.ts';
import type { ShardItem } from '../domain/object-outcome.ts';
import { toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import type { RunSnapshot } from './run-documents.ts';

const READ_AT_ONCE = 16;

/**
 * Adds how many rows each loaded Parquet object of a shard holds, where the load asks for it. What can't be read is not
 * known; it keeps nothing that was loaded from being accounted for.
 */
export async function withParquetRows(
  loader: Loader,
  { runId, epoch, shard }: SettleShardInput,
  { definition, tag }: RunSnapshot,
  items: readonly ShardItem[],
): Promise<readonly ShardItem[]> {
  if (!definition.reconcile.parquetFooters) return items;
  const source = await loader.source(definition.source);
  let failed: unknown = null;
  const counted = await allOf(items, READ_AT_ONCE, async (item): Promise<ShardItem> => {
    const entry = item.stored?.value;
    if (entry?.state !== 'ingested' || entry.errorCode !== null || entry.tag !== tag) return item;
    try {
      return { ...item, rows: await source.countParquetRows({ key: entry.key, version: entry.version }) };
    } catch (thrown) {
      failed = thrown;
      return item;
    }
  });
  if (failed !== null)
    events.footersNotRead(loader.logger, { runId, epoch, shard, error: toLoaderError(failed) });
  return counted;
}
