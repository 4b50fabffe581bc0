import { randomBytes } from 'node:crypto';
import {
  type ChecksumAlgorithm,
  readAlgorithm,
  readChecksumExpectation,
  requireAlgorithm,
  type StoredChecksum,
} from '../protocol/checksums.ts';
import { invalidArgument, S3Error } from '../protocol/errors.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text } from '../protocol/xml.ts';
import type { StagedContent } from '../store/content-store.ts';
import type { ObjectAttributes, Segment } from '../store/object-version.ts';
import { currentSecondMs, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { copyResultElements } from './copy-object.ts';
import { copySourceHeaders, findCopySource, refuseTooLargeCopy } from './copy-source.ts';
import { checkKey, readObjectAttributes } from './object-attributes.ts';
import { openContent } from './open-content.ts';
import { checksumHeaders, commitStaged, encryptionHeaders, receiveContent } from './write-object.ts';

let lastUploadPlace = 0;

/** An upload that was begun and neither completed nor aborted. */
export interface Upload {
  readonly id: string;
  readonly initiatedMs: number;
  /** Where the object will stand among the versions of its key. */
  readonly versionPlace: number;
  readonly attributes: ObjectAttributes;
  /** `null` if the client chose none: S3 then keeps CRC64NVME of the whole object. */
  readonly checksumAlgorithm: ChecksumAlgorithm | null;
  readonly checksumType: StoredChecksum['type'];
}

export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly checksum: StoredChecksum;
  readonly segment: Segment;
}

