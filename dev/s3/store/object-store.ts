import { randomBytes } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { viewBytes } from './byte-order.ts';
import { ContentStore, type StagedContent } from './content-store.ts';
import { ContinuationTokens } from './continuation-token.ts';
import { openDatabase } from './database.ts';
import { type ListingPage, type ListingPosition, walkListing } from './listing.ts';
import type {
  Bucket,
  NewVersion,
  ObjectAttributes,
  ObjectTag,
  ObjectVersion,
  Segment,
  VersioningState,
} from './object-version.ts';
import { type Row, readBucket, readVersion } from './rows.ts';
import { VersionIds } from './version-ids.ts';

/** What a deletion did, as the answer has to say it. */
export interface Deletion {
  /** Version id of the delete marker that was made or removed, or of the version that was removed. */
  readonly versionId: string | null;
  readonly isDeleteMarker: boolean;
}

export interface PageRequest {
  readonly bucketId: number;
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxItems: number;
}

/** Buckets and versions of a data folder. All methods are synchronous: each is one transaction at most. */
export class ObjectStore {
  readonly content: ContentStore;
  readonly tokens: ContinuationTokens;
  readonly versionIds: VersionIds;
  readonly database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #removedSegments: Segment[] = [];
  #isInTransaction = false;
  #nextId: number;

