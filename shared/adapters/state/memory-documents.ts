import type { Documents } from '../../ports/documents.ts';
import type { RequestHook } from './entity-table.ts';

interface MemoryDocument {
  readonly bytes: Buffer;
  readonly etag: string;
}

/** Documents that live as long as the process. */
export function memoryDocuments(onRequest?: RequestHook): Documents {
  const documents = new Map<string, MemoryDocument>();
  let versions = 0;

  const request = async (operation: string): Promise<void> => {
    onRequest?.('blob', operation);
    await Promise.resolve();
  };

  return {
    put: async (path, body, when) => {
      await request('put');
      const existing = documents.get(path);
      if (when === 'ifAbsent' && existing !== undefined) return { written: false };
      if (typeof when === 'object' && existing?.etag !== when.etag) return { written: false };
      versions += 1;
      documents.set(path, { bytes: Buffer.from(body, 'utf8'), etag: `"${versions}"` });
      return { written: true };
    },
    get: async (path) => {
      await request('get');
      const document = documents.get(path);
      return document === undefined ? null : { body: document.bytes.toString('utf8'), etag: document.etag };
    },
    getRange: async (path, offset, length) => {
      await request('get');
      const document = documents.get(path);
      return document === undefined ? null : Buffer.from(document.bytes.subarray(offset, offset + length));
    },
    list: async (prefix) => {
      await request('list');
      return [...documents.keys()].filter((path) => path.startsWith(prefix)).sort();
    },
    delete: async (path) => {
      await request('delete');
      documents.delete(path);
    },
  };
}
