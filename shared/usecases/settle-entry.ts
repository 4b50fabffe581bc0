import { type IngestionStatus, settleStatus } from '../domain/ingestion-status.ts';
import type { LedgerEntry } from '../domain/ledger-entry.ts';
import { redact } from '../errors/loader-error.ts';

/** The entry after ADX's report, or `null` when the report settles nothing. */
export function settleEntry(
  entry: LedgerEntry,
  status: IngestionStatus | null,
  now: Date,
): LedgerEntry | null {
  const settled = settleStatus(status, entry.urlExpiresAt === null ? null : new Date(entry.urlExpiresAt));
  const settledAt = status?.updatedAt ?? now.toISOString();
  switch (settled.settled) {
    case 'no':
      return null;
    case 'ingested':
      return { ...entry, state: 'ingested', settledAt, errorCode: null, errorMessage: null };
    case 'failed':
      return {
        ...entry,
        state: 'failed',
        settledAt,
        errorCode: settled.code,
        errorMessage: redact(settled.message),
        fateUnknown: settled.mayHaveRows,
      };
  }
}
