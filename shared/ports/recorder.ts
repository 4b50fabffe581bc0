import type { ObjectOutcome, RunSummary } from '../domain/run-summary.ts';

/** A shard of a run whose objects have all come to their end. */
export interface EndedShard {
  readonly runId: string;
  readonly load: string;
  readonly bucket: string;
  readonly shard: string;
  readonly endedAt: Date;
  readonly outcomes: readonly ObjectOutcome[];
}

/**
 * Takes what runs did somewhere else, for people to look at: traces and metrics, tables. A shard or a run that is told
 * twice, as its activity ran twice, is the same one.
 *
 * Rejects when it could not; nothing of a run depends on it.
 */
export interface Recorder {
  /** For the log. */
  readonly name: string;
  shardEnded(shard: EndedShard): Promise<void>;
  runEnded(summary: RunSummary, run: { readonly bucket: string }): Promise<void>;
}
