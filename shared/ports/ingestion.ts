import type { IngestionStatus } from '../domain/ingestion-status.ts';
import type { Connection } from './connection.ts';

/** One message to ADX's queued ingestion. */
export interface IngestionRequest {
  /** UUID v4; see `sourceIdOf`. */
  readonly sourceId: string;
  /** Presigned URL. Secret: it goes into the message and nowhere else. */
  readonly url: string;
  /** Uncompressed size, exact or estimated, at least 1. Without a size ADX would put the object into a batch of its own. */
  readonly rawSizeBytes: number;
  readonly database: string;
  readonly table: string;
  /** ADX's name of the format. */
  readonly format: string;
  readonly mapping: string | null;
  readonly ignoreFirstRecord: boolean;
  readonly tags: readonly string[];
}

/** Rows that the loader itself has, in the format. */
export type RowsRequest = Omit<IngestionRequest, 'url' | 'rawSizeBytes'> & { readonly body: string };

/**
 * How a post ended.
 * - `accepted`: the message is in ADX's queue.
 * - `refused`: it is certainly not; every queue said so.
 * - `ambiguous`: it may be in (timeout, reset, an answer that is not the queue's own).
 *
 * `throttled`: something on the way there was asked too often, a queue before the one that accepted it among them.
 */
export type PostResult = (
  | { readonly result: 'accepted' }
  | { readonly result: 'refused' | 'ambiguous'; readonly message: string }
) & { readonly throttled?: boolean };

/** What the loader knows of a table before it loads into it. */
export interface TableFacts {
  /** How long ADX collects messages before it ingests them. ADX's default, 5 minutes, where it can't be read. */
  readonly batchingWindowMs: number;
}

/** A part of a table that came with a tag. */
export interface TaggedExtent {
  readonly id: string;
  readonly rows: number;
  /** All its tags. */
  readonly tags: readonly string[];
}

export interface TagQuestion {
  readonly database: string;
  readonly table: string;
  readonly tag: string;
}

/**
 * Queued ingestion into one ADX cluster, and what is needed to follow it.
 *
 * Methods throw a `LoaderError`: `clusterUnavailable`, `clusterThrottled` (transient), `clusterAccessDenied`, `databaseNotFound`,
 * `tableNotFound`, `mappingNotFound` (permanent).
 */
export interface Ingestion extends Connection {
  /** Checks that database, table, mapping and, where one is named, a column of type string are there. What the identity may not read is taken to be right. */
  describeTable(input: {
    readonly database: string;
    readonly table: string;
    readonly mapping: string | null;
    readonly format: string;
    readonly column?: string | null;
  }): Promise<TableFacts>;

  /** Roles that the identity has in the database, in the cluster's words, such as `Ingestor`; `null` when it may not ask. */
  readRoles(database: string): Promise<readonly string[] | null>;

  /** Opens the way: resources and identity token, once for many callers. */
  warmUp(): Promise<void>;

  /**
   * Writes the status entity and posts the message, once. Another queue is tried only after a definite refusal.
   * Never throws for what the queue answers.
   */
  post(request: IngestionRequest): Promise<PostResult>;

  /**
   * Posts rows of the loader's own, which it puts into the cluster's storage for ingestion first. As `post`, once per source
   * id.
   */
  postRows(request: RowsRequest): Promise<PostResult>;

  /** What ADX has reported for these source ids; `null` where there is no entity. */
  readStatuses(sourceIds: readonly string[]): Promise<ReadonlyMap<string, IngestionStatus | null>>;

  /**
   * Removes the status entities of these source ids. Ids without one are passed over.
   *
   * @returns how many were there; `null` when what the cluster hands out allows no removal.
   */
  removeStatuses(sourceIds: readonly string[]): Promise<number | null>;

  /** Rows in the extents that carry the tag; `null` when the identity may not see it. */
  countRowsByTag(input: TagQuestion): Promise<number | null>;
  /**
   * Rows under the tag by what the column holds, such as the paths of their objects; `null` when the identity may not ask.
   * Many paths are asked for part by part: those whose MD5, in lower-case hexadecimal, begins with `md5Prefix`.
   *
   * @param input - with `keys` only URLs whose paths end with one of them, and perhaps others that are alike; rows whose column
   *   holds no URL are counted under an empty one.
   * @throws {LoaderError} `columnNotFound`.
   */
  countRowsByPath(
    input: TagQuestion & {
      readonly column: string;
      readonly md5Prefix: string;
      /** Default: all. */
      readonly keys?: readonly string[];
    },
  ): Promise<ReadonlyMap<string, number> | null>;
  /** Extents that carry exactly this tag. */
  listExtents(input: TagQuestion): Promise<readonly TaggedExtent[]>;
  /**
   * Drops those of the extents that are there and carry the tag; all other extents stay, also later ones of the tag.
   *
   * @throws {LoaderError} `undoNotPermitted` with the command that grants it.
   */
  dropExtents(input: TagQuestion & { readonly extentIds: readonly string[] }): Promise<void>;
  /**
   * Names what takes its rows from the table, so that dropping rows does not reach it: update policies, materialized views.
   *
   * @throws {LoaderError} `undoInexact` when the cluster does not take the question.
   */
  listDependents(input: Omit<TagQuestion, 'tag'>): Promise<readonly string[]>;
}
