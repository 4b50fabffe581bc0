import { checkKey } from './operations/object-attributes.ts';
import type { ObjectStore } from './store/object-store.ts';

/** One object to be written without HTTP. */
export interface SeedObject {
  readonly key: string;
  readonly body: string | Uint8Array;
  /** Default `binary/octet-stream`. */
  readonly contentType?: string;
  readonly contentEncoding?: string;
  /** Cut to the second; default: now. */
  readonly lastModified?: Date;
  /** Default `STANDARD`. */
  readonly storageClass?: string;
}

const objectsPerTransaction = 10_000;

export async function seedObjects(
  store: ObjectStore,
  clock: () => Date,
  bucketName: string,
  objects: Iterable<SeedObject>,
): Promise<number> {
  const bucket = store.findBucket(bucketName);
  if (bucket === null) throw new Error(`There is no bucket ${bucketName} to seed. Create it first.`);
  const iterator = objects[Symbol.iterator]();
  let count = 0;
  let isDone = false;
  while (!isDone) {
    const before = count;
    store.transaction(() => {
      while (count - before < objectsPerTransaction) {
        const next = iterator.next();
        if (next.done === true) {
          isDone = true;
          return;
        }
        seedOne(store, clock, bucket.id, next.value);
        count += 1;
      }
    });
    // Requests get their turn between two transactions.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return count;
}

function seedOne(store: ObjectStore, clock: () => Date, bucketId: number, object: SeedObject): void {
  if (object.key === '' || !object.key.isWellFormed()) {
    throw new Error('A key to seed is empty or is not well-formed Unicode.');
  }
  checkKey(object.key);
  const body = typeof object.body === 'string' ? Buffer.from(object.body) : Buffer.from(object.body);
  const staged = store.content.stageBuffer(body, 'CRC64NVME');
  const contentHeaders: Record<string, string> = {
    'content-type': object.contentType ?? 'binary/octet-stream',
    ...(object.contentEncoding === undefined ? {} : { 'content-encoding': object.contentEncoding }),
  };
  store.putVersion(
    bucketId,
    {
      key: object.key,
      sizeBytes: body.length,
      etag: staged.md5Hex,
      modifiedMs: Math.floor((object.lastModified ?? clock()).getTime() / 1000) * 1000,
      attributes: {
        contentHeaders,
        metadata: {},
        storageClass: object.storageClass ?? 'STANDARD',
        serverSideEncryption: null,
      },
      checksum: { algorithm: 'CRC64NVME', value: staged.checksum, type: 'FULL_OBJECT' },
      segments: [staged.segment],
      parts: null,
    },
    [staged],
  );
}
