import { invalidArgument } from '../protocol/errors.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import type { ListingPosition } from '../store/listing.ts';
import type { ObjectVersion } from '../store/object-version.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import {
  checksumElements,
  type ListingQuery,
  nameOf,
  ownerElement,
  prefixElements,
  readListingQuery,
} from './list-objects.ts';

export function listObjectVersions(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const query = readListingQuery(call);
  const keyMarker = queryValue(call.target, 'key-marker') ?? '';
  const versionMarker = queryValue(call.target, 'version-id-marker') ?? '';
  if (versionMarker !== '' && keyMarker === '') {
    throw invalidArgument(
      'version-id-marker',
      versionMarker,
      'A version-id marker cannot be specified without a key marker.',
    );
  }
  const position: ListingPosition | null =
    keyMarker === '' ? null : { after: Buffer.from(keyMarker), isPrefix: false };
  const page = call.store.listVersions(
    { ...query, bucketId: bucket.id, maxItems: query.maxKeys },
    position,
    versionMarker === '' ? null : readVersionMarker(call, bucket.id, keyMarker, versionMarker),
  );
  const last = page.truncatedAt;
  let previousKey = '';
  const entries: XmlElement[] = [];
  for (const item of page.items) {
    if (item.kind === 'prefix') continue;
    const isLatest =
      item.row.key !== previousKey &&
      (item.row.key !== keyMarker || call.store.newestId(bucket.id, keyMarker) === item.row.id);
    previousKey = item.row.key;
    entries.push(versionElement(item.row, query, isLatest));
  }
  const document = parent('ListVersionsResult', [
    text('Name', call.bucketName),
    text('Prefix', query.encode(query.prefix)),
    text('KeyMarker', query.encode(keyMarker)),
    text('VersionIdMarker', versionMarker),
    last === null ? null : text('NextKeyMarker', query.encode(nameOf(last))),
    last === null || last.kind === 'prefix' ? null : text('NextVersionIdMarker', last.row.versionId),
    text('MaxKeys', query.maxKeys),
    query.delimiter === '' ? null : text('Delimiter', query.encode(query.delimiter)),
    query.isUrlEncoded ? text('EncodingType', 'url') : null,
    text('IsTruncated', last !== null),
    ...entries,
    ...prefixElements(page.items, query),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}

/** The place of a version inside its key, also if it was deleted after the page that ended with it. */
function readVersionMarker(call: S3Call, bucketId: number, key: string, versionId: string): number {
  if (versionId === 'null') return call.store.findVersion(bucketId, key, 'null')?.id ?? 0;
  const id = call.store.versionIds.read(versionId);
  if (id === null) throw invalidArgument('version-id-marker', versionId, 'Invalid version id specified');
  return id;
}

function versionElement(version: ObjectVersion, query: ListingQuery, isLatest: boolean): XmlElement {
  const common = [
    text('Key', query.encode(version.key)),
    text('VersionId', version.versionId),
    text('IsLatest', isLatest),
    text('LastModified', new Date(version.modifiedMs).toISOString()),
  ];
  if (version.isDeleteMarker) return parent('DeleteMarker', [...common, ownerElement()]);
  return parent('Version', [
    ...common,
    text('ETag', `"${version.etag}"`),
    ...checksumElements(version),
    text('Size', version.sizeBytes),
    ownerElement(),
    text('StorageClass', version.attributes.storageClass),
  ]);
}