export function createMultipartUpload(call: S3Call): Reply {
  const bucket = requireBucket(call);
  checkKey(call.key);
  const attributes = readObjectAttributes(call.headers);
  const named = call.headers.get('x-amz-checksum-algorithm');
  const algorithm = named === undefined ? null : requireAlgorithm(named);
  const namedType = call.headers.get('x-amz-checksum-type');
  if (named === undefined && namedType !== undefined) {
    throw new S3Error('InvalidRequest', {
      message: 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    });
  }
  const type = namedType ?? (algorithm === 'CRC64NVME' || algorithm === null ? 'FULL_OBJECT' : 'COMPOSITE');
  const isPossible =
    type === 'COMPOSITE'
      ? algorithm !== 'CRC64NVME' && algorithm !== null
      : type === 'FULL_OBJECT' && algorithm !== 'SHA1' && algorithm !== 'SHA256';
  if (!isPossible) {
    throw new S3Error('InvalidRequest', {
      message: `The ${type} checksum type cannot be used with the ${named ?? 'crc64nvme'} checksum algorithm.`,
    });
  }
  const id = makeUploadId();
  call.store
    .prepare(
      'INSERT INTO uploads (id, bucket, key, initiated_ms, version_place, attributes, checksum_algorithm, checksum_type) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    )
    .run(
      id,
      bucket.id,
      Buffer.from(call.key),
      currentSecondMs(call),
      call.store.reserveVersion(),
      JSON.stringify(attributes),
      algorithm,
      type,
    );
  const document = parent('InitiateMultipartUploadResult', [
    text('Bucket', call.bucketName),
    text('Key', call.key),
    text('UploadId', id),
  ]);
  const headers =
    algorithm === null ? {} : { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': type };
  return xmlReply(renderXml(document, 'with-namespace'), { ...headers, ...encryptionHeaders });
}

/** Upload ids of a key sort by time, since listings of uploads have both orders at once. */
function makeUploadId(): string {
  lastUploadPlace = Math.max(lastUploadPlace + 1, Date.now() * 1000);
  return `${lastUploadPlace.toString(36).padStart(11, '0')}.${randomBytes(36).toString('base64url')}`;
}

export async function uploadPart(call: S3Call): Promise<Reply> {
  const upload = requireUpload(call);
  const number = readPartNumber(call);
  const brought = readChecksumExpectation(call.headers);
  const actual = brought.source === 'none' ? null : brought.algorithm;
  // Without an algorithm of its own an upload takes what the SDKs bring unasked, which are CRCs.
  const isTaken =
    upload.checksumAlgorithm === null
      ? actual === null || actual.startsWith('CRC')
      : actual === upload.checksumAlgorithm;
  if (!isTaken) {
    throw new S3Error('InvalidRequest', {
      message: `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksumAlgorithm?.toLowerCase() ?? null}, actual checksum Type: ${actual?.toLowerCase() ?? null}`,
    });
  }
  const { staged, checksum } = await receiveContent(call);
  keepPart(call, number, staged, checksum);
  return {
    status: 200,
    headers: { etag: `"${staged.md5Hex}"`, ...checksumHeaders(checksum), ...encryptionHeaders },
  };
}

export async function uploadPartCopy(call: S3Call): Promise<Reply> {
  const upload = requireUpload(call);
  const number = readPartNumber(call);
  const source = findCopySource(call);
  const { version } = source;
  const range = call.headers.get('x-amz-copy-source-range');
  const match = range === undefined ? null : /^bytes=(\d+)-(\d+)$/.exec(range);
  const start = match === null ? 0 : Number(match[1]);
  const end = match === null ? version.sizeBytes - 1 : Number(match[2]);
  if (range !== undefined && (match === null || start > end || end >= version.sizeBytes)) {
    throw invalidArgument(
      'x-amz-copy-source-range',
      range,
      `Range specified is not valid for source object of size: ${version.sizeBytes}`,
    );
  }
  refuseTooLargeCopy(end - start + 1);
  const content = openContent(call.store, version.segments, { start, end });
  const algorithm = upload.checksumAlgorithm ?? 'CRC64NVME';
  const staged = await call.store.content.stage(content.chunks, algorithm).finally(content.close);
  const checksum: StoredChecksum = { algorithm, value: staged.checksum, type: 'FULL_OBJECT' };
  keepPart(call, number, staged, checksum);
  const document = parent(
    'CopyPartResult',
    copyResultElements(staged.md5Hex, currentSecondMs(call), checksum),
  );
  return xmlReply(renderXml(document, 'with-namespace'), {
    ...copySourceHeaders(source),
    ...encryptionHeaders,
  });
}

export function abortMultipartUpload(call: S3Call): Reply {
  const { id } = requireUpload(call);
  call.store.transaction(() => call.store.removeUpload(id));
  return { status: 204 };
}

/** @throws S3Error NoSuchUpload */
export function requireUpload(call: S3Call): Upload {
  const bucket = requireBucket(call);
  const id = queryValue(call.target, 'uploadId') ?? '';
  const row = call.store.get(
    'SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?',
    id,
    bucket.id,
    Buffer.from(call.key),
  );
  if (row === undefined) throw new S3Error('NoSuchUpload', { details: { UploadId: id } });
  return {
    id,
    initiatedMs: Number(row['initiated_ms']),
    versionPlace: Number(row['version_place']),
    attributes: JSON.parse(String(row['attributes'])),
    checksumAlgorithm: readAlgorithm(String(row['checksum_algorithm'])) ?? null,
    checksumType: row['checksum_type'] as StoredChecksum['type'],
  };
}

/** All parts of an upload by number. */
export function readParts(call: S3Call, uploadId: string): UploadedPart[] {
  const rows = call.store.prepare('SELECT * FROM parts WHERE upload = ? ORDER BY number').all(uploadId);
  return rows.map((row) => ({
    number: Number(row['number']),
    etag: String(row['etag']),
    sizeBytes: Number(row['size_bytes']),
    modifiedMs: Number(row['modified_ms']),
    checksum: JSON.parse(String(row['checksum'])),
    segment: JSON.parse(String(row['segment'])),
  }));
}

function readPartNumber(call: S3Call): number {
  const value = queryValue(call.target, 'partNumber') ?? '';
  if (!/^\d{1,5}$/.test(value) || Number(value) < 1 || Number(value) > 10_000) {
    throw invalidArgument(
      'partNumber',
      value,
      'Part number must be an integer between 1 and 10000, inclusive',
    );
  }
  return Number(value);
}

function keepPart(call: S3Call, number: number, staged: StagedContent, checksum: StoredChecksum): void {
  commitStaged(call, staged, () => {
    // The upload may have been aborted while the part was on its way.
    const { id } = requireUpload(call);
    const before = call.store.get('SELECT segment FROM parts WHERE upload = ? AND number = ?', id, number);
    if (before !== undefined) call.store.drop([JSON.parse(String(before['segment'])) as Segment]);
    call.store.keep(staged);
    call.store
      .prepare(
        'INSERT OR REPLACE INTO parts (upload, number, etag, size_bytes, modified_ms, checksum, segment) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        id,
        number,
        staged.md5Hex,
        staged.segment.sizeBytes,
        currentSecondMs(call),
        JSON.stringify(checksum),
        JSON.stringify(staged.segment),
      );
  });
}
