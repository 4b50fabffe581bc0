import type { S3Object } from '../domain/s3-object.ts';
import type { Connection } from './connection.ts';

export interface ListedPage {
  /** In UTF-8 byte order of the keys. */
  readonly objects: readonly S3Object[];
  readonly isLast: boolean;
  /** Key up to which the page shows all objects, the next one to begin behind it. Absent: the key of its last object. */
  readonly upTo?: string;
}

/** What lies directly in a folder, without what its subfolders hold. */
export interface ListedFolders {
  /** Prefixes that end with `/`, in UTF-8 byte order. */
  readonly folders: readonly string[];
  /** There are keys that lie in none of them. */
  readonly hasKeys: boolean;
  readonly isLast: boolean;
}

/** An S3 Inventory list of a bucket: its manifest, as far as it is needed. */
export interface InventoryList {
  readonly format: 'CSV' | 'Parquet';
  /** Names of the columns of CSV files, in order. */
  readonly columns: readonly string[];
  /** Keys of its files. */
  readonly files: readonly string[];
  /** When S3 began to make it; ISO 8601, UTC. */
  readonly createdAt: string;
}

export interface InventoryPage {
  /** Present versions only, in the order of the list. */
  readonly objects: readonly S3Object[];
  /** Where the next page begins; `null` behind the last. */
  readonly next: { readonly file: number; readonly row: number } | null;
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
export interface Source extends Connection {
  /**
   * As of any connection.
   *
   * @param leastLeftMs - time that what is signed with must have left; 0, the default, asks for none.
   * @throws {LoaderError} `credentialsEndTooSoon`, where their end is known and nearer.
   */
  signIn(leastLeftMs?: number): Promise<string>;

  /**
   * One page of at most 1,000 keys that begin with `prefix` and come after `startAfter` (`null`: from the first). One that
   * is not the last holds a key, or says by `upTo` how far it has come: versions may be listed that are no objects any more.
   *
   * @throws {LoaderError} also `invalidDefinition`, where the service lists in another order.
   */
  listPage(input: {
    readonly prefix: string;
    readonly startAfter: string | null;
    readonly signal?: AbortSignal;
  }): Promise<ListedPage>;

  /** One page of the folders that begin with `prefix` and come after `startAfter`; at most 1,000 folders and keys are looked at. */
  listFolders(input: { readonly prefix: string; readonly startAfter: string | null }): Promise<ListedFolders>;

  /**
   * Finds an S3 Inventory list in this bucket.
   *
   * @param location - key of a `manifest.json`, or the folder that holds those of all dates, ending with `/`: then the newest.
   * @param ofBucket - the bucket that it must be about.
   * @throws {LoaderError} also `inventoryNotUsable`.
   */
  findInventory(input: { readonly location: string; readonly ofBucket: string }): Promise<InventoryList>;

  /** Reads at most about `most` rows of one file of the list, from `row` of its file `file` on. @throws {LoaderError} also `inventoryNotUsable`. */
  readInventory(input: {
    readonly list: InventoryList;
    readonly file: number;
    readonly row: number;
    readonly most: number;
  }): Promise<InventoryPage>;

  /** The present version of a key, or `null` when there is none. `sourceAccessDenied` may be about this key alone. */
  head(key: string): Promise<S3Object | null>;

  /**
   * Rows of a Parquet object, read from its last bytes; `null` when this version is not there any more, or is no Parquet
   * file that can be read.
   */
  countParquetRows(input: { readonly key: string; readonly version: string }): Promise<number | null>;

  /** Reads the first byte of an object, as a download would; `false` when this version is not there any more. An empty one has none, and can be read. */
  canRead(input: { readonly key: string; readonly version: string }): Promise<boolean>;

  /** Signs a GET for the object. No request is made, but for new keys. @throws {LoaderError} also `credentialsEndTooSoon`. */
  presignGet(input: {
    readonly key: string;
    readonly version: string;
    readonly lifetimeMs: number;
    /** Time that the keys must have left, which bounds the life of the URL. Default: any. */
    readonly leastLeftMs?: number;
  }): Promise<PresignedUrl>;
}
