/** How much one run may take; `null`: all. */
export interface RunLimits {
  readonly maxObjects: number | null;
  readonly maxBytes: number | null;
}

export const NO_LIMITS: RunLimits = { maxObjects: null, maxBytes: null };

export function isLimited({ maxObjects, maxBytes }: RunLimits): boolean {
  return maxObjects !== null || maxBytes !== null;
}

/** What a run has taken so far. */
export interface Taken {
  readonly objects: number;
  readonly bytes: number;
}

/**
 * Whether an object fits into the run beside what it has taken. The first one always does: a limit below the size of an
 * object would else keep it out for ever.
 */
export function fits({ maxObjects, maxBytes }: RunLimits, taken: Taken, sizeBytes: number): boolean {
  if (taken.objects === 0) return true;
  if (maxObjects !== null && taken.objects >= maxObjects) return false;
  return maxBytes === null || taken.bytes + sizeBytes <= maxBytes;
}
