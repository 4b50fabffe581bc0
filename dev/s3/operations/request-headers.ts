import { invalidArgument, notImplemented, S3Error } from '../protocol/errors.ts';
import type { QueryParameter } from '../protocol/request-target.ts';
import { owner } from './call.ts';

/** `x-amz-*` headers that the endpoint reads, or that ask for nothing. All others are refused by name. */
const understoodHeaders: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-crc32',
  'x-amz-checksum-crc32c',
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-mode',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
  'x-amz-checksum-type',
  'x-amz-content-sha256',
  'x-amz-copy-source',
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-if-modified-since',
  'x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-unmodified-since',
  'x-amz-copy-source-range',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-decoded-content-length',
  'x-amz-expires',
  'x-amz-max-parts',
  'x-amz-metadata-directive',
  'x-amz-object-attributes',
  'x-amz-part-number-marker',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-security-token',
  'x-amz-signature',
  'x-amz-signedheaders',
  'x-amz-storage-class',
  'x-amz-tagging',
  'x-amz-tagging-directive',
  'x-amz-trailer',
  'x-amz-user-agent',
]);

/** Headers that are understood with some values only: what they ask for is how the endpoint works anyway. */
const understoodValues: Readonly<Record<string, readonly string[]>> = {
  'x-amz-bucket-object-lock-enabled': ['false'],
  'x-amz-object-ownership': ['BucketOwnerEnforced'],
  'x-amz-request-payer': ['requester'],
  'x-amz-server-side-encryption': ['AES256'],
};

/** Canned access control lists that give nobody anything that they have not got. */
const ownerOnlyAcls: readonly string[] = ['private', 'bucket-owner-full-control'];

/** Query parameters that say who asks; they are no headers in disguise. */
const signatureParameters: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-content-sha256',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-security-token',
  'x-amz-signature',
  'x-amz-signedheaders',
]);

/** Adds what a presigned URL carries as `x-amz-*` parameters; real headers win. */
export function addHoistedHeaders(
  headers: ReadonlyMap<string, string>,
  query: readonly QueryParameter[],
): Map<string, string> {
  const merged = new Map(headers);
  for (const [name, value] of query) {
    const lowered = name.toLowerCase();
    if (lowered.startsWith('x-amz-') && !signatureParameters.has(lowered) && !merged.has(lowered)) {
      merged.set(lowered, value);
    }
  }
  return merged;
}

/**
 * Refuses headers that ask for something the endpoint does not do.
 *
 * @throws S3Error NotImplemented, or AccessDenied if another account is expected to own the bucket
 */
export function refuseUnknownHeaders(operation: string, headers: ReadonlyMap<string, string>): void {
  for (const [name, value] of headers) {
    if (!name.startsWith('x-amz-') || name.startsWith('x-amz-meta-') || understoodHeaders.has(name)) continue;
    if (understoodValues[name]?.includes(value) === true) continue;
    if (name === 'x-amz-expected-bucket-owner' || name === 'x-amz-source-expected-bucket-owner') {
      if (value === owner.accountId) continue;
      throw new S3Error('AccessDenied');
    }
    if (name === 'x-amz-acl' && ownerOnlyAcls.includes(value)) continue;
    if (name === 'x-amz-acl' || name.startsWith('x-amz-grant-')) {
      throw new S3Error(
        operation === 'CreateBucket'
          ? 'InvalidBucketAclWithObjectOwnership'
          : 'AccessControlListNotSupported',
      );
    }
    if (name === 'x-amz-mp-object-size' && /^\d+$/.test(value)) continue;
    throw notImplemented(`The header ${name} with this value`, { Header: name });
  }
}

/** Reads a whole number from a query parameter; `undefined` if it is absent. */
export function readCount(name: string, value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  if (!/^-?\d+$/.test(value)) {
    throw invalidArgument(name, value, `Provided ${name} not an integer or within integer range`);
  }
  const count = Number(value);
  if (count < 0 || count > 2_147_483_647) {
    throw invalidArgument(name, value, `Argument ${name} must be an integer between 0 and 2147483647`);
  }
  return count;
}
