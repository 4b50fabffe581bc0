import { viewBytes } from './byte-order.ts';
import type { Bucket, ObjectVersion, VersioningState } from './object-version.ts';

/** A row of the index, by the names of its columns. */
export type Row = Record<string, unknown>;

export function readBucket(row: Row): Bucket {
  return {
    id: Number(row['id']),
    name: String(row['name']),
    createdMs: Number(row['created_ms']),
    versioning: row['versioning'] as VersioningState,
    tags: row['tags'] === null ? [] : JSON.parse(String(row['tags'])),
  };
}

export function readVersion(row: Row): ObjectVersion {
  return {
    id: Number(row['id']),
    key: viewBytes(row['key']).toString(),
    versionId: String(row['version_id']),
    isDeleteMarker: row['is_delete_marker'] === 1,
    sizeBytes: Number(row['size_bytes']),
    etag: String(row['etag']),
    modifiedMs: Number(row['modified_ms']),
    attributes: JSON.parse(String(row['attributes'])),
    checksum: row['checksum'] === null ? null : JSON.parse(String(row['checksum'])),
    segments: JSON.parse(String(row['segments'])),
    parts: row['parts'] === null ? null : JSON.parse(String(row['parts'])),
  };
}
