/** A part of an object, and the size of the whole. */
export interface ReadPart {
  readonly body: Uint8Array;
  readonly sizeBytes: number;
}

/** Metadata of a file with some hundred columns and row groups; what is longer costs a second request. */
const FIRST_READ_BYTES = 64 * 1024;

/** Longer metadata than any writer makes; a hostile length must not be asked for. */
const MOST_METADATA_BYTES = 64 * 1024 * 1024;

/** Before the last four bytes, which are `PAR1`, stands the length of the metadata. */
const TRAILER_BYTES = 8;

/**
 * Rows of a Parquet file by the metadata at its end; `null` when it is none, or can't be read.
 *
 * @param read - answers an HTTP range such as `bytes=-65536`; `null` when the file is not there.
 */
export async function readParquetRows(
  read: (range: string) => Promise<ReadPart | null>,
): Promise<number | null> {
  const tail = await read(`bytes=-${FIRST_READ_BYTES}`);
  if (tail === null || tail.body.length < TRAILER_BYTES) return null;
  const trailer = Buffer.from(tail.body.subarray(-TRAILER_BYTES));
  const metadataBytes = trailer.readUInt32LE(0);
  // Metadata that are encrypted end with `PARE`.
  if (trailer.toString('latin1', 4) !== 'PAR1' || metadataBytes > MOST_METADATA_BYTES) return null;
  const neededBytes = metadataBytes + TRAILER_BYTES;
  if (neededBytes > tail.sizeBytes) return null;
  const footer = neededBytes <= tail.body.length ? tail : await read(`bytes=-${neededBytes}`);
  if (footer === null || footer.body.length < neededBytes) return null;
  const { parquetMetadata } = await import('hyparquet');
  try {
    // A copy: the library reads from the first byte of a buffer.
    const rows = Number(parquetMetadata(new Uint8Array(footer.body.subarray(-neededBytes)).buffer).num_rows);
    return Number.isSafeInteger(rows) && rows >= 0 ? rows : null;
  } catch {
    return null;
  }
}
