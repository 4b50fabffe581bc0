import type { LoadDefinition } from '../contracts/load-definition.ts';
import type { Loader } from './loader.ts';
import type { InventoryFacts } from './run-documents.ts';

/** Finds the S3 Inventory list that a source names, which may lie in another bucket; `null` when it names none. */
export async function locateInventory(
  loader: Loader,
  source: LoadDefinition['source'],
): Promise<InventoryFacts | null> {
  if (source.inventory === null) return null;
  const [, bucket, location] = /^s3:\/\/([^/]+)\/(.+)$/.exec(source.inventory)!;
  const holder = await loader.source({ ...source, bucket: bucket! });
  const list = await holder.findInventory({ location: location!, ofBucket: source.bucket });
  return { bucket: bucket!, list };
}
