/** JSON and NDJSON documents by path, such as `runs/{id}/summary.json`. */
export interface Documents {
  /**
   * Writes a document.
   * - `always`: creates or replaces.
   * - `ifAbsent`: only when there is none; `written: false` leaves what is there.
   * - `{ etag }`: only over that version.
   */
  put(
    path: string,
    body: string,
    when: 'always' | 'ifAbsent' | { readonly etag: string },
  ): Promise<{ readonly written: boolean }>;

  /** The whole document, or `null` when there is none. */
  get(path: string): Promise<{ readonly body: string; readonly etag: string } | null>;

  /** Up to `length` bytes from `offset`, or `null` when there is no such document. An offset behind the end gives none. */
  getRange(path: string, offset: number, length: number): Promise<Buffer | null>;

  /** Paths that begin with `prefix`, ascending. */
  list(prefix: string): Promise<readonly string[]>;

  /** Removes a document; that there is none is no error. */
  delete(path: string): Promise<void>;
}
