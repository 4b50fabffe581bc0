import { readAlgorithm } from '../protocol/checksums.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import { viewBytes } from '../store/byte-order.ts';
import { type ListingItem, walkListing } from '../store/listing.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import {
  initiatorElement,
  type ListingQuery,
  ownerElement,
  prefixElements,
  readListingQuery,
} from './list-objects.ts';

/** An upload under way as a listing shows it. */
interface ListedUpload {
  readonly key: string;
  readonly id: string;
  readonly initiatedMs: number;
  readonly storageClass: string;
  readonly checksumAlgorithm: string | null;
  readonly checksumType: string;
}

export function listMultipartUploads(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const query = readListingQuery(call, 'max-uploads');
  const keyMarker = queryValue(call.target, 'key-marker') ?? '';
  // S3 ignores the marker of an upload that comes without the marker of its key.
  const uploadMarker = keyMarker === '' ? '' : (queryValue(call.target, 'upload-id-marker') ?? '');
  const columns = 'SELECT * FROM uploads INDEXED BY uploads_by_key WHERE bucket = ?';
  const page = walkListing<ListedUpload>({
    prefix: Buffer.from(query.prefix),
    delimiter: Buffer.from(query.delimiter),
    maxItems: query.maxKeys,
    position: keyMarker === '' ? null : { after: Buffer.from(keyMarker), isPrefix: false },
    keyOf: ({ key }) => Buffer.from(key),
    seek: (from, to) =>
      readUploads(call.store, `${columns} AND key >= ? AND key < ? ORDER BY key, id`, [bucket.id, from, to]),
    ...(uploadMarker === ''
      ? {}
      : {
          firstRows: readUploads(call.store, `${columns} AND key = ? AND id > ? ORDER BY id`, [
            bucket.id,
            Buffer.from(keyMarker),
            uploadMarker,
          ]),
        }),
  });
  const last = page.truncatedAt;
  const document = parent('ListMultipartUploadsResult', [
    text('Bucket', call.bucketName),
    text('KeyMarker', query.encode(keyMarker)),
    text('UploadIdMarker', uploadMarker),
    last === null ? null : text('NextKeyMarker', query.encode(keyOf(last))),
    last === null ? null : text('NextUploadIdMarker', last.kind === 'row' ? last.row.id : ''),
    text('Prefix', query.encode(query.prefix)),
    query.delimiter === '' ? null : text('Delimiter', query.encode(query.delimiter)),
    query.isUrlEncoded ? text('EncodingType', 'url') : null,
    text('MaxUploads', query.maxKeys),
    text('IsTruncated', last !== null),
    ...page.items.filter((item) => item.kind === 'row').map(({ row }) => uploadElement(row, query)),
    ...prefixElements(page.items, query),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}

function* readUploads(
  store: ObjectStore,
  sql: string,
  values: (string | number | Uint8Array)[],
): Generator<ListedUpload> {
  for (const row of store.prepare(sql).iterate(...values)) {
    yield {
      key: viewBytes(row['key']).toString(),
      id: String(row['id']),
      initiatedMs: Number(row['initiated_ms']),
      storageClass: (JSON.parse(String(row['attributes'])) as { storageClass: string }).storageClass,
      checksumAlgorithm: readAlgorithm(String(row['checksum_algorithm'])) ?? null,
      checksumType: String(row['checksum_type']),
    };
  }
}

function keyOf(item: ListingItem<ListedUpload>): string {
  return item.kind === 'row' ? item.row.key : item.prefix.toString();
}

function uploadElement(upload: ListedUpload, query: ListingQuery): XmlElement {
  return parent('Upload', [
    text('Key', query.encode(upload.key)),
    text('UploadId', upload.id),
    initiatorElement(),
    ownerElement(),
    text('StorageClass', upload.storageClass),
    text('Initiated', new Date(upload.initiatedMs).toISOString()),
    upload.checksumAlgorithm === null ? null : text('ChecksumAlgorithm', upload.checksumAlgorithm),
    upload.checksumAlgorithm === null ? null : text('ChecksumType', upload.checksumType),
  ]);
}
