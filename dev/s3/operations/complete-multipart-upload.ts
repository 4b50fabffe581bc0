import { createHash } from 'node:crypto';
import {
  checksumHeader,
  checksumMismatch,
  createChecksum,
  type StoredChecksum,
} from '../protocol/checksums.ts';
import { S3Error } from '../protocol/errors.ts';
import { readSmallBody } from '../protocol/request-body.ts';
import { parent, renderXml, text } from '../protocol/xml.ts';
import { childText, readXml } from '../protocol/xml-reader.ts';
import { type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { readParts, requireUpload, type Upload, type UploadedPart } from './multipart-uploads.ts';
import { openContent } from './open-content.ts';
import { checkWriteConditions, encryptionHeaders, versionHeaders } from './write-object.ts';

const minPartBytes = 5 * 1024 * 1024;
const maxBodyBytes = 4 * 1024 * 1024;

/** Makes an object of the parts that the client names; their bytes are not copied. */
export async function completeMultipartUpload(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  const upload = requireUpload(call);
  // The headers with a checksum are about the object, not about this document.
  const documentHeaders = new Map([...call.headers].filter(([name]) => !name.startsWith('x-amz-checksum-')));
  const document = await readSmallBody(call.openBody(), documentHeaders, maxBodyBytes);
  const type = call.headers.get('x-amz-checksum-type');
  if (type !== undefined && type !== upload.checksumType) {
    throw new S3Error('InvalidRequest', {
      message: `The upload was created using the ${upload.checksumType} checksum mode. The complete request must use the same checksum mode.`,
    });
  }
  const parts = chooseParts(document.toString(), upload, readParts(call, upload.id));
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  const declaredSize = call.headers.get('x-amz-mp-object-size');
  if (declaredSize !== undefined && Number(declaredSize) !== sizeBytes) {
    throw new S3Error('InvalidRequest', {
      message: `The provided 'x-amz-mp-object-size' header value ${declaredSize} does not match what was computed: ${sizeBytes}`,
    });
  }
  const checksum = await computeChecksum(call, upload, parts, sizeBytes);
  const expected = call.headers.get(checksumHeader(checksum.algorithm));
  if (
    expected !== undefined &&
    expected !== checksum.value &&
    `${expected}-${parts.length}` !== checksum.value
  ) {
    throw checksumMismatch(checksum.algorithm);
  }
  const digests = Buffer.concat(parts.map((part) => Buffer.from(part.etag, 'hex')));
  const etag = `${createHash('md5').update(digests).digest('hex')}-${parts.length}`;
  const versionId = call.store.transaction(() => {
    requireUpload(call);
    checkWriteConditions(call, bucket);
    const segments = parts.map((part) => part.segment);
    // Parts may have been sent again while the checksum was computed.
    const kept = new Set(readParts(call, upload.id).map((part) => part.segment.id));
    if (segments.some((segment) => !kept.has(segment.id))) throw new S3Error('InvalidPart');
    call.store.removeUpload(upload.id, new Set(segments.map((segment) => segment.id)));
    // S3 dates such an object, and orders it among its versions, by the start of the upload.
    const { attributes, initiatedMs: modifiedMs, versionPlace } = upload;
    const summaries = parts.map((part) => ({
      number: part.number,
      sizeBytes: part.sizeBytes,
      checksum: part.checksum,
    }));
    return call.store.putVersion(
      bucket.id,
      { key: call.key, sizeBytes, etag, modifiedMs, attributes, checksum, segments, parts: summaries },
      [],
      versionPlace,
    );
  });
  const result = parent('CompleteMultipartUploadResult', [
    text(
      'Location',
      `http://${call.headers.get('host') ?? ''}/${call.bucketName}/${encodeURIComponent(call.key)}`,
    ),
    text('Bucket', call.bucketName),
    text('Key', call.key),
    text('ETag', `"${etag}"`),
    text(`Checksum${checksum.algorithm}`, checksum.value),
    text('ChecksumType', checksum.type),
  ]);
  return xmlReply(renderXml(result, 'with-namespace'), {
    ...versionHeaders(call, versionId),
    ...encryptionHeaders,
  });
}

function chooseParts(document: string, upload: Upload, uploaded: readonly UploadedPart[]): UploadedPart[] {
  const root = readXml(document);
  const named = root.children.filter((child) => child.name === 'Part');
  if (root.name !== 'CompleteMultipartUpload' || named.length === 0) throw new S3Error('MalformedXML');
  const byNumber = new Map(uploaded.map((part) => [part.number, part]));
  const numbers = named.map((element) => Number(childText(element, 'PartNumber')));
  if (!numbers.every(Number.isInteger)) throw new S3Error('MalformedXML');
  if (numbers.some((number, index) => number <= (numbers[index - 1] ?? 0)))
    throw new S3Error('InvalidPartOrder');
  return named.map((element, index) => {
    const number = numbers[index] ?? 0;
    const part = byNumber.get(number);
    const etag = childText(element, 'ETag')?.replace(/^"(.*)"$/, '$1');
    const claimed = part === undefined ? undefined : childText(element, `Checksum${part.checksum.algorithm}`);
    if (
      part === undefined ||
      part.etag !== etag ||
      (claimed !== undefined && claimed !== part.checksum.value)
    ) {
      throw new S3Error('InvalidPart', { details: { PartNumber: number, ETag: etag ?? '' } });
    }
    if (upload.checksumType === 'COMPOSITE' && claimed === undefined) {
      throw new S3Error('InvalidRequest', {
        message: `The upload was created using a ${part.checksum.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${number} in the request.`,
      });
    }
    if (part.sizeBytes < minPartBytes && index < named.length - 1) {
      throw new S3Error('EntityTooSmall', {
        details: {
          ProposedSize: part.sizeBytes,
          MinSizeAllowed: minPartBytes,
          PartNumber: number,
          ETag: part.etag,
        },
      });
    }
    return part;
  });
}

async function computeChecksum(
  call: S3Call,
  upload: Upload,
  parts: readonly UploadedPart[],
  sizeBytes: number,
): Promise<StoredChecksum> {
  const algorithm = upload.checksumAlgorithm ?? 'CRC64NVME';
  const checksum = createChecksum(algorithm);
  if (upload.checksumType === 'COMPOSITE') {
    for (const part of parts) checksum.update(Buffer.from(part.checksum.value, 'base64'));
    return { algorithm, value: `${checksum.digest().toString('base64')}-${parts.length}`, type: 'COMPOSITE' };
  }
  const content = openContent(
    call.store,
    parts.map((part) => part.segment),
    { start: 0, end: sizeBytes - 1 },
  );
  try {
    for await (const chunk of content.chunks) checksum.update(chunk);
  } finally {
    content.close();
  }
  return { algorithm, value: checksum.digest().toString('base64'), type: 'FULL_OBJECT' };
}
