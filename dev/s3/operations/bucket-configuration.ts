import { notImplemented, S3Error, type S3ErrorCode } from '../protocol/errors.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import { type Operation, owner, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { ownerElement } from './list-objects.ts';
import { findReadable } from './read-object.ts';

/**
 * What S3 says of a bucket or an object that nobody has configured: nothing here can be configured, so these are
 * the only answers that there are.
 */
export const configurationOperations: readonly (readonly [name: string, run: Operation])[] = [
  ['GetBucketAcl', ofBucket(aclDocument)],
  ['GetObjectAcl', getObjectAcl],
  ['PutBucketAcl', refuseAcl],
  ['PutObjectAcl', refuseAcl],
  ['GetBucketAccelerateConfiguration', ofBucket(() => parent('AccelerateConfiguration', []))],
  ['GetBucketCors', noSuch('NoSuchCORSConfiguration')],
  ['GetBucketEncryption', ofBucket(encryptionDocument)],
  ['GetBucketLifecycleConfiguration', noSuch('NoSuchLifecycleConfiguration')],
  ['GetBucketLogging', ofBucket(() => parent('BucketLoggingStatus', []))],
  ['GetBucketNotificationConfiguration', ofBucket(() => parent('NotificationConfiguration', []))],
  ['GetBucketOwnershipControls', ofBucket(ownershipDocument)],
  ['GetBucketPolicy', noPolicy],
  ['GetBucketPolicyStatus', noPolicy],
  ['GetBucketReplication', noSuch('ReplicationConfigurationNotFoundError')],
  ['GetBucketRequestPayment', ofBucket(requestPaymentDocument)],
  ['GetBucketTagging', noSuch('NoSuchTagSet')],
  ['GetBucketWebsite', noSuch('NoSuchWebsiteConfiguration')],
  ['GetObjectLegalHold', noObjectLock],
  ['GetObjectLockConfiguration', noSuch('ObjectLockConfigurationNotFoundError')],
  ['GetObjectRetention', noObjectLock],
  ['GetPublicAccessBlock', ofBucket(publicAccessDocument)],
  ['DeleteBucketCors', deleteNothing],
  ['DeleteBucketLifecycle', deleteNothing],
  ['DeleteBucketPolicy', deleteNothing],
  ['DeleteBucketTagging', deleteNothing],
  ['DeleteBucketWebsite', deleteNothing],
];

function ofBucket(describe: (call: S3Call) => XmlElement): Operation {
  return (call) => {
    requireBucket(call);
    return xmlReply(renderXml(describe(call), 'with-namespace'));
  };
}

function noSuch(code: S3ErrorCode): Operation {
  return (call) => {
    requireBucket(call);
    throw new S3Error(code, { details: { BucketName: call.bucketName } });
  };
}

function noPolicy(call: S3Call): Reply {
  requireBucket(call);
  refuseOfPublicBucket(call);
  throw new S3Error('NoSuchBucketPolicy', { details: { BucketName: call.bucketName } });
}

function deleteNothing(call: S3Call): Reply {
  requireBucket(call);
  return { status: 204 };
}

function getObjectAcl(call: S3Call): Reply {
  findReadable(call, requireBucket(call), call.key, queryValue(call.target, 'versionId'));
  return xmlReply(renderXml(aclDocument(), 'with-namespace'));
}

/** Access control lists are switched off, as they are in every new bucket of S3. */
function refuseAcl(call: S3Call): Reply {
  requireBucket(call);
  throw new S3Error('AccessControlListNotSupported');
}

function noObjectLock(call: S3Call): Reply {
  requireBucket(call);
  throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });
}

/** What makes a bucket public here is an option, which no policy of S3 spells. */
function refuseOfPublicBucket(call: S3Call): void {
  if (call.publicBuckets.has(call.bucketName)) {
    throw notImplemented('The configuration of a bucket that an option makes public');
  }
}

function aclDocument(): XmlElement {
  const grantee: XmlElement = {
    name: 'Grantee',
    attributes: {
      'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
      'xsi:type': 'CanonicalUser',
    },
    content: [text('ID', owner.id), text('DisplayName', owner.displayName)],
  };
  return parent('AccessControlPolicy', [
    ownerElement(),
    parent('AccessControlList', [parent('Grant', [grantee, text('Permission', 'FULL_CONTROL')])]),
  ]);
}

function encryptionDocument(): XmlElement {
  const byDefault = parent('ApplyServerSideEncryptionByDefault', [text('SSEAlgorithm', 'AES256')]);
  return parent('ServerSideEncryptionConfiguration', [
    parent('Rule', [byDefault, text('BucketKeyEnabled', false)]),
  ]);
}

function ownershipDocument(): XmlElement {
  return parent('OwnershipControls', [parent('Rule', [text('ObjectOwnership', 'BucketOwnerEnforced')])]);
}

function publicAccessDocument(call: S3Call): XmlElement {
  refuseOfPublicBucket(call);
  return parent('PublicAccessBlockConfiguration', [
    text('BlockPublicAcls', true),
    text('IgnorePublicAcls', true),
    text('BlockPublicPolicy', true),
    text('RestrictPublicBuckets', true),
  ]);
}

function requestPaymentDocument(call: S3Call): XmlElement {
  const payer = call.requesterPaysBuckets.has(call.bucketName) ? 'Requester' : 'BucketOwner';
  return parent('RequestPaymentConfiguration', [text('Payer', payer)]);
}
