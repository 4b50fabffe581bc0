import { readSmallBody } from '../protocol/request-body.ts';
import { queryValue } from '../protocol/request-target.ts';
import type { Bucket, ObjectVersion } from '../store/object-version.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { readTagDocument, renderTags } from './object-tags.ts';
import { findReadable } from './read-object.ts';

const maxBodyBytes = 64 * 1024;

export function getObjectTagging(call: S3Call): Reply {
  const { bucket, version } = findTagged(call);
  return xmlReply(renderTags(version.attributes.tags ?? []), taggedHeaders(bucket, version));
}

export async function putObjectTagging(call: S3Call): Promise<Reply> {
  findTagged(call);
  const document = (await readSmallBody(call.openBody(), call.headers, maxBodyBytes)).toString();
  const tags = readTagDocument(document);
  const { bucket, version } = findTagged(call);
  call.store.setAttributes(version, { ...version.attributes, tags });
  return { status: 200, headers: taggedHeaders(bucket, version) };
}

export function deleteObjectTagging(call: S3Call): Reply {
  const { bucket, version } = findTagged(call);
  call.store.setAttributes(version, { ...version.attributes, tags: [] });
  return { status: 204, headers: taggedHeaders(bucket, version) };
}

function findTagged(call: S3Call): { readonly bucket: Bucket; readonly version: ObjectVersion } {
  const bucket = requireBucket(call);
  return { bucket, version: findReadable(call, bucket, call.key, queryValue(call.target, 'versionId')) };
}

function taggedHeaders(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  return bucket.versioning === 'never' ? {} : { 'x-amz-version-id': version.versionId };
}
