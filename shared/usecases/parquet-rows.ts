import type { SettleShardInput } from '../contracts/durable.ts';
import type { ShardItem } from '../domain/object-outcome.ts';
import { atShare } from '../domain/pace.ts';
import { type LoaderError, toLoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import { allOf } from './bounded.ts';
import type { Loader } from './loader.ts';
import type { ClosingLook } from './rewritten-keys.ts';
import { slowDownBy } from './slow-down.ts';

const READ_AT_ONCE = 16;

/**
 * Adds how many rows each loaded Parquet object of a shard holds, where the load asks for it. What can't be read on the last
 * look is not known; it keeps nothing that was loaded from being accounted for.
 *
 * @throws {LoaderError} before the last look, for a reason that passes.
 */
export async function withParquetRows(
  loader: Loader,
  { runId, epoch, shard }: SettleShardInput,
  { snapshot: { definition, tag }, items, isLastLook, share }: ClosingLook,
): Promise<readonly ShardItem[]> {
  if (!definition.reconcile.parquetFooters) return items;
  const source = await loader.source(definition.source);
  const failures: LoaderError[] = [];
  const counted = await allOf(items, atShare(READ_AT_ONCE, share), async (item): Promise<ShardItem> => {
    const entry = item.stored?.value;
    if (entry?.state !== 'ingested' || entry.errorCode !== null || entry.tag !== tag) return item;
    try {
      return { ...item, rows: await source.countParquetRows({ key: entry.key, version: entry.version }) };
    } catch (thrown) {
      failures.push(toLoaderError(thrown));
      return item;
    }
  });
  const [first] = failures;
  if (first === undefined) return counted;
  await slowDownBy(loader, { runId, epoch }, failures);
  const passing = failures.find(({ permanent }) => !permanent);
  if (passing !== undefined && !isLastLook) throw passing;
  events.footersNotRead(loader.logger, { runId, epoch, shard, error: first });
  return counted;
}
