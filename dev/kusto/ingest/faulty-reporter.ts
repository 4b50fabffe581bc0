import type { Faults } from '../faults.ts';
import type { IngestionCounters } from './ingestion-counters.ts';
import type { IngestionReport, StatusReporter } from './status-reports.ts';

/** Reports, but for those that are to be withheld or to come late on request. */
export class FaultyReporter {
  readonly #reporter: StatusReporter;
  readonly #faults: Faults;
  readonly #counters: IngestionCounters;

  constructor(reporter: StatusReporter, faults: Faults, counters: IngestionCounters) {
    this.#reporter = reporter;
    this.#faults = faults;
    this.#counters = counters;
  }

  async write(reports: readonly IngestionReport[]): Promise<void> {
    const now: IngestionReport[] = [];
    for (const report of reports) {
      if (this.#faults.takeIngestionFault(report.message, 'suppressStatus') !== undefined) {
        this.#counters.statusReportsSuppressed += 1;
        continue;
      }
      const late = this.#faults.takeIngestionFault(report.message, 'delay');
      if (late === undefined) now.push(report);
      else setTimeout(() => void this.#reporter.write([report]), late.delayMs ?? 1_000).unref();
    }
    await this.#reporter.write(now);
  }
}
