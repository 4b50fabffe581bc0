import { notImplemented, S3Error, type S3ErrorCode } from '../protocol/errors.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import { type Operation, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';

/**
 * What S3 says of a bucket or an object that nobody has configured: nothing here can be configured, so these are
 * the only answers that there are.
 */
export const configurationOperations: readonly (readonly [name: string, run: Operation])[] = [
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
  ['GetBucketWebsite', noSuch('NoSuchWebsiteConfiguration')],
  ['GetObjectLegalHold', noObjectLock],
  ['GetObjectLockConfiguration', noSuch('ObjectLockConfigurationNotFoundError')],
  ['GetObjectRetention', noObjectLock],
  ['GetPublicAccessBlock', ofBucket(publicAccessDocument)],
  ['DeleteBucketCors', deleteNothing],
  ['DeleteBucketLifecycle', deleteNothing],
  ['DeleteBucketPolicy', deleteNothing],
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
