import { invalidArgument, S3Error } from '../protocol/errors.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import type { ObjectVersion } from '../store/object-version.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { findReadable } from './read-object.ts';
import { readCount } from './request-headers.ts';

const attributeNames = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];
const maxPageParts = 1000;

export function getObjectAttributes(call: S3Call): Reply {
  const bucket = requireBucket(call);
  const version = findReadable(call, bucket, call.key, queryValue(call.target, 'versionId'));
  const header = call.headers.get('x-amz-object-attributes') ?? '';
  const wanted = new Set(header.split(',').map((name) => name.trim()));
  if (header === '') {
    throw invalidArgument(
      'x-amz-object-attributes',
      header,
      'The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty',
    );
  }
  if ([...wanted].some((name) => !attributeNames.includes(name))) {
    throw invalidArgument('x-amz-object-attributes', header, 'Invalid attribute name specified.');
  }
  const { checksum } = version;
  const document = parent('GetObjectAttributesResponse', [
    // The one place where S3 writes an entity tag without its quotes.
    wanted.has('ETag') ? text('ETag', version.etag) : null,
    wanted.has('Checksum') && checksum !== null
      ? parent('Checksum', [
          text(`Checksum${checksum.algorithm}`, checksum.value.replace(/-\d+$/, '')),
          text('ChecksumType', checksum.type),
        ])
      : null,
    wanted.has('ObjectParts') ? partsElement(call, version) : null,
    wanted.has('StorageClass') ? text('StorageClass', version.attributes.storageClass) : null,
    wanted.has('ObjectSize') ? text('ObjectSize', version.sizeBytes) : null,
  ]);
  return xmlReply(renderXml(document, 'with-namespace'), {
    'last-modified': new Date(version.modifiedMs).toUTCString(),
    ...(bucket.versioning === 'never' ? {} : { 'x-amz-version-id': version.versionId }),
  });
}

/** Parts by themselves are told only of objects whose checksum is made of those of the parts. */
function partsElement(call: S3Call, version: ObjectVersion): XmlElement | null {
  const { parts, checksum } = version;
  if (parts === null) return null;
  const count = text('PartsCount', parts.length);
  if (checksum?.type !== 'COMPOSITE') return parent('ObjectParts', [count]);
  const maxParts = Math.min(
    readCount('x-amz-max-parts', call.headers.get('x-amz-max-parts')) ?? maxPageParts,
    maxPageParts,
  );
  const marker = readCount('x-amz-part-number-marker', call.headers.get('x-amz-part-number-marker')) ?? 0;
  if (maxParts === 0) throw new S3Error('InvalidArgument', { message: 'x-amz-max-parts must be at least 1' });
  const left = parts.filter((part) => part.number > marker);
  const page = left.slice(0, maxParts);
  return parent('ObjectParts', [
    count,
    text('PartNumberMarker', marker),
    text('NextPartNumberMarker', page.at(-1)?.number ?? 0),
    text('MaxParts', maxParts),
    text('IsTruncated', page.length < left.length),
    ...page.map((part) =>
      parent('Part', [
        text('PartNumber', part.number),
        text('Size', part.sizeBytes),
        part.checksum === null ? null : text(`Checksum${part.checksum.algorithm}`, part.checksum.value),
      ]),
    ),
  ]);
}
