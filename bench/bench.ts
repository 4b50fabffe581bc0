/** How a figure is shown. `ratio` has no unit, `count` is a whole number. */
export type Unit = 'ms' | 's' | 'bytes' | 'ratio' | 'count' | 'per second';

/** One measured value. Its name is the key by which it is compared with the baseline. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
  /** The stated bound: the bench fails when the value is above it. */
  readonly most?: number;
}

export interface BenchResult {
  readonly figures: readonly Figure[];
  /** Rows of cells for people, the first row being the heading. */
  readonly table?: readonly (readonly string[])[];
  /** What a reader must know to read the figures. */
  readonly notes?: readonly string[];
}

/**
 * What a bench is given. What it starts and writes goes through here, so that an interruption leaves nothing
 * behind.
 */
export interface BenchRun {
  /** An empty folder, removed afterwards. */
  readonly folder: string;
  /** Aborted on Ctrl-C. */
  readonly signal: AbortSignal;
  /** One line of progress, on stderr. */
  say(line: string): void;
  /**
   * Starts a part. It is stopped at the end, the last one first, also when it was still starting.
   *
   * @throws when the bench was interrupted: then nothing is started any more.
   */
  start<Part extends Stoppable>(start: () => Promise<Part>): Promise<Part>;
}

/** `stop` may be called more than once. */
export interface Stoppable {
  stop(): Promise<void>;
}

export interface Bench {
  readonly name: string;
  /** One line for `--list`. */
  readonly about: string;
  /** Takes minutes: runs only when it is named, or with `--all`. */
  readonly isLong: boolean;
  readonly run: (run: BenchRun) => Promise<BenchResult>;
}
