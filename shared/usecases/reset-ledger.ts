import * as v from 'valibot';

import { parseWith } from '../config/parse-definition.ts';
import type { ResetRequest } from '../domain/operation.ts';
import { operationId } from '../domain/run-id.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { Orchestrations } from '../ports/orchestrations.ts';
import { beginOperation, loadBusy } from './begin-operation.ts';
import { getLoad } from './load-catalog.ts';
import type { Loader } from './loader.ts';

const ResetSchema = v.strictObject({
  prefix: v.pipe(v.string(), v.maxLength(1024, 'must be at most 1,024 characters long')),
});

/** The body of a reset. The prefix must be there: an empty one means all objects. @throws {LoaderError} `invalidRequest`. */
export function parseReset(json: unknown): { readonly prefix: string } {
  const { value, problems } = parseWith(ResetSchema, json ?? {});
  if (value !== null) return value;
  throw new LoaderError('invalidRequest', 'The load can not be reset as asked', { problems });
}

/**
 * Begins to make the ledger of a load forget that it has loaded the objects under a prefix, so that the next run loads them
 * again. Their rows stay in the table.
 *
 * @throws {LoaderError} `loadNotFound`; `loadBusy`.
 */
export async function startReset(
  loader: Loader,
  orchestrations: Orchestrations,
  { load, prefix }: { readonly load: string; readonly prefix: string },
): Promise<{ readonly operationId: string }> {
  const { generation } = await getLoad(loader, load);
  const now = loader.now();
  const runId = operationId('reset', load, now, loader.randomSuffix());
  const createdAt = now.toISOString();
  const request: ResetRequest = { operation: 'reset', runId, load, prefix, generation, createdAt };
  const holder = await beginOperation(loader, orchestrations, request);
  if (holder === null) return { operationId: runId };
  const isTwin = 'operation' in holder && holder.operation === 'reset' && holder.prefix === prefix;
  if (!isTwin) throw loadBusy(load, holder);
  return { operationId: holder.runId };
}
