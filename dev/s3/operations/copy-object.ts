import type { StoredChecksum } from '../protocol/checksums.ts';
import { requireAlgorithm } from '../protocol/checksums.ts';
import { invalidArgument, S3Error } from '../protocol/errors.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import type { ObjectAttributes } from '../store/object-version.ts';
import { currentSecondMs, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { copySourceHeaders, findCopySource, refuseTooLargeCopy } from './copy-source.ts';
import { checkKey, readObjectAttributes } from './object-attributes.ts';
import { openContent } from './open-content.ts';
import { checkWriteConditions, commitStaged, encryptionHeaders, versionHeaders } from './write-object.ts';

export async function copyObject(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  checkKey(call.key);
  const source = findCopySource(call);
  const directive = readDirective(call, 'metadata');
  const tagDirective = readDirective(call, 'tagging');
  checkWriteConditions(call, bucket);
  const { version } = source;
  refuseTooLargeCopy(version.sizeBytes);
  // An older version may be copied over the object: that is how it is restored.
  const isOntoItself = call.store.findVersion(bucket.id, call.key)?.id === version.id;
  const changes = ['x-amz-storage-class', 'x-amz-server-side-encryption'];
  if (isOntoItself && directive === 'COPY' && !changes.some((name) => call.headers.has(name))) {
    throw new S3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    });
  }
  const own = readObjectAttributes(call.headers);
  const attributes: ObjectAttributes = {
    ...(directive === 'REPLACE' ? own : { ...version.attributes, storageClass: own.storageClass }),
    tags: (tagDirective === 'REPLACE' ? own : version.attributes).tags ?? [],
  };
  // A composite checksum belongs to the parts, which a copy does not have.
  const kept = version.checksum?.type === 'FULL_OBJECT' ? version.checksum.algorithm : 'CRC64NVME';
  const algorithm = requireAlgorithm(call.headers.get('x-amz-checksum-algorithm') ?? kept);
  const content = openContent(call.store, version.segments, { start: 0, end: version.sizeBytes - 1 });
  const staged = await call.store.content.stage(content.chunks, algorithm).finally(content.close);
  const checksum: StoredChecksum = { algorithm, value: staged.checksum, type: 'FULL_OBJECT' };
  const modifiedMs = currentSecondMs(call);
  const versionId = commitStaged(call, staged, () => {
    checkWriteConditions(call, bucket);
    return call.store.putVersion(
      bucket.id,
      {
        key: call.key,
        sizeBytes: version.sizeBytes,
        etag: staged.md5Hex,
        modifiedMs,
        attributes,
        checksum,
        segments: [staged.segment],
        parts: null,
      },
      [staged],
    );
  });
  const document = parent('CopyObjectResult', copyResultElements(staged.md5Hex, modifiedMs, checksum));
  return xmlReply(renderXml(document, 'with-namespace'), {
    ...copySourceHeaders(source),
    ...versionHeaders(call, versionId),
    ...encryptionHeaders,
  });
}

function readDirective(call: S3Call, subject: 'metadata' | 'tagging'): 'COPY' | 'REPLACE' {
  const name = `x-amz-${subject}-directive`;
  const directive = call.headers.get(name) ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE')
    throw invalidArgument(name, directive, `Unknown ${subject} directive.`);
  return directive;
}

/** What the results of CopyObject and UploadPartCopy have in common. */
export function copyResultElements(etag: string, modifiedMs: number, checksum: StoredChecksum): XmlElement[] {
  return [
    text('LastModified', new Date(modifiedMs).toISOString()),
    text('ETag', `"${etag}"`),
    text('ChecksumType', checksum.type),
    text(`Checksum${checksum.algorithm}`, checksum.value),
  ];
}
