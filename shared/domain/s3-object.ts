/** An S3 object version as a listing or an event shows it. */
export interface S3Object {
  readonly key: string;
  /** `v:<version id>` where the load asks for versions (`source.pinVersions`) and there is one, else `e:<ETag without quotes>`. */
  readonly version: string;
  readonly sizeBytes: number;
  /** ISO 8601, UTC. */
  readonly lastModified: string;
  /** S3's storage class, `STANDARD` when the service says nothing. */
  readonly storageClass: string;
}

/** The version id that a `version` names, or `null` when it names an ETag. */
export function versionIdOf(version: string): string | null {
  return version.startsWith('v:') ? version.slice(2) : null;
}

/** The ETag that a `version` names, in quotes as HTTP wants it. */
export function etagOf(version: string): string {
  return `"${version.replace(/^e:/, '')}"`;
}

/** The `version` of an object from what S3 says of it. */
export function versionOf(s3: { readonly versionId?: string | undefined; readonly etag: string }): string {
  if (s3.versionId !== undefined && s3.versionId !== '' && s3.versionId !== 'null')
    return `v:${s3.versionId}`;
  return `e:${s3.etag.replaceAll('"', '')}`;
}
