import { isUnsettled, type LedgerEntry } from '../domain/ledger-entry.ts';
import type { ResetOperation } from '../domain/operation.ts';
import { LoaderError } from '../errors/loader-error.ts';
import { countMore, type Entries, markMore } from './ledger-walk.ts';
import type { Loader } from './loader.ts';

/** Takes a reset a step further. @throws {LoaderError} what forbids it: `resetUnsettled`. */
export async function takeResetStep(loader: Loader, operation: ResetOperation): Promise<ResetOperation> {
  const { load, generation } = operation;
  const ledger = { load, generation };
  if (operation.step === 'check') {
    const walked = await countMore(loader, ledger, operation, (entries) => countUnder(operation, entries));
    return walked.isThrough ? { ...operation, step: 'mark', partition: 0 } : walked.operation;
  }
  const walked = await markMore(loader, ledger, operation, (entry) => isKnown(operation, entry));
  return walked.isThrough
    ? { ...operation, state: 'succeeded', endedAt: loader.now().toISOString() }
    : walked.operation;
}

function countUnder(operation: ResetOperation, entries: Entries): number {
  const unsettled = entries.find(
    ({ value }) => value.key.startsWith(operation.prefix) && isUnsettled(value.state),
  );
  if (unsettled !== undefined)
    throw new LoaderError(
      'resetUnsettled',
      `Nobody has reported yet whether the rows of "${unsettled.value.key}" are in the table, and there may be more such objects`,
    );
  return entries.filter(({ value }) => isKnown(operation, value)).length;
}

function isKnown({ prefix }: ResetOperation, { key, state }: LedgerEntry): boolean {
  return key.startsWith(prefix) && (state === 'ingested' || state === 'failed');
}
