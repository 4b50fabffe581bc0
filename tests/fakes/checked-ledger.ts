import { expect } from 'vitest';
import { LEDGER_TRANSITIONS, type LedgerEntry } from '../../shared/domain/ledger-entry.ts';
import type { Ledger } from '../../shared/ports/ledger.ts';

/** What is wrong about a change of an entry by the closed table of the ledger; `null`: nothing. */
export function wrongTransition(from: LedgerEntry | null, to: LedgerEntry): string | null {
  if (from === null) return to.state === 'intent' ? null : 'An entry begins as intent';
  if (JSON.stringify(from) === JSON.stringify(to)) return null;
  if (!LEDGER_TRANSITIONS[from.state].includes(to.state)) return 'States change by the table';
  if (to.attemptSeq < from.attemptSeq) return 'attemptSeq never decreases';
  if (to.sourceId !== from.sourceId && to.attemptSeq === from.attemptSeq)
    return 'Every message has an attempt of its own';
  return null;
}

/** A ledger that fails the test, whoever catches what, when a change is written that the closed table does not have. */
export function checkedLedger(ledger: Ledger): Ledger {
  return {
    ...ledger,
    write: async (name, writes) => {
      const before = await ledger.readKeys(
        name,
        writes.map(({ entry }) => entry.key),
      );
      const etags = await ledger.write(name, writes);
      for (const [index, { entry, etag }] of writes.entries()) {
        const stored = before.get(entry.key);
        // What was not written, or stood there otherwise when it was read, changes nothing.
        if (etags[index] == null || (stored?.etag ?? null) !== etag) continue;
        const from = stored?.value ?? null;
        expect.soft(wrongTransition(from, entry), JSON.stringify({ from, to: entry })).toBeNull();
      }
      return etags;
    },
  };
}
