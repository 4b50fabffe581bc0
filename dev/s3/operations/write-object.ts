import {
  checkChecksumForm,
  checksumHeader,
  checksumMismatch,
  readChecksumExpectation,
  type StoredChecksum,
} from '../protocol/checksums.ts';
import { notImplemented, S3Error } from '../protocol/errors.ts';
import { readContentMd5 } from '../protocol/request-body.ts';
import type { StagedContent } from '../store/content-store.ts';
import type { Bucket } from '../store/object-version.ts';
import { currentSecondMs, type Reply, requireBucket, type S3Call } from './call.ts';
import { listsTag, preconditionFailed } from './conditions.ts';
import { checkKey, readObjectAttributes } from './object-attributes.ts';

/** The most that one PUT may bring: 5 GiB. */
const maxPutBytes = 5 * 1024 ** 3;

/** Bytes that have arrived in full, with the checksum that S3 keeps for them. */
export interface ReceivedContent {
  readonly staged: StagedContent;
  readonly checksum: StoredChecksum;
}

export async function putObject(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  checkKey(call.key);
  const attributes = readObjectAttributes(call.headers);
  // Before the body for the client's sake, and again when it counts.
  checkWriteConditions(call, bucket);
  const { staged, checksum } = await receiveContent(call);
  const versionId = commitStaged(call, staged, () => {
    checkWriteConditions(call, bucket);
    return call.store.putVersion(
      bucket.id,
      {
        key: call.key,
        sizeBytes: staged.segment.sizeBytes,
        etag: staged.md5Hex,
        modifiedMs: currentSecondMs(call),
        attributes,
        checksum,
        segments: [staged.segment],
        parts: null,
      },
      [staged],
    );
  });
  return {
    status: 200,
    headers: {
      etag: `"${staged.md5Hex}"`,
      ...checksumHeaders(checksum),
      ...versionHeaders(call, versionId),
      ...encryptionHeaders,
    },
  };
}

/**
 * Receives a body and checks length, Content-MD5 and checksum. Nothing stays behind if anything is wrong.
 *
 * @throws S3Error MissingContentLength, NotImplemented, EntityTooLarge, BadDigest and whatever the body's encoding is refused with
 */
export async function receiveContent(call: S3Call): Promise<ReceivedContent> {
  const expectation = readChecksumExpectation(call.headers);
  const expectedMd5 = readContentMd5(call.headers);
  const body = call.openBody();
  if (body.declaredBytes === null) {
    if (!call.headers.has('transfer-encoding')) throw new S3Error('MissingContentLength');
    throw notImplemented('A body of unknown length', { Header: 'Transfer-Encoding' });
  }
  if (body.declaredBytes > maxPutBytes) {
    throw new S3Error('EntityTooLarge', {
      details: { ProposedSize: body.declaredBytes, MaxSizeAllowed: maxPutBytes },
    });
  }
  const { algorithm } = expectation;
  const staged = await call.store.content.stage(body.chunks, algorithm);
  try {
    if (expectedMd5 !== null && staged.md5Hex !== expectedMd5) throw new S3Error('BadDigest');
    const expected = expectation.value ?? body.trailers.get(checksumHeader(algorithm));
    if (expectation.source === 'trailer') checkChecksumForm(algorithm, expected ?? '');
    if (expected !== undefined && staged.checksum !== expected) throw checksumMismatch(algorithm);
  } catch (error) {
    call.store.content.discard(staged);
    throw error;
  }
  return { staged, checksum: { algorithm, value: staged.checksum, type: 'FULL_OBJECT' } };
}

/** Runs the transaction that takes over staged bytes, and discards them if it fails. */
export function commitStaged<T>(call: S3Call, staged: StagedContent, commit: () => T): T {
  try {
    return call.store.transaction(commit);
  } catch (error) {
    call.store.content.discard(staged);
    throw error;
  }
}

/**
 * Checks If-Match and If-None-Match of a write against what is there now.
 *
 * @throws S3Error PreconditionFailed; NoSuchKey for If-Match on nothing; NotImplemented for what S3 has not
 */
export function checkWriteConditions(call: S3Call, bucket: Bucket): void {
  const ifMatch = call.headers.get('if-match');
  const ifNoneMatch = call.headers.get('if-none-match');
  for (const name of ['if-modified-since', 'if-unmodified-since']) {
    if (call.headers.has(name)) throw notImplemented(`A write with ${name}`, { Header: name });
  }
  if (ifMatch === undefined && ifNoneMatch === undefined) return;
  const newest = call.store.findVersion(bucket.id, call.key);
  const current = newest?.isDeleteMarker === true ? null : newest;
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() !== '*') {
      throw notImplemented('A write with If-None-Match other than *', { Header: 'If-None-Match' });
    }
    if (current !== null) throw preconditionFailed('If-None-Match');
  }
  if (ifMatch !== undefined) {
    if (current === null) throw new S3Error('NoSuchKey', { details: { Key: call.key } });
    if (!listsTag(ifMatch, current.etag)) throw preconditionFailed('If-Match');
  }
}

/** What S3 says of everything that is written to it, since all of it is encrypted by its own keys. */
export const encryptionHeaders = { 'x-amz-server-side-encryption': 'AES256' } as const;

export function checksumHeaders(checksum: StoredChecksum | null): Record<string, string> {
  if (checksum === null) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** The version id of a write; buckets that never had versioning say nothing. */
export function versionHeaders(call: S3Call, versionId: string): Record<string, string> {
  // The null version of a suspended bucket is not named in answers to writes either.
  return versionId === 'null' || call.store.findBucket(call.bucketName)?.versioning === 'never'
    ? {}
    : { 'x-amz-version-id': versionId };
}
