import {
  type BucketLocationConstraint,
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCorsCommand,
  DeleteBucketLifecycleCommand,
  DeleteBucketPolicyCommand,
  DeleteBucketWebsiteCommand,
  GetBucketAccelerateConfigurationCommand,
  GetBucketAclCommand,
  GetBucketCorsCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketLocationCommand,
  GetBucketLoggingCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketPolicyStatusCommand,
  GetBucketReplicationCommand,
  GetBucketRequestPaymentCommand,
  GetBucketWebsiteCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  GetPublicAccessBlockCommand,
  type Grant,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutBucketAclCommand,
  PutBucketPolicyCommand,
  PutObjectAclCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { readError, startEndpoint, useEndpoint } from './running-endpoint.ts';
import { sendSigned } from './signed-request.ts';

const Bucket = 'data';
const endpoint = useEndpoint({
  buckets: [Bucket, 'paid', 'open-data'],
  requesterPaysBuckets: ['paid'],
  publicBuckets: ['open-data'],
});
beforeAll(async () => {
  for (const bucket of [Bucket, 'paid']) await endpoint.s3.seedObjects(bucket, [{ key: 'k', body: 'x' }]);
});

test.each([
  [new GetBucketCorsCommand({ Bucket }), 404, 'NoSuchCORSConfiguration'],
  [new GetBucketLifecycleConfigurationCommand({ Bucket }), 404, 'NoSuchLifecycleConfiguration'],
  [new GetBucketPolicyCommand({ Bucket }), 404, 'NoSuchBucketPolicy'],
  [new GetBucketPolicyStatusCommand({ Bucket }), 404, 'NoSuchBucketPolicy'],
  [new GetBucketReplicationCommand({ Bucket }), 404, 'ReplicationConfigurationNotFoundError'],
  [new GetBucketWebsiteCommand({ Bucket }), 404, 'NoSuchWebsiteConfiguration'],
  [new GetObjectLockConfigurationCommand({ Bucket }), 404, 'ObjectLockConfigurationNotFoundError'],
  [new GetObjectLegalHoldCommand({ Bucket, Key: 'k' }), 400, 'InvalidRequest'],
  [new GetObjectRetentionCommand({ Bucket, Key: 'k' }), 400, 'InvalidRequest'],
  [new GetBucketCorsCommand({ Bucket: 'nowhere' }), 404, 'NoSuchBucket'],
  [new GetObjectAclCommand({ Bucket, Key: 'missing' }), 404, 'NoSuchKey'],
  [new PutBucketPolicyCommand({ Bucket, Policy: '{}' }), 501, 'NotImplemented'],
  [new GetBucketPolicyCommand({ Bucket: 'open-data' }), 501, 'NotImplemented'],
  [new PutObjectCommand({ Bucket, Key: 'k', ACL: 'public-read' }), 400, 'AccessControlListNotSupported'],
  [new PutObjectCommand({ Bucket, Key: 'k', GrantRead: 'id=1' }), 400, 'AccessControlListNotSupported'],
  [
    new CreateBucketCommand({ Bucket: 'public', ACL: 'public-read' }),
    400,
    'InvalidBucketAclWithObjectOwnership',
  ],
])('case %#: what nobody has configured is answered as S3 does', async (command, status, name) => {
  await expect(endpoint.client.send(command as GetBucketCorsCommand)).rejects.toMatchObject({
    name,
    $metadata: { httpStatusCode: status },
  });
});

test('defaults of a new bucket', async () => {
  const { client } = endpoint;
  const acl = await client.send(new GetBucketAclCommand({ Bucket }));
  expect(acl.Grants).toEqual([
    { Grantee: { Type: 'CanonicalUser', ...acl.Owner }, Permission: 'FULL_CONTROL' },
  ]);
  expect((await client.send(new GetObjectAclCommand({ Bucket, Key: 'k' }))).Grants).toEqual(acl.Grants);
  expect(
    (await client.send(new GetBucketEncryptionCommand({ Bucket }))).ServerSideEncryptionConfiguration?.Rules,
  ).toEqual([{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' }, BucketKeyEnabled: false }]);
  expect((await client.send(new GetBucketLoggingCommand({ Bucket }))).LoggingEnabled).toBeUndefined();
  expect(
    (await client.send(new GetBucketOwnershipControlsCommand({ Bucket }))).OwnershipControls?.Rules,
  ).toEqual([{ ObjectOwnership: 'BucketOwnerEnforced' }]);
  expect(
    (await client.send(new GetPublicAccessBlockCommand({ Bucket }))).PublicAccessBlockConfiguration,
  ).toEqual({
    BlockPublicAcls: true,
    IgnorePublicAcls: true,
    BlockPublicPolicy: true,
    RestrictPublicBuckets: true,
  });
  const notifications = await client.send(new GetBucketNotificationConfigurationCommand({ Bucket }));
  expect(notifications.QueueConfigurations ?? notifications.TopicConfigurations).toBeUndefined();
  const acceleration = await client.send(new GetBucketAccelerateConfigurationCommand({ Bucket }));
  expect(acceleration.Status).toBeUndefined();
  for (const command of [
    new DeleteBucketPolicyCommand({ Bucket }),
    new DeleteBucketCorsCommand({ Bucket }),
    new DeleteBucketLifecycleCommand({ Bucket }),
    new DeleteBucketWebsiteCommand({ Bucket }),
  ])
    expect((await client.send(command)).$metadata.httpStatusCode).toBe(204);
});

test('the only access control list that can be set is the one that is there', async () => {
  const { client } = endpoint;
  const { Owner, Grants } = await client.send(new GetBucketAclCommand({ Bucket }));
  const setList = (grants: Grant[] | undefined) =>
    client.send(
      new PutObjectAclCommand({ Bucket, Key: 'k', AccessControlPolicy: { Owner, Grants: grants } }),
    );
  await setList(Grants);
  const everybody = 'http://acs.amazonaws.com/groups/global/AllUsers';
  const grant: Grant = { Grantee: { Type: 'Group', URI: everybody }, Permission: 'READ' };
  const refused = { name: 'AccessControlListNotSupported', $metadata: { httpStatusCode: 400 } };
  await expect(setList([...(Grants ?? []), grant])).rejects.toMatchObject(refused);
  await client.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }));
  await expect(client.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read' }))).rejects.toMatchObject(
    refused,
  );
});

test('a bucket whose requester pays refuses those who do not say that they do', async () => {
  const { client } = endpoint;
  const RequestPayer = 'requester' as const;
  const get = { Bucket: 'paid', Key: 'k' };
  const denied = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };
  await expect(client.send(new GetObjectCommand(get))).rejects.toMatchObject(denied);
  await expect(client.send(new ListObjectsV2Command({ Bucket: 'paid' }))).rejects.toMatchObject(denied);
  const fromPaid = { Bucket, Key: 'copied', CopySource: 'paid/k' };
  await expect(client.send(new CopyObjectCommand(fromPaid))).rejects.toMatchObject(denied);
  await client.send(new CopyObjectCommand({ ...fromPaid, RequestPayer }));
  const got = await client.send(new GetObjectCommand({ ...get, RequestPayer }));
  expect([got.RequestCharged, await got.Body?.transformToString()]).toEqual(['requester', 'x']);
  expect((await client.send(new GetObjectCommand({ Bucket, Key: 'k' }))).RequestCharged).toBeUndefined();
  const byUrl = await fetch(await getSignedUrl(client, new GetObjectCommand({ ...get, RequestPayer })));
  expect([byUrl.status, await byUrl.text()]).toEqual([200, 'x']);
  const without = await fetch(await getSignedUrl(client, new GetObjectCommand(get)));
  expect(without.headers.has('x-amz-request-charged')).toBe(false);
  expect(await readError(without)).toMatchObject({ status: 403, code: 'AccessDenied' });
  const payerOf = async (bucket: string) =>
    (await client.send(new GetBucketRequestPaymentCommand({ Bucket: bucket }))).Payer;
  expect(await payerOf(Bucket)).toBe('BucketOwner');
});

