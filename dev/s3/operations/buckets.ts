import { invalidArgument, notImplemented, S3Error } from '../protocol/errors.ts';
import { readSmallBody } from '../protocol/request-body.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text } from '../protocol/xml.ts';
import { childText, readXml } from '../protocol/xml-reader.ts';
import { currentSecondMs, owner, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { readCount } from './request-headers.ts';

const maxConfigurationBytes = 64 * 1024;
const maxPageBuckets = 10_000;

export function listBuckets(call: S3Call): Reply {
  const prefix = queryValue(call.target, 'prefix') ?? '';
  const region = queryValue(call.target, 'bucket-region') ?? '';
  const token = queryValue(call.target, 'continuation-token') ?? '';
  const maxBuckets = readCount('max-buckets', queryValue(call.target, 'max-buckets')) ?? maxPageBuckets;
  if (maxBuckets < 1 || maxBuckets > maxPageBuckets) {
    throw invalidArgument(
      'max-buckets',
      String(maxBuckets),
      `Argument max-buckets must be an integer between 1 and ${maxPageBuckets}`,
    );
  }
  const listing = ['buckets', prefix, region];
  const position = token === '' ? null : call.store.tokens.open(token, listing);
  if (token !== '' && position === null) {
    throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
  }
  const after = position?.after.toString() ?? '';
  const left = call.store
    .listBuckets()
    .filter(({ name }) => name.startsWith(prefix) && name > after && (region || call.region) === call.region);
  const buckets = left.slice(0, maxBuckets);
  const last = buckets.at(-1);
  const nextToken =
    last === undefined || buckets.length === left.length
      ? null
      : call.store.tokens.seal({ after: Buffer.from(last.name), isPrefix: false }, listing);
  const document = parent('ListAllMyBucketsResult', [
    parent('Owner', [text('ID', owner.id), text('DisplayName', owner.displayName)]),
    parent(
      'Buckets',
      buckets.map((bucket) =>
        parent('Bucket', [
          text('Name', bucket.name),
          text('CreationDate', new Date(bucket.createdMs).toISOString()),
          text('BucketRegion', call.region),
        ]),
      ),
    ),
    prefix === '' ? null : text('Prefix', prefix),
    nextToken === null ? null : text('ContinuationToken', nextToken),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}

export function headBucket(call: S3Call): Reply {
  requireBucket(call);
  return {
    status: 200,
    headers: { 'x-amz-bucket-region': call.region, 'content-type': 'application/xml' },
  };
}

export async function createBucket(call: S3Call): Promise<Reply> {
  const configuration = (
    await readSmallBody(call.openBody(), call.headers, maxConfigurationBytes)
  ).toString();
  checkBucketName(call.bucketName);
  let location = '';
  if (configuration.trim() !== '') {
    const root = readXml(configuration);
    if (root.name !== 'CreateBucketConfiguration') throw new S3Error('MalformedXML');
    const other = root.children.find((child) => child.name !== 'LocationConstraint');
    if (other !== undefined) throw notImplemented(`CreateBucket with ${other.name}`);
    location = childText(root, 'LocationConstraint') ?? '';
  }
  checkLocation(location, call.region);
  if (!call.store.createBucket(call.bucketName, currentSecondMs(call))) {
    throw new S3Error('BucketAlreadyOwnedByYou', { details: { BucketName: call.bucketName } });
  }
  return { status: 200, headers: { location: `/${call.bucketName}` } };
}

/** The region has to be named everywhere but in us-east-1, where it must not be. */
function checkLocation(location: string, region: string): void {
  const wanted = region === 'us-east-1' ? '' : region;
  if (location === wanted) return;
  if (location === 'us-east-1') {
    throw new S3Error('InvalidLocationConstraint', { details: { LocationConstraint: location } });
  }
  throw new S3Error('IllegalLocationConstraintException', {
    message: `The ${location || 'unspecified'} location constraint is incompatible for the region specific endpoint this request was sent to.`,
  });
}

export function deleteBucket(call: S3Call): Reply {
  const bucket = requireBucket(call);
  if (!call.store.deleteBucket(bucket)) {
    throw new S3Error('BucketNotEmpty', { details: { BucketName: call.bucketName } });
  }
  return { status: 204 };
}

export function getBucketLocation(call: S3Call): Reply {
  requireBucket(call);
  // us-east-1 is the one region that S3 answers with nothing.
  const location = call.region === 'us-east-1' ? '' : call.region;
  return xmlReply(renderXml(text('LocationConstraint', location), 'with-namespace'));
}

export function getBucketVersioning(call: S3Call): Reply {
  const { versioning } = requireBucket(call);
  const children = versioning === 'never' ? [] : [text('Status', versioning)];
  return xmlReply(renderXml(parent('VersioningConfiguration', children), 'with-namespace'));
}

export async function putBucketVersioning(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  const root = readXml(
    (await readSmallBody(call.openBody(), call.headers, maxConfigurationBytes)).toString(),
  );
  const status = childText(root, 'Status');
  if (root.name !== 'VersioningConfiguration' || (status !== 'Enabled' && status !== 'Suspended')) {
    throw new S3Error('MalformedXML');
  }
  if (childText(root, 'MfaDelete') === 'Enabled') throw notImplemented('MFA delete');
  call.store.setVersioning(bucket, status);
  return { status: 200 };
}

/**
 * @throws S3Error InvalidBucketName for names that S3's general purpose buckets can't have
 */
export function checkBucketName(name: string): void {
  const isValid =
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !name.includes('..') &&
    !/^\d{1,3}(\.\d{1,3}){3}$/.test(name) &&
    !/^(xn--|sthree-|amzn-s3-demo-)/.test(name) &&
    !/(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/.test(name);
  if (!isValid) throw new S3Error('InvalidBucketName', { details: { BucketName: name } });
}
