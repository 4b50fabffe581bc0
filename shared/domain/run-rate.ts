/** How far a run was at an instant. Absolute figures: a sample that is written twice says the same. */
export interface ProgressSample {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Objects that have come to their end. */
  readonly objects: number;
  /** Their bytes as they lie in S3. */
  readonly bytes: number;
}

export interface Rate {
  readonly objectsPerSecond: number;
  readonly bytesPerSecond: number;
}

/** A sample is kept when the one before is so old; with as many as are kept, the rate is that of the last five minutes. */
const SAMPLE_EVERY_MS = 15_000;
const SAMPLES = 20;

/** Adds a sample, or leaves the samples as they are when the last one is young. */
export function withSample(
  samples: readonly ProgressSample[],
  sample: ProgressSample,
  timeScale: number,
): readonly ProgressSample[] {
  const last = samples.at(-1);
  const ageMs = last === undefined ? Number.POSITIVE_INFINITY : Date.parse(sample.at) - Date.parse(last.at);
  return ageMs * timeScale < SAMPLE_EVERY_MS ? samples : [...samples, sample].slice(-SAMPLES);
}

/** Samples that are older count no more, but for the newest of them: parts of earlier epochs, and settlers without work, keep theirs. */
const WINDOW_MS = SAMPLES * SAMPLE_EVERY_MS;

/** The rate of the last five minutes, by samples of any order; `null` when there is nothing to tell it by. */
export function rateOf(
  samples: readonly ProgressSample[],
  now: ProgressSample,
  timeScale: number,
): Rate | null {
  const sorted = samples.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const from = Date.parse(now.at) - WINDOW_MS / timeScale;
  const oldest = sorted.findLast(({ at }) => Date.parse(at) < from) ?? sorted[0];
  if (oldest === undefined) return null;
  const seconds = (Date.parse(now.at) - Date.parse(oldest.at)) / 1000;
  if (!(seconds > 0)) return null;
  return {
    objectsPerSecond: Math.max(0, now.objects - oldest.objects) / seconds,
    bytesPerSecond: Math.max(0, now.bytes - oldest.bytes) / seconds,
  };
}

/** Time that is left at this rate, in seconds; `null` when nothing moves. */
export function secondsLeft(rate: Rate | null, objectsLeft: number): number | null {
  if (objectsLeft === 0) return 0;
  return rate === null || rate.objectsPerSecond === 0 ? null : Math.ceil(objectsLeft / rate.objectsPerSecond);
}
