import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { BlobClient, ContainerClient } from '@azure/storage-blob';
import type { Documents } from '../../ports/documents.ts';
import type { RequestHook } from './entity-table.ts';
import { stateError, storageFault } from './state-error.ts';

/** For one call with its retries; the largest documents have some MB. */
const CALL_TIMEOUT_MS = 2 * 60_000;
const inTime = () => ({ abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS) });

/** Metadata that tells which call wrote a blob. */
const WRITE_ID = 'writeid';

/** `Documents` that can make the container they are kept in. */
export interface AzureDocuments extends Documents {
  /** That the container exists already is no error. */
  create(): Promise<void>;
}

/**
 * Documents as blobs of one container. `open` is called at the first use, so that the SDK is loaded no sooner.
 * `onRequest` is called for each call of the SDK; its retries are not seen.
 */
export function azureDocuments(
  open: () => Promise<ContainerClient>,
  onRequest?: RequestHook,
): AzureDocuments {
  const attempt = async <Result>(
    what: string,
    operation: string,
    call: (container: ContainerClient) => Promise<Result>,
  ): Promise<Result> => {
    onRequest?.('blob', operation);
    try {
      return await call(await open());
    } catch (error) {
      throw stateError(what, error);
    }
  };

  return {
    create: () =>
      attempt('create the container for documents', 'create', async (container) => {
        await container.createIfNotExists(inTime());
      }),

    put: (path, body, when) =>
      attempt(`write the document ${path}`, 'put', async (container) => {
        const bytes = Buffer.from(body, 'utf8');
        const blob = container.getBlockBlobClient(path);
        const writeId = randomBytes(9).toString('base64url');
        // Without a hash to keep, Azurite reads the whole blob again to compute it.
        const blobContentMD5 = createHash('md5').update(bytes).digest();
        try {
          await blob.upload(bytes, bytes.length, {
            ...inTime(),
            conditions: conditionsOf(when),
            metadata: { [WRITE_ID]: writeId },
            blobHTTPHeaders: { blobContentType: contentTypeOf(path), blobContentMD5 },
          });
          return { written: true };
        } catch (error) {
          if (when === 'always' || !isPreconditionFailure(error)) throw error;
          // The SDK's own first try may have landed, though its answer was lost.
          onRequest?.('blob', 'head');
          return { written: (await readWriteId(blob)) === writeId };
        }
      }),

    get: (path) =>
      attempt(`read the document ${path}`, 'get', async (container) => {
        const response = await ifThere(() =>
          container.getBlobClient(path).download(undefined, undefined, inTime()),
        );
        if (response === null) return null;
        const body = await buffer(response.readableStreamBody!);
        return { body: body.toString('utf8'), etag: response.etag! };
      }),

    getRange: (path, offset, length) =>
      attempt(`read the document ${path}`, 'get', async (container) => {
        const blob = container.getBlobClient(path);
        if (length <= 0) {
          const properties = await ifThere(() => blob.getProperties(inTime()));
          return properties === null ? null : Buffer.alloc(0);
        }
        try {
          const response = await ifThere(() => blob.download(offset, length, inTime()));
          return response === null ? null : await buffer(response.readableStreamBody!);
        } catch (error) {
          if (storageFault(error).status === 416) return Buffer.alloc(0);
          throw error;
        }
      }),

    list: (prefix) =>
      attempt(`list the documents ${prefix}*`, 'list', async (container) => {
        const paths: string[] = [];
        let pages = 0;
        for await (const page of container
          .listBlobsFlat({ prefix, ...inTime() })
          .byPage({ maxPageSize: 5_000 })) {
          pages += 1;
          if (pages > 1) onRequest?.('blob', 'list');
          for (const { name } of page.segment.blobItems) paths.push(name);
        }
        return paths.sort();
      }),

    delete: (path) =>
      attempt(`delete the document ${path}`, 'delete', async (container) => {
        await ifThere(() => container.getBlobClient(path).delete(inTime()));
      }),
  };
}

function conditionsOf(when: Parameters<Documents['put']>[2]): { ifMatch?: string; ifNoneMatch?: string } {
  if (when === 'always') return {};
  return when === 'ifAbsent' ? { ifNoneMatch: '*' } : { ifMatch: when.etag };
}

function contentTypeOf(path: string): string {
  return path.endsWith('.ndjson') ? 'application/x-ndjson' : 'application/json';
}

function isPreconditionFailure(error: unknown): boolean {
  const { code } = storageFault(error);
  return code === 'BlobAlreadyExists' || code === 'ConditionNotMet' || code === 'BlobNotFound';
}

async function readWriteId(blob: BlobClient): Promise<string | null> {
  const properties = await ifThere(() => blob.getProperties(inTime()));
  return properties?.metadata?.[WRITE_ID] ?? null;
}

/** `null` when there is no such blob; a missing container is an error. */
async function ifThere<Result>(call: () => Promise<Result>): Promise<Result | null> {
  try {
    return await call();
  } catch (error) {
    if (storageFault(error).code === 'BlobNotFound') return null;
    throw error;
  }
}
