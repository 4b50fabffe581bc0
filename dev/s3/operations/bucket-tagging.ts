import { S3Error } from '../protocol/errors.ts';
import { readSmallBody } from '../protocol/request-body.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { readTagDocument, renderTags } from './object-tags.ts';

const maxTags = 50;
const maxBodyBytes = 256 * 1024;

export function getBucketTagging(call: S3Call): Reply {
  const { tags } = requireBucket(call);
  if (tags.length === 0) throw new S3Error('NoSuchTagSet', { details: { BucketName: call.bucketName } });
  return xmlReply(renderTags(tags));
}

export async function putBucketTagging(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  const document = (await readSmallBody(call.openBody(), call.headers, maxBodyBytes)).toString();
  call.store.setBucketTags(bucket, readTagDocument(document, maxTags));
  return { status: 204 };
}

export function deleteBucketTagging(call: S3Call): Reply {
  call.store.setBucketTags(requireBucket(call), []);
  return { status: 204 };
}
