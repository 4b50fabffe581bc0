import type { StoredChecksum } from '../protocol/checksums.ts';

/** A run of bytes that is kept as one piece. */
export interface Segment {
  readonly id: string;
  readonly sizeBytes: number;
  /** Small pieces lie in the index, larger ones in files of their own. */
  readonly place: 'inline' | 'file';
}

/** One part of an object that came by multipart upload. */
export interface PartSummary {
  readonly number: number;
  readonly sizeBytes: number;
  readonly checksum: StoredChecksum | null;
}

/** A tag of an object or a bucket. */
export interface ObjectTag {
  readonly key: string;
  readonly value: string;
}

/** What a client says about an object besides its bytes. */
export interface ObjectAttributes {
  /** Content-Type, Content-Encoding and the like, by lower-case name. */
  readonly contentHeaders: Readonly<Record<string, string>>;
  /** User metadata without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly serverSideEncryption: string | null;
  /** Default none. */
  readonly tags?: readonly ObjectTag[];
}

/** What is put into the index for one version. */
export interface NewVersion {
  readonly key: string;
  readonly sizeBytes: number;
  /** Without quotes: MD5 as hex, for multipart uploads with `-` and the number of parts. */
  readonly etag: string;
  readonly modifiedMs: number;
  readonly attributes: ObjectAttributes;
  readonly checksum: StoredChecksum | null;
  readonly segments: readonly Segment[];
  readonly parts: readonly PartSummary[] | null;
}

/** A version as the index holds it. */
export interface ObjectVersion extends NewVersion {
  /** Grows with every write: the newest version of a key has the greatest. */
  readonly id: number;
  /** `null` (the word) for versions written while versioning was off or suspended. */
  readonly versionId: string;
  readonly isDeleteMarker: boolean;
}

export type VersioningState = 'never' | 'Enabled' | 'Suspended';

export interface Bucket {
  readonly id: number;
  readonly name: string;
  readonly createdMs: number;
  readonly versioning: VersioningState;
  readonly tags: readonly ObjectTag[];
}
