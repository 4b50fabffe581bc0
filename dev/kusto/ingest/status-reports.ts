import { randomUUID } from 'node:crypto';
import type { TableClient, TableEntity, TransactionAction } from '@azure/data-tables';
import type { QueueClient } from '@azure/storage-queue';
import { openStatusTable } from '../storage/ingestion-resources.ts';
import { isPassing, nameOf, retryPassing } from '../storage/storage-retry.ts';
import { Limit, runConcurrently } from './concurrency.ts';
import type { FailureStatus } from './ingestion-error.ts';
import type { IngestionMessage } from './ingestion-message.ts';

export type IngestionStatus = 'Succeeded' | 'Failed' | 'Skipped' | 'PartiallySucceeded';

export interface IngestionReport {
  readonly message: IngestionMessage;
  readonly status: IngestionStatus;
  readonly operationId: string;
  readonly activityId: string;
  readonly errorCode: string | undefined;
  readonly failureStatus: FailureStatus | undefined;
  readonly details: string;
}

export interface StatusReporterOptions {
  readonly failedQueues: readonly QueueClient[];
  readonly succeededQueues: readonly QueueClient[];
  /** Called for a report that can't be written, with the reason: its message names nothing to write to, or the storage refused it. */
  onLost(report: IngestionReport, reason: string): void;
  /** Called with every report, also with those that no queue and no table gets. */
  onReport(report: IngestionReport): void;
  /** Called when a report is tried again after an error that may pass. */
  onRetried(): void;
}

/** Over all batches: a storage that is slow already must not be asked more at a time. */
const CONCURRENCY = 16;
const MAX_TRANSACTION = 100;
/** A table client per address; a load names the same address in every message. */
const MAX_CLIENTS = 32;

/**
 * Writes what became of sources to the status queues and to the status entities that messages name. A storage that does not answer, or
 * answers with an error that may pass, is asked again: a report is lost for good reasons only.
 */
export class StatusReporter {
  readonly #options: StatusReporterOptions;
  readonly #abort = new AbortController();
  readonly #limit = new Limit(CONCURRENCY);
  readonly #tables = new Map<string, TableClient>();
  #turn = 0;

  constructor(options: StatusReporterOptions) {
    this.#options = options;
  }

  async write(reports: readonly IngestionReport[]): Promise<void> {
    for (const report of reports) this.#options.onReport(report);
    const wanted = reports.filter(isWanted);
    await Promise.all([
      runConcurrently(
        wanted.filter((report) => report.message.reportMethod !== 'table'),
        CONCURRENCY,
        (report) => this.#writeToQueue(report),
      ),
      this.#writeToTables(wanted.filter((report) => report.message.reportMethod !== 'queue')),
    ]);
  }

  /** Ends the waiting for a storage that is away; what is not written by then is lost. */
  stop(): void {
    this.#abort.abort();
  }

  #retry(work: (signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
    let tries = 0;
    return retryPassing(
      (signal) => {
        if (tries > 0) this.#options.onRetried();
        tries += 1;
        return work(signal);
      },
      { signal: this.#abort.signal, limit: this.#limit },
    );
  }

  async #writeToQueue(report: IngestionReport): Promise<void> {
    const isFailure = report.status === 'Failed';
    const queues = isFailure ? this.#options.failedQueues : this.#options.succeededQueues;
    this.#turn += 1;
    const queue = queues[this.#turn % queues.length];
    const { message } = report;
    const now = new Date().toISOString();
    const shared = {
      OperationId: report.operationId,
      Database: message.database,
      Table: message.table,
      IngestionSourceId: message.id,
      IngestionSourcePath: message.sourcePath,
      RootActivityId: report.activityId,
    };
    const body = isFailure
      ? {
          ...shared,
          FailedOn: now,
          Details: report.details,
          ErrorCode: report.errorCode,
          FailureStatus: report.failureStatus,
          OriginatesFromUpdatePolicy: false,
          ShouldRetry: report.failureStatus === 'Transient' || report.failureStatus === 'Exhausted',
        }
      : { ...shared, SucceededOn: now };
    const text = Buffer.from(JSON.stringify(body)).toString('base64');
    try {
      await this.#retry(async (abortSignal) => queue?.sendMessage(text, { abortSignal }));
    } catch (error) {
      this.#options.onLost(report, nameOf(error));
    }
  }

