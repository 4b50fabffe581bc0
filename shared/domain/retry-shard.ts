import { ERROR_KINDS } from '../errors/loader-error.ts';
import { aroundMs } from './jitter.ts';
import type { LedgerEntry } from './ledger-entry.ts';

/**
 * Objects that a run posts once more make up a shard of their own, named after the one that they were in: `0003-001r1`,
 * then `0003-001r2`. The settlers work through it, for the lanes may have ended long before.
 */
const RETRY = /r(\d+)$/;

/** 0 for a shard that the planner made, else the number of the retry. */
export function retryNumber(shard: string): number {
  return Number(RETRY.exec(shard)?.[1] ?? 0);
}

/** Name of the shard that takes the objects of this one which are posted once more. */
export function retryShardOf(shard: string): string {
  return `${shard.replace(RETRY, '')}r${retryNumber(shard) + 1}`;
}

/** Each pause is so many times the one before, until the longest. */
const GROWTH = 4;
const LONGEST_DELAY_MS = 15 * 60_000;

/**
 * Pause before a retry shard is worked through, in milliseconds: it lies around a mean that grows with the number of the
 * retry.
 *
 * @param firstDelayMs - mean of the pause before the second attempt.
 * @param random - 0 inclusive to 1 exclusive.
 */
export function retryDelayMs(retryShard: string, firstDelayMs: number, random: number): number {
  const mean = Math.min(firstDelayMs * GROWTH ** (retryNumber(retryShard) - 1), LONGEST_DELAY_MS);
  return aroundMs(mean, random);
}

/**
 * Whether an object that failed in this run is posted once more: ADX or its queues could not take it, or came too late to
 * read it. What the object, the table or a permission is the cause of is not retried.
 */
export function isRetriable({ state, errorCode }: Pick<LedgerEntry, 'state' | 'errorCode'>): boolean {
  return state === 'failed' && errorCode !== null && !ERROR_KINDS[errorCode].permanent;
}
