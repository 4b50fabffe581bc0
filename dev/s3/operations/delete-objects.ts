import { S3Error } from '../protocol/errors.ts';
import { readSmallBody } from '../protocol/request-body.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import { childText, type ReadElement, readXml } from '../protocol/xml-reader.ts';
import type { Deletion } from '../store/object-store.ts';
import type { Bucket } from '../store/object-version.ts';
import { currentSecondMs, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { listsTag, preconditionFailed } from './conditions.ts';
import { checkKey } from './object-attributes.ts';
import { checkVersionId } from './read-object.ts';

const maxKeys = 1000;
const maxBodyBytes = 2 * 1024 * 1024;

export function deleteObject(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const versionId = queryValue(call.target, 'versionId');
  checkIfMatch(call, bucket, call.key, versionId, call.headers.get('if-match'));
  const deletion = deleteOne(call, bucket, call.key, versionId);
  const headers: Record<string, string> = {};
  if (bucket.versioning !== 'never') {
    if (deletion.versionId !== null) headers['x-amz-version-id'] = deletion.versionId;
    if (deletion.isDeleteMarker) headers['x-amz-delete-marker'] = 'true';
  }
  return { status: 204, headers };
}

export async function deleteObjects(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  const hasDigest = [...call.headers.keys()].some(
    (name) => name === 'content-md5' || name === 'x-amz-trailer' || /^x-amz-checksum-(crc|sha)/.test(name),
  );
  if (!hasDigest) {
    throw new S3Error('InvalidRequest', { message: 'Missing required header for this request: Content-MD5' });
  }
  const body = await readSmallBody(call.openBody(), call.headers, maxBodyBytes);
  const root = readXml(body.toString());
  const objects = root.children.filter((child) => child.name === 'Object');
  if (root.name !== 'Delete' || objects.length === 0 || objects.length > maxKeys) {
    throw new S3Error('MalformedXML');
  }
  const isQuiet = childText(root, 'Quiet') === 'true';
  const results = call.store.transaction(() =>
    objects.map((object) => deleteListed(call, bucket, object, isQuiet)),
  );
  return xmlReply(renderXml(parent('DeleteResult', results), 'with-namespace'));
}

function deleteListed(
  call: S3Call,
  bucket: Bucket,
  object: ReadElement,
  isQuiet: boolean,
): XmlElement | null {
  const key = childText(object, 'Key');
  if (key === undefined || key === '') throw new S3Error('MalformedXML');
  const versionId = childText(object, 'VersionId') || undefined;
  try {
    checkKey(key);
    checkIfMatch(call, bucket, key, versionId, childText(object, 'ETag'));
    const deletion = deleteOne(call, bucket, key, versionId);
    if (isQuiet) return null;
    const isVersioned = bucket.versioning !== 'never';
    return parent('Deleted', [
      text('Key', key),
      versionId === undefined ? null : text('VersionId', versionId),
      isVersioned && deletion.isDeleteMarker ? text('DeleteMarker', true) : null,
      isVersioned && deletion.isDeleteMarker && deletion.versionId !== null
        ? text('DeleteMarkerVersionId', deletion.versionId)
        : null,
    ]);
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    return parent('Error', [
      text('Key', key),
      versionId === undefined ? null : text('VersionId', versionId),
      text('Code', error.code),
      text('Message', error.message),
    ]);
  }
}

function deleteOne(call: S3Call, bucket: Bucket, key: string, versionId: string | undefined): Deletion {
  if (versionId === undefined) return call.store.deleteCurrent(bucket, key, currentSecondMs(call));
  checkVersionId(call, versionId);
  return call.store.deleteVersion(bucket.id, key, versionId);
}

function checkIfMatch(
  call: S3Call,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
  ifMatch: string | undefined,
): void {
  if (ifMatch === undefined) return;
  const version = call.store.findVersion(bucket.id, key, versionId);
  if (version === null || version.isDeleteMarker) throw new S3Error('NoSuchKey', { details: { Key: key } });
  if (!listsTag(ifMatch, version.etag)) throw preconditionFailed('If-Match');
}
