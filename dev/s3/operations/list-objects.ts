import { invalidArgument } from '../protocol/errors.ts';
import { queryValue } from '../protocol/request-target.ts';
import { encodeForListing } from '../protocol/uri.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import type { ListingItem, ListingPosition } from '../store/listing.ts';
import type { ObjectVersion } from '../store/object-version.ts';
import { owner, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { readCount } from './request-headers.ts';

const maxPageKeys = 1000;

/** What all listings read from the query. */
export interface ListingQuery {
  readonly prefix: string;
  readonly delimiter: string;
  /** At most 1,000, whatever was asked for. */
  readonly maxKeys: number;
  readonly isUrlEncoded: boolean;
  readonly encode: (value: string) => string;
}

/** @param countName what the size of a page is called */
export function readListingQuery(call: S3Call, countName = 'max-keys'): ListingQuery {
  const encodingType = queryValue(call.target, 'encoding-type');
  if (encodingType !== undefined && encodingType !== 'url') {
    throw invalidArgument('encoding-type', encodingType, 'Invalid Encoding Method specified in Request');
  }
  const isUrlEncoded = encodingType === 'url';
  return {
    prefix: queryValue(call.target, 'prefix') ?? '',
    delimiter: queryValue(call.target, 'delimiter') ?? '',
    maxKeys: Math.min(readCount(countName, queryValue(call.target, countName)) ?? maxPageKeys, maxPageKeys),
    isUrlEncoded,
    encode: isUrlEncoded ? encodeForListing : (value) => value,
  };
}

export function listObjectsV2(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const listType = queryValue(call.target, 'list-type');
  if (listType !== '2')
    throw invalidArgument('list-type', listType ?? '', 'Invalid List Type specified in Request');
  const query = readListingQuery(call);
  const token = queryValue(call.target, 'continuation-token');
  const startAfter = queryValue(call.target, 'start-after') ?? '';
  const withOwner = queryValue(call.target, 'fetch-owner') === 'true';
  // The key of a bucket that was made anew is another one: its id, not its name, goes into the token.
  const listing = [String(bucket.id), query.prefix, query.delimiter];
  let position: ListingPosition | null =
    startAfter === '' ? null : { after: Buffer.from(startAfter), isPrefix: false };
  if (token !== undefined) {
    position = call.store.tokens.open(token, listing);
    if (position === null) {
      throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
    }
  }
  const page = call.store.listCurrent({ ...query, bucketId: bucket.id, maxItems: query.maxKeys }, position);
  const nextToken =
    page.truncatedAt === null ? null : call.store.tokens.seal(positionOf(page.truncatedAt), listing);
  const document = parent('ListBucketResult', [
    text('Name', call.bucketName),
    text('Prefix', query.encode(query.prefix)),
    startAfter === '' ? null : text('StartAfter', query.encode(startAfter)),
    token === undefined ? null : text('ContinuationToken', token),
    nextToken === null ? null : text('NextContinuationToken', nextToken),
    text('KeyCount', page.items.length),
    text('MaxKeys', query.maxKeys),
    query.delimiter === '' ? null : text('Delimiter', query.encode(query.delimiter)),
    query.isUrlEncoded ? text('EncodingType', 'url') : null,
    text('IsTruncated', nextToken !== null),
    ...contentsElements(page.items, query, withOwner),
    ...prefixElements(page.items, query),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}

export function listObjects(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const query = readListingQuery(call);
  const marker = queryValue(call.target, 'marker') ?? '';
  const position = marker === '' ? null : { after: Buffer.from(marker), isPrefix: false };
  const page = call.store.listCurrent({ ...query, bucketId: bucket.id, maxItems: query.maxKeys }, position);
  const last = page.truncatedAt;
  const document = parent('ListBucketResult', [
    text('Name', call.bucketName),
    text('Prefix', query.encode(query.prefix)),
    text('Marker', query.encode(marker)),
    // Without a delimiter S3 leaves it to the client to take the last key.
    last === null || query.delimiter === '' ? null : text('NextMarker', query.encode(nameOf(last))),
    text('MaxKeys', query.maxKeys),
    query.delimiter === '' ? null : text('Delimiter', query.encode(query.delimiter)),
    query.isUrlEncoded ? text('EncodingType', 'url') : null,
    text('IsTruncated', last !== null),
    ...contentsElements(page.items, query, true),
    ...prefixElements(page.items, query),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}

export function ownerElement(): XmlElement {
  return parent('Owner', [text('ID', owner.id), text('DisplayName', owner.displayName)]);
}

/** Who began an upload. */
export function initiatorElement(): XmlElement {
  return parent('Initiator', [text('ID', owner.id), text('DisplayName', owner.displayName)]);
}

/** The name of an item as a client would use it for a marker. */
export function nameOf(item: ListingItem<ObjectVersion>): string {
  return item.kind === 'row' ? item.row.key : item.prefix.toString();
}

export function prefixElements(items: readonly ListingItem<unknown>[], query: ListingQuery): XmlElement[] {
  return items
    .filter((item) => item.kind === 'prefix')
    .map((item) => parent('CommonPrefixes', [text('Prefix', query.encode(item.prefix.toString()))]));
}

export function checksumElements(version: ObjectVersion): XmlElement[] {
  if (version.checksum === null) return [];
  return [text('ChecksumAlgorithm', version.checksum.algorithm), text('ChecksumType', version.checksum.type)];
}

function positionOf(item: ListingItem<ObjectVersion>): ListingPosition {
  return item.kind === 'row'
    ? { after: Buffer.from(item.row.key), isPrefix: false }
    : { after: item.prefix, isPrefix: true };
}

function contentsElements(
  items: readonly ListingItem<ObjectVersion>[],
  query: ListingQuery,
  withOwner: boolean,
): XmlElement[] {
  return items
    .filter((item) => item.kind === 'row')
    .map(({ row }) =>
      parent('Contents', [
        text('Key', query.encode(row.key)),
        text('LastModified', new Date(row.modifiedMs).toISOString()),
        text('ETag', `"${row.etag}"`),
        ...checksumElements(row),
        text('Size', row.sizeBytes),
        withOwner ? ownerElement() : null,
        text('StorageClass', row.attributes.storageClass),
      ]),
    );
}
