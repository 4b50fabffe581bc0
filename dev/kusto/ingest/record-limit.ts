import { IngestionError } from './ingestion-error.ts';

/** A record longer than this fails its source. */
const MAX_RECORD_CHARS = 64 * 1024 * 1024;

/** @throws IngestionError `Stream_InputStreamTooLarge`. */
export function requireRecordLength({ length }: { readonly length: number }, recordNumber: number): void {
  if (length > MAX_RECORD_CHARS)
    throw new IngestionError('Stream_InputStreamTooLarge', `Record ${recordNumber} is longer than 64 MB.`);
}
