import type { Readable } from 'node:stream';

/** One file: a source that is no archive has one, a zip archive one for each entry. */
export interface SourcePart {
  open(): Promise<Readable>;
  /** A file with the bytes, for DuckDB; it belongs to the source. */
  toFile(): Promise<string>;
}
