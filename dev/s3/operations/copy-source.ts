import { invalidArgument, S3Error } from '../protocol/errors.ts';
import { decodePercent } from '../protocol/uri.ts';
import type { Bucket, ObjectVersion } from '../store/object-version.ts';
import { requireBucket, type S3Call } from './call.ts';
import { preconditionFailed, readConditions, weighConditions } from './conditions.ts';
import { findReadable, refuseArchived } from './read-object.ts';

const maxCopyBytes = 5 * 1024 ** 3;

export interface CopySource {
  readonly bucket: Bucket;
  readonly version: ObjectVersion;
}

/**
 * Finds what `x-amz-copy-source` names and checks the conditions on it.
 *
 * @throws S3Error as a read of the source would; InvalidRequest for a delete marker
 */
export function findCopySource(call: S3Call): CopySource {
  const header = call.headers.get('x-amz-copy-source') ?? '';
  const [path = '', parameters = ''] = header.split('?', 2);
  // S3 decodes this header as it does a form: a plus that is not encoded is a space.
  const decoded = decodePercent(path, true).replace(/^\//, '');
  const border = decoded.indexOf('/');
  const versionId = /^versionId=(.+)$/.exec(parameters)?.[1];
  if (border < 1 || border === decoded.length - 1 || (parameters !== '' && versionId === undefined)) {
    throw invalidArgument(
      'x-amz-copy-source',
      header,
      'Invalid copy source object key: it has the form bucket/key or bucket/key?versionId=id',
    );
  }
  const bucket = requireBucket(call, decoded.slice(0, border));
  const key = decoded.slice(border + 1);
  const named = versionId === undefined ? null : call.store.findVersion(bucket.id, key, versionId);
  if (named?.isDeleteMarker === true) {
    throw new S3Error('InvalidRequest', {
      message: 'The source of a copy request may not specifically refer to a delete marker by version id.',
    });
  }
  const version = findReadable(call, bucket, key, versionId);
  const conditions = readConditions(call.headers, 'x-amz-copy-source-');
  if (weighConditions(conditions, version) === 'not-modified') {
    throw preconditionFailed('x-amz-copy-source-If-None-Match or If-Modified-Since');
  }
  refuseArchived(version);
  return { bucket, version };
}

/** @throws S3Error InvalidRequest for more than one request may copy: 5 GiB */
export function refuseTooLargeCopy(sizeBytes: number): void {
  if (sizeBytes > maxCopyBytes) {
    throw new S3Error('InvalidRequest', {
      message: `The specified copy source is larger than the maximum allowable size for a copy source: ${maxCopyBytes}`,
    });
  }
}

/** Headers that tell which version was copied. */
export function copySourceHeaders(source: CopySource): Record<string, string> {
  return source.bucket.versioning === 'never'
    ? {}
    : { 'x-amz-copy-source-version-id': source.version.versionId };
}
