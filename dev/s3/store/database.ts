import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Goes up whenever a folder that was written before can't be read any more. */
const indexFormat = 2;

const schema = `
  CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    versioning TEXT NOT NULL DEFAULT 'never'
  );
  CREATE TABLE IF NOT EXISTS bucket_tags (bucket INTEGER PRIMARY KEY, tags TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS versions (
    id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    version_id TEXT NOT NULL,
    is_delete_marker INTEGER NOT NULL,
    is_current_object INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    checksum TEXT,
    segments TEXT NOT NULL,
    parts TEXT
  );
  CREATE INDEX IF NOT EXISTS versions_by_key ON versions (bucket, key, id DESC);
  CREATE UNIQUE INDEX IF NOT EXISTS current_objects ON versions (bucket, key) WHERE is_current_object = 1;
  CREATE TABLE IF NOT EXISTS inline_bodies (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    initiated_ms INTEGER NOT NULL,
    version_place INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    checksum_algorithm TEXT,
    checksum_type TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    etag TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    checksum TEXT,
    segment TEXT NOT NULL,
    PRIMARY KEY (upload, number)
  ) WITHOUT ROWID;
`;

/**
 * Opens the index of a data folder, creating both as needed.
 *
 * @throws Error if another endpoint has the folder open, or the folder was written by another version
 */
export function openDatabase(folder: string): DatabaseSync {
  mkdirSync(folder, { recursive: true });
  const database = new DatabaseSync(join(folder, 'index.sqlite'));
  try {
    // One process per folder: a second one would not see the first one's open bodies.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    database.exec('PRAGMA cache_size = -65536; BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    database.close();
    throw new Error(
      `The folder ${folder} is in use by another S3 endpoint. Stop that one or choose another folder.`,
      { cause: error },
    );
  }
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  if (version !== 0 && version !== indexFormat) {
    database.close();
    throw new Error(
      `The folder ${folder} has an index of format ${version}; this endpoint reads format ${indexFormat}. Choose another folder.`,
    );
  }
  database.exec(`BEGIN; ${schema} PRAGMA user_version = ${indexFormat}; COMMIT`);
  return database;
}
