import { randomUUID } from 'node:crypto';
import type { TableClient, TableEntity, TransactionAction } from '@azure/data-tables';
import type { QueueClient } from '@azure/storage-queue';
import { openStatusTable } from '../storage/ingestion-resources.ts';
import { runConcurrently } from './concurrency.ts';
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
  /** Called for a report that could not be written, with the reason. */
  onLost(report: IngestionReport, reason: string): void;
}

const CONCURRENCY = 16;
const MAX_TRANSACTION = 100;
/** A table client per address; a load names the same address in every message. */
const MAX_CLIENTS = 32;

/** Writes what became of sources to the status queues and to the status entities that messages name. */
export class StatusReporter {
  readonly #options: StatusReporterOptions;
  readonly #tables = new Map<string, TableClient>();
  #turn = 0;

  constructor(options: StatusReporterOptions) {
    this.#options = options;
  }

  async write(reports: readonly IngestionReport[]): Promise<void> {
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
    try {
      await queue?.sendMessage(Buffer.from(JSON.stringify(body)).toString('base64'));
    } catch (error) {
      this.#options.onLost(report, (error as Error).message);
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
    try {
      const client = this.#openTable(first.message.statusEntity.tableUrl);
      if (reports.length === 1) {
        await client.updateEntity(makeEntity(first), 'Merge');
        return;
      }
      await client.submitTransaction(
        reports.map((report): TransactionAction => ['update', makeEntity(report), 'Merge']),
      );
    } catch (error) {
      // One missing entity fails its whole transaction: the others are written one by one.
      if (reports.length > 1) await runConcurrently(reports, CONCURRENCY, (report) => this.#merge([report]));
      else this.#options.onLost(first, (error as { code?: string }).code ?? (error as Error).name);
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
