import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type FreshConnections, sendingBy } from './fresh-connections.ts';

/** Where an upload went. */
export interface TempBlob {
  /** With its SAS. Secret. */
  readonly url: string;
  readonly rawSizeBytes: number;
}

/**
 * Puts a text into one of the cluster's containers for ingestion, compressed. A text that is put again under its name is
 * written over itself.
 *
 * @throws what the storage SDK throws.
 */
export async function uploadTempBlob(
  containerUrl: string,
  name: string,
  text: string,
  { timeoutMs, connections }: { readonly timeoutMs: number; readonly connections: FreshConnections },
): Promise<TempBlob> {
  const { AnonymousCredential, BlockBlobClient, newPipeline } = await import('@azure/storage-blob');
  const pipeline = newPipeline(new AnonymousCredential());
  pipeline.factories.push(sendingBy(connections));
  const url = new URL(containerUrl);
  url.pathname += `/${encodeURIComponent(name)}.gz`;
  const raw = Buffer.from(text);
  const body = gzipSync(raw);
  await new BlockBlobClient(url.href, pipeline).upload(body, body.length, {
    blobHTTPHeaders: { blobContentMD5: createHash('md5').update(body).digest() },
    abortSignal: AbortSignal.timeout(timeoutMs),
  });
  return { url: url.href, rawSizeBytes: Math.max(1, raw.length) };
}
