import { createHash } from 'node:crypto';

/** What makes one attempt to ingest one object version unlike any other. */
export interface SourceIdInput {
  /** Id of the app: schedules give the runs of two apps one id. */
  readonly appId: string;
  /** New with every run, so that a ledger that was lost, restored or begun anew never meets an id of an older message. */
  readonly runId: string;
  readonly load: string;
  readonly generation: number;
  readonly cluster: string;
  readonly database: string;
  readonly table: string;
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
  /** 1 for the first attempt; it never decreases, so that a run never uses an id for two messages. */
  readonly attemptSeq: number;
}

/**
 * The source id of an ingestion message: a UUID with the version and variant bits of v4, which ADX's SDKs insist on,
 * and otherwise the first 122 bits of a SHA-256. The same attempt of a run always has the same id, also in two activities and in
 * two epochs.
 */
export function sourceIdOf(input: SourceIdInput): string {
  const parts = [
    input.appId,
    input.runId,
    input.load,
    String(input.generation),
    input.cluster.toLowerCase(),
    input.database,
    input.table,
    input.bucket,
    input.key,
    input.version,
    String(input.attemptSeq),
  ];
  return uuidOf(parts);
}

/** The UUID of a list of texts, with the version and variant bits of v4. */
export function uuidOf(parts: readonly string[]): string {
  // Lengths in front: no two lists of parts give one text.
  const bytes = createHash('sha256')
    .update(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''))
    .digest();
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
