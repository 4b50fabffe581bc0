import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text } from '../protocol/xml.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { initiatorElement, ownerElement } from './list-objects.ts';
import { readParts, requireUpload } from './multipart-uploads.ts';
import { readCount } from './request-headers.ts';

const maxPageParts = 1000;

export function listParts(call: S3Call): Reply {
  requireBucket(call);
  const upload = requireUpload(call);
  const maxParts = Math.min(
    readCount('max-parts', queryValue(call.target, 'max-parts')) ?? maxPageParts,
    maxPageParts,
  );
  const marker = readCount('part-number-marker', queryValue(call.target, 'part-number-marker')) ?? 0;
  const left = readParts(call, upload.id).filter((part) => part.number > marker);
  const page = left.slice(0, maxParts);
  const document = parent('ListPartsResult', [
    text('Bucket', call.bucketName),
    text('Key', call.key),
    text('UploadId', upload.id),
    initiatorElement(),
    ownerElement(),
    text('StorageClass', upload.attributes.storageClass),
    text('PartNumberMarker', marker),
    text('NextPartNumberMarker', page.at(-1)?.number ?? 0),
    text('MaxParts', maxParts),
    text('IsTruncated', page.length > 0 && page.length < left.length),
    // Without an algorithm of the client's choice, S3 keeps a checksum of the whole object only.
    upload.checksumAlgorithm === null ? null : text('ChecksumAlgorithm', upload.checksumAlgorithm),
    upload.checksumAlgorithm === null ? null : text('ChecksumType', upload.checksumType),
    ...page.map((part) =>
      parent('Part', [
        text('PartNumber', part.number),
        text('LastModified', new Date(part.modifiedMs).toISOString()),
        text('ETag', `"${part.etag}"`),
        text('Size', part.sizeBytes),
        upload.checksumAlgorithm === null
          ? null
          : text(`Checksum${part.checksum.algorithm}`, part.checksum.value),
      ]),
    ),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}