  constructor(folder: string) {
    this.database = openDatabase(folder);
    this.content = new ContentStore(folder);
    this.tokens = new ContinuationTokens(this.#readOrMakeSecret('continuation-token-key', 32));
    this.versionIds = new VersionIds(this.#readOrMakeSecret('version-id-key', 16));
    const stored = this.get("SELECT value FROM settings WHERE name = 'next-version'");
    // Ids are handed out in blocks, so that a version that was deleted last never gives its id to another.
    const reserved = stored === undefined ? 1 : Number(viewBytes(stored['value']).toString());
    const greatestId = this.get('SELECT max(id) AS id FROM versions')?.['id'];
    this.#nextId = Math.max(reserved, Number(greatestId ?? 0) + 1);
    this.#reserveIds();
  }

  close(): void {
    this.database.close();
  }

  /** A prepared statement, made once. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  get(sql: string, ...values: (string | number | null | Uint8Array)[]): Row | undefined {
    return this.prepare(sql).get(...values);
  }

  /** Runs `work` as a whole or not at all; files of removed versions go once it is durable. */
  transaction<T>(work: () => T): T {
    if (this.#isInTransaction) return work();
    this.database.exec('BEGIN IMMEDIATE');
    this.#isInTransaction = true;
    try {
      const result = work();
      this.database.exec('COMMIT');
      for (const segment of this.#removedSegments) this.content.remove(segment);
      return result;
    } catch (error) {
      this.database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#removedSegments = [];
      this.#isInTransaction = false;
    }
  }

  findBucket(name: string): Bucket | null {
    const row = this.get(`${bucketColumns} WHERE name = ?`, name);
    return row === undefined ? null : readBucket(row);
  }

  listBuckets(): Bucket[] {
    return this.prepare(`${bucketColumns} ORDER BY name`).all().map(readBucket);
  }

  /** @returns false if the bucket exists */
  createBucket(name: string, createdMs: number): boolean {
    const { changes } = this.prepare(
      'INSERT INTO buckets (name, created_ms) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ).run(name, createdMs);
    return changes === 1;
  }

  /** @returns false if anything is left in the bucket: objects, old versions or delete markers */
  deleteBucket(bucket: Bucket): boolean {
    return this.transaction(() => {
      if (this.get('SELECT 1 FROM versions WHERE bucket = ? LIMIT 1', bucket.id) !== undefined) return false;
      for (const { id } of this.prepare('SELECT id FROM uploads WHERE bucket = ?').all(bucket.id)) {
        this.removeUpload(String(id));
      }
      this.setBucketTags(bucket, []);
      this.prepare('DELETE FROM buckets WHERE id = ?').run(bucket.id);
      return true;
    });
  }

  setVersioning(bucket: Bucket, state: VersioningState): void {
    this.prepare('UPDATE buckets SET versioning = ? WHERE id = ?').run(state, bucket.id);
  }

  setBucketTags(bucket: Bucket, tags: readonly ObjectTag[]): void {
    if (tags.length === 0) this.prepare('DELETE FROM bucket_tags WHERE bucket = ?').run(bucket.id);
    else
      this.prepare('INSERT OR REPLACE INTO bucket_tags (bucket, tags) VALUES (?, ?)').run(
        bucket.id,
        JSON.stringify(tags),
      );
  }

  /** The newest version, which may be a delete marker; or the one with this version id. */
  findVersion(bucketId: number, key: string, versionId?: string): ObjectVersion | null {
    const keyBytes = Buffer.from(key);
    const row =
      versionId === undefined
        ? this.get(
            'SELECT * FROM versions WHERE bucket = ? AND key = ? ORDER BY id DESC LIMIT 1',
            bucketId,
            keyBytes,
          )
        : this.get(
            'SELECT * FROM versions WHERE bucket = ? AND key = ? AND version_id = ?',
            bucketId,
            keyBytes,
            versionId,
          );
    return row === undefined ? null : readVersion(row);
  }

  /** Takes a place in the order of versions for one that is written later. */
  reserveVersion(): number {
    return this.#takeId();
  }

  /**
   * Adds a version; without versioning it takes the place of the one before.
   *
   * @param reservedId from `reserveVersion`: newer than what was there then, older than what was written since
   */
  putVersion(
    bucketId: number,
    version: NewVersion,
    staged: readonly StagedContent[],
    reservedId?: number,
  ): string {
    return this.transaction(() => {
      for (const one of staged) this.keep(one);
      const id = reservedId ?? this.#takeId();
      const versionId = this.#versionIdFor(bucketId, id);
      if (versionId === 'null') this.#removeVersion(bucketId, version.key, 'null');
      this.#insert({ ...version, id, versionId, isDeleteMarker: false }, bucketId);
      this.#markCurrent(bucketId, version.key);
      return versionId;
    });
  }

  /** Deletes what a DELETE without version id deletes: the object, or nothing but its visibility. */
  deleteCurrent(bucket: Bucket, key: string, modifiedMs: number): Deletion {
    return this.transaction(() => {
      const { versioning } = this.findBucket(bucket.name) ?? bucket;
      if (versioning !== 'Enabled') this.#removeVersion(bucket.id, key, 'null');
      if (versioning === 'never') {
        this.#markCurrent(bucket.id, key);
        return { versionId: null, isDeleteMarker: false };
      }
      const id = this.#takeId();
      const versionId = this.#versionIdFor(bucket.id, id);
      const marker: ObjectVersion = {
        ...{ id, key, versionId, modifiedMs, isDeleteMarker: true, sizeBytes: 0, etag: '' },
        attributes: {
          contentHeaders: {},
          metadata: {},
          storageClass: 'STANDARD',
          serverSideEncryption: null,
        },
        ...{ checksum: null, segments: [], parts: null },
      };
      this.#insert(marker, bucket.id);
      this.#markCurrent(bucket.id, key);
      return { versionId, isDeleteMarker: true };
    });
  }

  /** Deletes one version for good; one that is not there is no error. */
  deleteVersion(bucketId: number, key: string, versionId: string): Deletion {
    return this.transaction(() => {
      const removed = this.#removeVersion(bucketId, key, versionId);
      this.#markCurrent(bucketId, key);
      return { versionId, isDeleteMarker: removed?.isDeleteMarker ?? false };
    });
  }

  /** Changes what is said about a version; its bytes and its time stay. */
  setAttributes(version: ObjectVersion, attributes: ObjectAttributes): void {
    this.prepare('UPDATE versions SET attributes = ? WHERE id = ?').run(
      JSON.stringify(attributes),
      version.id,
    );
  }

  /** One page of current objects. */
  listCurrent(request: PageRequest, position: ListingPosition | null): ListingPage<ObjectVersion> {
    return walkListing({
      ...boundsOf(request),
      position,
      keyOf: (version: ObjectVersion) => Buffer.from(version.key),
      seek: (from, to) =>
        this.#iterate(
          'SELECT * FROM versions INDEXED BY current_objects WHERE bucket = ? AND is_current_object = 1 AND key >= ? AND key < ? ORDER BY key',
          [request.bucketId, from, to],
        ),
    });
  }

  /**
   * One page of versions and delete markers, newest first for each key.
   *
   * @param beforeId goes on inside the key of `position`, with versions older than this one
   */
  listVersions(
    request: PageRequest,
    position: ListingPosition | null,
    beforeId: number | null,
  ): ListingPage<ObjectVersion> {
    const firstRows =
      position === null || beforeId === null
        ? {}
        : {
            firstRows: this.#iterate(
              'SELECT * FROM versions WHERE bucket = ? AND key = ? AND id < ? ORDER BY id DESC',
              [request.bucketId, position.after, beforeId],
            ),
          };
    return walkListing({
      ...boundsOf(request),
      ...firstRows,
      position,
      keyOf: (version: ObjectVersion) => Buffer.from(version.key),
      seek: (from, to) =>
        this.#iterate(
          'SELECT * FROM versions INDEXED BY versions_by_key WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, id DESC',
          [request.bucketId, from, to],
        ),
    });
  }

  /** Id of the newest version of a key, whatever it is. */
  newestId(bucketId: number, key: string): number | null {
    const row = this.get(
      'SELECT max(id) AS id FROM versions WHERE bucket = ? AND key = ?',
      bucketId,
      Buffer.from(key),
    );
    return typeof row?.['id'] === 'number' ? row['id'] : null;
  }

  /** Makes staged bytes durable; part of the transaction that refers to them. */
  keep(staged: StagedContent): void {
    this.content.publish(staged);
    if (staged.inlineBody !== null) {
      this.prepare('INSERT INTO inline_bodies (id, body) VALUES (?, ?)').run(
        staged.segment.id,
        staged.inlineBody,
      );
    }
  }

  /** Forgets segments that nothing refers to any more. */
  drop(segments: readonly Segment[]): void {
    for (const segment of segments) {
      if (segment.place === 'inline') this.prepare('DELETE FROM inline_bodies WHERE id = ?').run(segment.id);
      else this.#removedSegments.push(segment);
    }
  }

  readInline(segment: Segment): Buffer {
    const row = this.get('SELECT body FROM inline_bodies WHERE id = ?', segment.id);
    if (row === undefined) throw new Error(`The index holds no body ${segment.id}.`);
    return viewBytes(row['body']);
  }

  /** Removes an upload with the parts that nothing else uses. */
  removeUpload(uploadId: string, keptSegments: ReadonlySet<string> = new Set()): void {
    const parts = this.prepare('SELECT segment FROM parts WHERE upload = ?').all(uploadId);
    const segments = parts.map((part) => JSON.parse(String(part['segment'])) as Segment);
    this.drop(segments.filter((segment) => !keptSegments.has(segment.id)));
    this.prepare('DELETE FROM parts WHERE upload = ?').run(uploadId);
    this.prepare('DELETE FROM uploads WHERE id = ?').run(uploadId);
  }

  *#iterate(sql: string, values: (number | Uint8Array)[]): Generator<ObjectVersion> {
    for (const row of this.prepare(sql).iterate(...values)) yield readVersion(row);
  }

  #insert(version: ObjectVersion, bucketId: number): void {
    this.prepare(
      `INSERT INTO versions (id, bucket, key, version_id, is_delete_marker, size_bytes, etag, modified_ms, attributes, checksum, segments, parts)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      version.id,
      bucketId,
      Buffer.from(version.key),
      version.versionId,
      version.isDeleteMarker ? 1 : 0,
      version.sizeBytes,
      version.etag,
      version.modifiedMs,
      JSON.stringify(version.attributes),
      version.checksum === null ? null : JSON.stringify(version.checksum),
      JSON.stringify(version.segments),
      version.parts === null ? null : JSON.stringify(version.parts),
    );
  }

  #removeVersion(bucketId: number, key: string, versionId: string): ObjectVersion | null {
    const version = this.findVersion(bucketId, key, versionId);
    if (version === null) return null;
    this.drop(version.segments);
    this.prepare('DELETE FROM versions WHERE id = ?').run(version.id);
    return version;
  }

  #markCurrent(bucketId: number, key: string): void {
    const keyBytes = Buffer.from(key);
    this.prepare(
      'UPDATE versions SET is_current_object = 0 WHERE bucket = ? AND key = ? AND is_current_object = 1',
    ).run(bucketId, keyBytes);
    this.prepare(
      `UPDATE versions SET is_current_object = 1 WHERE is_delete_marker = 0 AND id =
         (SELECT id FROM versions WHERE bucket = ? AND key = ? ORDER BY id DESC LIMIT 1)`,
    ).run(bucketId, keyBytes);
  }

  #versionIdFor(bucketId: number, id: number): string {
    const row = this.get('SELECT versioning FROM buckets WHERE id = ?', bucketId);
    return row?.['versioning'] === 'Enabled' ? this.versionIds.make(id) : 'null';
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId += 1;
    if (id % idBlock === 0) this.#reserveIds();
    return id;
  }

  #reserveIds(): void {
    const reserved = Math.ceil((this.#nextId + 1) / idBlock) * idBlock + 1;
    this.prepare(
      "INSERT INTO settings (name, value) VALUES ('next-version', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    ).run(Buffer.from(String(reserved)));
  }

  #readOrMakeSecret(name: string, sizeBytes: number): Buffer {
    this.prepare('INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING').run(
      name,
      randomBytes(sizeBytes),
    );
    return Buffer.from(viewBytes(this.get('SELECT value FROM settings WHERE name = ?', name)?.['value']));
  }
}

const idBlock = 1000;
const bucketColumns = 'SELECT * FROM buckets LEFT JOIN bucket_tags ON bucket = id';

function boundsOf(request: PageRequest): { prefix: Buffer; delimiter: Buffer; maxItems: number } {
  return {
    prefix: Buffer.from(request.prefix),
    delimiter: Buffer.from(request.delimiter),
    maxItems: request.maxItems,
  };
}