test('buckets are listed in pages', async () => {
  for (const name of ['list-b', 'list-a', 'list-c']) endpoint.s3.createBucket(name);
  const list = (extra: object) => endpoint.client.send(new ListBucketsCommand({ Prefix: 'list-', ...extra }));
  const first = await list({ MaxBuckets: 2 });
  expect(first.Buckets?.map(({ Name }) => Name)).toEqual(['list-a', 'list-b']);
  const ContinuationToken = first.ContinuationToken;
  const rest = await list({ MaxBuckets: 2, ContinuationToken });
  expect([rest.Buckets?.map(({ Name }) => Name), rest.ContinuationToken]).toEqual([['list-c'], undefined]);
  expect((await list({ BucketRegion: 'eu-west-1' })).Buckets ?? []).toEqual([]);
  await expect(list({ Prefix: 'other', ContinuationToken })).rejects.toMatchObject({
    name: 'InvalidArgument',
  });
  await expect(list({ MaxBuckets: 0 })).rejects.toMatchObject({ name: 'InvalidArgument' });
});

test('a bucket of another region is not made here, and us-east-1 must not be named', async () => {
  const make = (location: string) => {
    const LocationConstraint = location as BucketLocationConstraint;
    const CreateBucketConfiguration = { LocationConstraint };
    return endpoint.client.send(new CreateBucketCommand({ Bucket: 'elsewhere', CreateBucketConfiguration }));
  };
  await expect(make('eu-west-1')).rejects.toMatchObject({ name: 'IllegalLocationConstraintException' });
  await expect(make('us-east-1')).rejects.toMatchObject({ name: 'InvalidLocationConstraint' });
});

test('everywhere but in us-east-1 a new bucket has to name its region', async () => {
  const elsewhere = await startEndpoint({ region: 'eu-west-1' });
  onTestFinished(() => elsewhere.stop());
  const { settings } = elsewhere.s3;
  // The SDK would add the region by itself.
  expect(await sendSigned(settings, { method: 'PUT', path: '/unnamed' })).toMatchObject({
    status: 400,
    text: expect.stringContaining('<Code>IllegalLocationConstraintException</Code>'),
  });
  await elsewhere.client.send(new CreateBucketCommand({ Bucket: 'named' }));
  const { LocationConstraint } = await elsewhere.client.send(
    new GetBucketLocationCommand({ Bucket: 'named' }),
  );
  expect(LocationConstraint).toBe('eu-west-1');
});
