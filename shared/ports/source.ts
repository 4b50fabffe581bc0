import type { S3Object } from '../domain/s3-object.ts';

export interface ListedPage {
  /** In UTF-8 byte order of the keys. */
  readonly objects: readonly S3Object[];
  readonly isLast: boolean;
}

export interface PresignedUrl {
  readonly url: string;
  /** When nobody can begin to download by it any more; `null` when it works for ever, as in a public bucket. */
  readonly expiresAt: Date | null;
}

/**
 * A bucket in Amazon S3 or a service that speaks its protocol.
 *
 * All methods throw a `LoaderError`: `bucketNotFound`, `sourceAccessDenied`, `sourceWrongRegion` (permanent),
 * `sourceUnavailable` (transient, after the SDK's own retries).
 */
export interface Source {
  /** One page of at most 1,000 keys that begin with `prefix` and come after `startAfter` (`null`: from the first). */
  listPage(input: {
    readonly prefix: string;
    readonly startAfter: string | null;
    readonly signal?: AbortSignal;
  }): Promise<ListedPage>;

  /** The present version of a key, or `null` when there is none. */
  head(key: string): Promise<S3Object | null>;

  /**
   * Rows of a Parquet object, read from its last bytes; `null` when this version is not there any more, or is no Parquet
   * file that can be read.
   */
  countParquetRows(input: { readonly key: string; readonly version: string }): Promise<number | null>;

  /** Signs a GET for the object. No request is made. */
  presignGet(input: {
    readonly key: string;
    readonly version: string;
    readonly lifetimeMs: number;
  }): Promise<PresignedUrl>;
}
