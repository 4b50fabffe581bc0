import { checksumHeader } from '../protocol/checksums.ts';
import { invalidArgument, S3Error } from '../protocol/errors.ts';
import { queryValue } from '../protocol/request-target.ts';
import type { Bucket, ObjectVersion } from '../store/object-version.ts';
import { type ByteRange, readByteRange } from './byte-range.ts';
import { type Reply, requireBucket, type S3Call } from './call.ts';
import { listsTag, readConditions, weighConditions } from './conditions.ts';
import { openContent } from './open-content.ts';

const overridableHeaders = [
  'content-type',
  'content-language',
  'expires',
  'cache-control',
  'content-disposition',
  'content-encoding',
] as const;

/** Storage classes whose objects have to be restored before they can be read. */
const archivedClasses: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE'];

/** GetObject and HeadObject: the same but for the body. */
export function readObject(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const version = findReadable(call, bucket, call.key, queryValue(call.target, 'versionId'));
  const headers = describeVersion(bucket, version);
  if (weighConditions(readConditions(call.headers), version) === 'not-modified') {
    const { etag = '', 'last-modified': lastModified = '', ...rest } = headers;
    const versionHeader = rest['x-amz-version-id'];
    return {
      status: 304,
      headers: {
        etag,
        'last-modified': lastModified,
        ...(versionHeader === undefined ? {} : { 'x-amz-version-id': versionHeader }),
      },
    };
  }
  if (call.method === 'GET') refuseArchived(version);
  Object.assign(headers, readOverrides(call));
  const { range, partChecksum } = readWanted(call, version, headers);
  if (call.headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    const checksum = partChecksum === undefined && range === null ? version.checksum : partChecksum;
    if (checksum) {
      headers[checksumHeader(checksum.algorithm)] = checksum.value;
      headers['x-amz-checksum-type'] = checksum.type;
    }
  }
  if (range !== null) headers['content-range'] = `bytes ${range.start}-${range.end}/${version.sizeBytes}`;
  const wanted = range ?? { start: 0, end: version.sizeBytes - 1 };
  const reply = { status: range === null ? 200 : 206, headers, contentLength: wanted.end - wanted.start + 1 };
  if (call.method === 'HEAD') return reply;
  return { ...reply, body: openContent(call.store, version.segments, wanted) };
}

/**
 * Finds a version that can be read.
 *
 * @throws S3Error NoSuchKey, NoSuchVersion, InvalidArgument; MethodNotAllowed for a delete marker by its id
 */
export function findReadable(
  call: S3Call,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
): ObjectVersion {
  if (versionId !== undefined) checkVersionId(call, versionId);
  const version = call.store.findVersion(bucket.id, key, versionId);
  if (version === null) {
    if (versionId !== undefined)
      throw new S3Error('NoSuchVersion', { details: { Key: key, VersionId: versionId } });
    throw new S3Error('NoSuchKey', { details: { Key: key } });
  }
  if (!version.isDeleteMarker) return version;
  const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId };
  if (versionId === undefined) throw new S3Error('NoSuchKey', { details: { Key: key }, headers });
  throw new S3Error('MethodNotAllowed', {
    details: { Method: call.method, ResourceType: 'DeleteMarker' },
    headers: { ...headers, allow: 'DELETE', 'last-modified': new Date(version.modifiedMs).toUTCString() },
  });
}

/** @throws S3Error InvalidArgument for what can't be a version id */
export function checkVersionId(call: S3Call, versionId: string): void {
  if (versionId !== 'null' && call.store.versionIds.read(versionId) === null) {
    throw invalidArgument('versionId', versionId, 'Invalid version id specified');
  }
}

/** @throws S3Error InvalidObjectState */
export function refuseArchived(version: ObjectVersion): void {
  const { storageClass } = version.attributes;
  if (archivedClasses.includes(storageClass)) {
    throw new S3Error('InvalidObjectState', { details: { StorageClass: storageClass } });
  }
}

function describeVersion(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  const { attributes } = version;
  const headers: Record<string, string> = {
    ...attributes.contentHeaders,
    etag: `"${version.etag}"`,
    'last-modified': new Date(version.modifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
  };
  for (const [name, value] of Object.entries(attributes.metadata))
    headers[`x-amz-meta-${name}`] = encodeMetadata(value);
  if (bucket.versioning !== 'never') headers['x-amz-version-id'] = version.versionId;
  const tagCount = attributes.tags?.length ?? 0;
  if (tagCount > 0) headers['x-amz-tagging-count'] = String(tagCount);
  if (attributes.storageClass !== 'STANDARD') headers['x-amz-storage-class'] = attributes.storageClass;
  headers['x-amz-server-side-encryption'] = attributes.serverSideEncryption ?? 'AES256';
  return headers;
}

/**
 * Metadata that is not ASCII comes back as RFC 2047 has it: the bytes that were sent, taken for Latin-1, as S3's
 * documentation shows it.
 */
function encodeMetadata(value: string): string {
  return /[^\t\u0020-\u007e]/.test(value) ? `=?UTF-8?B?${Buffer.from(value).toString('base64')}?=` : value;
}

function readOverrides(call: S3Call): Record<string, string> {
  const overrides: Record<string, string> = {};
  for (const name of overridableHeaders) {
    const value = queryValue(call.target, `response-${name}`);
    if (value === undefined) continue;
    if (call.authentication.kind === 'anonymous') {
      throw new S3Error('InvalidRequest', {
        message: 'Request specific response headers cannot be used for anonymous GET requests.',
      });
    }
    if (/[^\t\u0020-\u007e\u0080-\u00ff]/.test(value)) {
      throw invalidArgument(
        `response-${name}`,
        value,
        'Header value cannot be represented using ISO-8859-1.',
      );
    }
    overrides[name] = value;
  }
  return overrides;
}

function readWanted(
  call: S3Call,
  version: ObjectVersion,
  headers: Record<string, string>,
): { range: ByteRange | null; partChecksum?: ObjectVersion['checksum'] } {
  const partNumber = queryValue(call.target, 'partNumber');
  if (partNumber === undefined) {
    const ifRange = call.headers.get('if-range');
    const isSame =
      ifRange === undefined || listsTag(ifRange, version.etag) || Date.parse(ifRange) === version.modifiedMs;
    return { range: isSame ? readByteRange(call.headers.get('range'), version.sizeBytes) : null };
  }
  if (call.headers.has('range')) {
    throw new S3Error('InvalidRequest', {
      message: 'Cannot specify both Range header and partNumber query parameter',
    });
  }
  if (!/^\d{1,5}$/.test(partNumber) || Number(partNumber) < 1 || Number(partNumber) > 10_000) {
    throw invalidArgument(
      'partNumber',
      partNumber,
      'Part number must be an integer between 1 and 10000, inclusive',
    );
  }
  const wantedIndex = Number(partNumber) - 1;
  const sizes = version.parts?.map((part) => part.sizeBytes) ?? [version.sizeBytes];
  const sizeBytes = sizes[wantedIndex];
  if (sizeBytes === undefined) throw new S3Error('InvalidPartNumber');
  if (version.parts === null) return { range: sizeBytes === 0 ? null : { start: 0, end: sizeBytes - 1 } };
  headers['x-amz-mp-parts-count'] = String(sizes.length);
  const start = sizes.slice(0, wantedIndex).reduce((sum, size) => sum + size, 0);
  const range = sizeBytes === 0 ? null : { start, end: start + sizeBytes - 1 };
  return { range, partChecksum: version.parts[wantedIndex]?.checksum ?? null };
}
