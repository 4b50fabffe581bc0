import type { _Object as ListedObject, ObjectVersion } from '@aws-sdk/client-s3';

import { type S3Object, versionOf } from '../../domain/s3-object.ts';
import { LoaderError } from '../../errors/loader-error.ts';

/** How the keys of an answer are to be read. */
export function decoderOf({
  EncodingType,
}: {
  readonly EncodingType?: string | undefined;
}): (key: string) => string {
  return EncodingType === 'url' ? decodeKey : (key) => key;
}

/** In listings S3 writes a space as `+` and a plus as `%2B`; the SDK hands keys out as they came. */
function decodeKey(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '));
}

/** An object of a listing. Only one of versions names a version id. */
export function toS3Object(
  object: ListedObject & Pick<ObjectVersion, 'VersionId'>,
  decode: (key: string) => string,
): S3Object {
  return {
    key: decode(object.Key ?? ''),
    version: versionOf({ versionId: object.VersionId, etag: object.ETag ?? '' }),
    sizeBytes: object.Size ?? 0,
    lastModified: (object.LastModified ?? new Date(0)).toISOString(),
    storageClass: object.StorageClass ?? 'STANDARD',
  };
}

/**
 * Whether the keys ascend by their UTF-8 bytes, from behind `startAfter` on: a listing goes on by its last key.
 *
 * @param mayRepeat - a key may come several times in a row, as it does in a listing of versions.
 */
export function isInOrder(keys: readonly string[], startAfter: string | null, mayRepeat = false): boolean {
  let before = startAfter === null ? null : Buffer.from(startAfter);
  return keys.every((key, index) => {
    const bytes = Buffer.from(key);
    const order = before === null ? -1 : Buffer.compare(before, bytes);
    before = bytes;
    return order < 0 || (mayRepeat && order === 0 && index > 0);
  });
}

export function notInOrder(bucket: string): LoaderError {
  return new LoaderError(
    'invalidDefinition',
    `The endpoint of the bucket "${bucket}" lists keys that are not in the order of their UTF-8 bytes, or not behind the key that was asked for, so that some would be missed. Use a service that lists as Amazon S3 does, or name the keys by source.files or events, with source.writtenOnce.`,
    { problems: [{ field: 'source.endpoint', message: 'must list keys in the order of Amazon S3' }] },
  );
}