  /** Reports that share a partition go in one transaction of up to 100. */
  async #writeToTables(reports: readonly IngestionReport[]): Promise<void> {
    const groups = new Map<string, IngestionReport[]>();
    for (const report of reports) {
      const entity = report.message.statusEntity;
      if (entity === undefined) {
        this.#options.onLost(report, 'the message names no status entity');
        continue;
      }
      const key = `${entity.tableUrl}\n${entity.partitionKey}`;
      groups.set(key, [...(groups.get(key) ?? []), report]);
    }
    const transactions = [...groups.values()].flatMap((group) => {
      const unique = new Map(group.map((report) => [report.message.statusEntity?.rowKey, report]));
      const rows = [...unique.values()];
      return Array.from({ length: Math.ceil(rows.length / MAX_TRANSACTION) }, (_, index) =>
        rows.slice(index * MAX_TRANSACTION, (index + 1) * MAX_TRANSACTION),
      );
    });
    await runConcurrently(transactions, CONCURRENCY, (rows) => this.#merge(rows));
  }

  async #merge(reports: readonly IngestionReport[]): Promise<void> {
    const [first] = reports;
    if (first?.message.statusEntity === undefined) return;
    const { tableUrl } = first.message.statusEntity;
    try {
      await this.#retry((abortSignal) => {
        const client = this.#openTable(tableUrl);
        return reports.length === 1
          ? client.updateEntity(makeEntity(first), 'Merge', { abortSignal })
          : client.submitTransaction(
              reports.map((report): TransactionAction => ['update', makeEntity(report), 'Merge']),
              { abortSignal },
            );
      });
    } catch (error) {
      // One missing entity fails its whole transaction: the others are written one by one.
      if (reports.length > 1 && !isPassing(error))
        await runConcurrently(reports, CONCURRENCY, (report) => this.#merge([report]));
      else for (const report of reports) this.#options.onLost(report, nameOf(error));
    }
  }

  #openTable(tableUrl: string): TableClient {
    let client = this.#tables.get(tableUrl);
    if (client === undefined) {
      client = openStatusTable(tableUrl);
      if (this.#tables.size >= MAX_CLIENTS) this.#tables.clear();
      this.#tables.set(tableUrl, client);
    }
    return client;
  }
}

function isWanted(report: IngestionReport): boolean {
  const level = report.message.reportLevel;
  return level === 'all' || (level === 'failures' && report.status === 'Failed');
}

function makeEntity(report: IngestionReport): TableEntity {
  const { message } = report;
  return {
    partitionKey: message.statusEntity?.partitionKey ?? '',
    rowKey: message.statusEntity?.rowKey ?? '',
    Status: report.status,
    IngestionSourceId: message.id,
    IngestionSourcePath: message.sourcePath,
    Database: message.database,
    Table: message.table,
    UpdatedOn: new Date(),
    OperationId: { type: 'Guid', value: report.operationId },
    ActivityId: { type: 'Guid', value: report.activityId },
    ErrorCode: report.errorCode ?? '',
    FailureStatus: report.failureStatus ?? '',
    Details: report.details,
    OriginatesFromUpdatePolicy: false,
  };
}

export function makeReport(
  message: IngestionMessage,
  outcome: {
    status: IngestionStatus;
    operationId?: string;
    errorCode?: string;
    failureStatus?: FailureStatus;
    details?: string;
  },
): IngestionReport {
  return {
    message,
    status: outcome.status,
    operationId: outcome.operationId ?? randomUUID(),
    activityId: randomUUID(),
    errorCode: outcome.errorCode,
    failureStatus: outcome.failureStatus,
    details: outcome.details ?? '',
  };
}
