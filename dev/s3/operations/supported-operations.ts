import { getBucketAcl, getObjectAcl, putAcl } from './access-control.ts';
import { configurationOperations } from './bucket-configuration.ts';
import { deleteBucketTagging, getBucketTagging, putBucketTagging } from './bucket-tagging.ts';
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  getBucketVersioning,
  headBucket,
  listBuckets,
  putBucketVersioning,
} from './buckets.ts';
import type { Operation } from './call.ts';
import { completeMultipartUpload } from './complete-multipart-upload.ts';
import { copyObject } from './copy-object.ts';
import { deleteObject, deleteObjects } from './delete-objects.ts';
import { getObjectAttributes } from './get-object-attributes.ts';
import { listMultipartUploads } from './list-multipart-uploads.ts';
import { listObjectVersions } from './list-object-versions.ts';
import { listObjects, listObjectsV2 } from './list-objects.ts';
import { listParts } from './list-parts.ts';
import {
  abortMultipartUpload,
  createMultipartUpload,
  uploadPart,
  uploadPartCopy,
} from './multipart-uploads.ts';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './object-tagging.ts';
import { readObject } from './read-object.ts';
import { putObject } from './write-object.ts';

/** What the endpoint does; everything else that S3 has is answered with NotImplemented and its name. */
export const supportedOperations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['AbortMultipartUpload', abortMultipartUpload],
  ['CompleteMultipartUpload', completeMultipartUpload],
  ['CopyObject', copyObject],
  ['CreateBucket', createBucket],
  ['CreateMultipartUpload', createMultipartUpload],
  ['DeleteBucket', deleteBucket],
  ['DeleteBucketTagging', deleteBucketTagging],
  ['DeleteObject', deleteObject],
  ['DeleteObjectTagging', deleteObjectTagging],
  ['DeleteObjects', deleteObjects],
  ['GetBucketAcl', getBucketAcl],
  ['GetBucketLocation', getBucketLocation],
  ['GetBucketTagging', getBucketTagging],
  ['GetBucketVersioning', getBucketVersioning],
  ['GetObject', readObject],
  ['GetObjectAcl', getObjectAcl],
  ['GetObjectAttributes', getObjectAttributes],
  ['GetObjectTagging', getObjectTagging],
  ['HeadBucket', headBucket],
  ['HeadObject', readObject],
  ['ListBuckets', listBuckets],
  ['ListMultipartUploads', listMultipartUploads],
  ['ListObjectVersions', listObjectVersions],
  ['ListObjects', listObjects],
  ['ListObjectsV2', listObjectsV2],
  ['ListParts', listParts],
  ['PutBucketAcl', putAcl],
  ['PutBucketTagging', putBucketTagging],
  ['PutBucketVersioning', putBucketVersioning],
  ['PutObject', putObject],
  ['PutObjectAcl', putAcl],
  ['PutObjectTagging', putObjectTagging],
  ['UploadPart', uploadPart],
  ['UploadPartCopy', uploadPartCopy],
  ...configurationOperations,
]);

/** What a public bucket lets everybody do. */
export const publicOperations: ReadonlySet<string> = new Set([
  'GetBucketLocation',
  'GetObject',
  'HeadBucket',
  'HeadObject',
  'ListObjects',
  'ListObjectsV2',
]);
