import { S3Error } from '../protocol/errors.ts';
import type { ObjectAttributes } from '../store/object-version.ts';
import { readTagHeader } from './object-tags.ts';

const maxKeyBytes = 1024;
const maxMetadataBytes = 2048;
const storageClasses: readonly string[] = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
];
const keptHeaders = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const;

/**
 * Reads what an upload says about its object.
 *
 * @throws S3Error MetadataTooLarge, InvalidStorageClass, and what tags are refused with
 */
export function readObjectAttributes(headers: ReadonlyMap<string, string>): ObjectAttributes {
  const contentHeaders: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  for (const name of keptHeaders) {
    const value = headers.get(name);
    if (value !== undefined && value !== '') contentHeaders[name] = value;
  }
  const encoding = withoutAwsChunked(contentHeaders['content-encoding'] ?? '');
  if (encoding === '') delete contentHeaders['content-encoding'];
  else contentHeaders['content-encoding'] = encoding;
  const metadata: Record<string, string> = {};
  let metadataBytes = 0;
  for (const [name, value] of headers) {
    if (!name.startsWith('x-amz-meta-')) continue;
    const ownName = name.slice('x-amz-meta-'.length);
    metadata[ownName] = value;
    metadataBytes += ownName.length + value.length;
  }
  if (metadataBytes > maxMetadataBytes) {
    throw new S3Error('MetadataTooLarge', {
      details: { Size: metadataBytes, MaxSizeAllowed: maxMetadataBytes },
    });
  }
  return {
    contentHeaders,
    metadata,
    storageClass: readStorageClass(headers),
    serverSideEncryption: headers.get('x-amz-server-side-encryption') ?? null,
    tags: readTagHeader(headers),
  };
}

function readStorageClass(headers: ReadonlyMap<string, string>): string {
  const storageClass = headers.get('x-amz-storage-class') ?? 'STANDARD';
  if (!storageClasses.includes(storageClass)) {
    throw new S3Error('InvalidStorageClass', { details: { StorageClassRequested: storageClass } });
  }
  return storageClass;
}

/** @throws S3Error KeyTooLongError */
export function checkKey(key: string): void {
  const sizeBytes = Buffer.byteLength(key);
  if (sizeBytes > maxKeyBytes) {
    throw new S3Error('KeyTooLongError', { details: { Size: sizeBytes, MaxSizeAllowed: maxKeyBytes } });
  }
}

function withoutAwsChunked(contentEncoding: string): string {
  return contentEncoding
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'aws-chunked')
    .join(',');
}
