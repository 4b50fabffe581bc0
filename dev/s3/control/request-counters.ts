export interface OperationCount {
  /** Requests that were recognised, whatever became of them. */
  readonly requests: number;
  /** Those that were answered with a status of 400 or more. */
  readonly errors: number;
}

/** Counts requests by operation, for tests and benches that hold a client to its number of requests. */
export class RequestCounters {
  #counts = new Map<string, { requests: number; errors: number }>();

  countRequest(operation: string): void {
    this.#entry(operation).requests += 1;
  }

  countError(operation: string): void {
    this.#entry(operation).errors += 1;
  }

  read(): Record<string, OperationCount> {
    return Object.fromEntries([...this.#counts].map(([operation, counts]) => [operation, { ...counts }]));
  }

  reset(): void {
    this.#counts = new Map();
  }

  #entry(operation: string): { requests: number; errors: number } {
    let entry = this.#counts.get(operation);
    if (entry === undefined) {
      entry = { requests: 0, errors: 0 };
      this.#counts.set(operation, entry);
    }
    return entry;
  }
}
