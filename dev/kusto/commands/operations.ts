import { randomUUID } from 'node:crypto';
import { IngestionError, toKustoError } from '../ingest/ingestion-error.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { KustoError, makeEntityNotFound } from '../kusto-error.ts';
import { formatTimespan } from '../ticks.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandText } from './command-text.ts';
import { makeTable } from './make-table.ts';

interface Operation {
  readonly id: string;
  /** As the service names it: `DataIngestPull`, `TableAppend`, ... */
  readonly kind: string;
  readonly database: string;
  readonly rootActivityId: string;
  readonly startedAtMs: number;
  updatedAtMs: number;
  state: 'InProgress' | 'Completed' | 'Failed';
  /** Why it failed. */
  status: string;
  shouldRetry: boolean;
  result: ResultTable | undefined;
}

/** What `.show ingestion failures` tells of one source of a command. */
export interface IngestionFailure {
  readonly operationId: string;
  readonly kind: string;
  readonly database: string;
  readonly table: string;
  readonly sourcePath: string;
  /** Properties of the ingestion, as JSON. */
  readonly properties: string;
  readonly error: IngestionError;
}

const MAX_KEPT = 10_000;

/** Commands that load data, under way and done, and the sources that they could not load. Kept as long as the process lives. */
export class Operations {
  readonly #operations = new Map<string, Operation>();
  readonly #failures: (IngestionFailure & { readonly failedOn: string; readonly rootActivityId: string })[] =
    [];
  readonly #running = new Set<Promise<unknown>>();

  /** Runs the work of a command. @throws what it throws. */
  async run(
    input: { readonly kind: string; readonly database: string },
    work: (operationId: string) => Promise<ResultTable>,
  ): Promise<ResultTable> {
    return this.#perform(this.#add(input), work);
  }

  /** Runs the work in the background. @returns at once, with the operation's id. */
  start(
    input: { readonly kind: string; readonly database: string },
    work: (operationId: string) => Promise<ResultTable>,
  ): ResultTable {
    const operation = this.#add(input);
    const running = this.#perform(operation, work).catch(() => undefined);
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
    return makeTable('OperationId:guid', [[operation.id]]);
  }

  /** Resolves when nothing runs in the background any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  addFailure(failure: IngestionFailure): void {
    const rootActivityId = this.#operations.get(failure.operationId)?.rootActivityId ?? randomUUID();
    this.#failures.push({ ...failure, failedOn: new Date().toISOString(), rootActivityId });
    if (this.#failures.length > MAX_KEPT) this.#failures.shift();
  }

  /** `.show operations [id | (id, ...)]`, the newest first. */
  show(text: CommandText): ResultTable {
    const ids = readIds(text);
    text.end();
    const found = [...this.#operations.values()]
      .filter(({ id }) => ids === undefined || ids.includes(id))
      .reverse();
    return makeTable(
      'OperationId:guid, Operation, NodeId, StartedOn:datetime, LastUpdatedOn:datetime, Duration:timespan, State, Status, RootActivityId:guid, ' +
        'ShouldRetry:bool, Database, Principal, User, AdminEpochStartTime:datetime, VirtualCluster',
      found.map((operation) => [
        ...[operation.id, operation.kind, '', toIso(operation.startedAtMs), toIso(operation.updatedAtMs)],
        formatTimespan(BigInt(operation.updatedAtMs - operation.startedAtMs) * 10_000n),
        ...[operation.state, operation.status, operation.rootActivityId, operation.shouldRetry],
        ...[operation.database, 'localuser', 'localuser', null, ''],
      ]),
    );
  }

  /** `.show operation id details`: what the command would have answered. @throws KustoError when it has not completed. */
  showDetails(text: CommandText): ResultTable {
    const id = text.name('an operation id').toLowerCase();
    const isDetails = text.take('details');
    text.end();
    const operation = this.#operations.get(id);
    if (operation === undefined || !isDetails) throw makeEntityNotFound('Operation', id);
    if (operation.result === undefined)
      throw new KustoError('BadRequest_OperationNotCompleted', `Operation '${id}' is ${operation.state}.`);
    return operation.result;
  }

  /** `.show ingestion failures [with (OperationId = '...')]`: of commands alone, not of what was queued. */
  showFailures(text: CommandText): ResultTable {
    const wanted = text.options().get('operationid')?.toLowerCase();
    text.end();
    return makeTable(
      'OperationId:guid, Database, Table, FailedOn:datetime, IngestionSourcePath, Details, FailureKind, RootActivityId:guid, OperationKind, ' +
        'OriginatesFromUpdatePolicy:bool, ErrorCode, Principal, ShouldRetry:bool, User, IngestionProperties',
      this.#failures
        .filter(({ operationId }) => wanted === undefined || operationId === wanted)
        .map(({ error, ...failure }) => [
          ...[failure.operationId, failure.database, failure.table, failure.failedOn, failure.sourcePath],
          ...[error.message, error.failureStatus, failure.rootActivityId, failure.kind, false],
          ...[error.errorCode, 'localuser', error.failureStatus === 'Transient', 'localuser'],
          failure.properties,
        ]),
    );
  }

  #add({ kind, database }: { readonly kind: string; readonly database: string }): Operation {
    const now = Date.now();
    const operation: Operation = {
      id: randomUUID(),
      kind,
      database,
      rootActivityId: randomUUID(),
      startedAtMs: now,
      updatedAtMs: now,
      state: 'InProgress',
      status: '',
      shouldRetry: false,
      result: undefined,
    };
    this.#operations.set(operation.id, operation);
    const [oldest] = this.#operations.keys();
    if (this.#operations.size > MAX_KEPT && oldest !== undefined) this.#operations.delete(oldest);
    return operation;
  }

  async #perform(
    operation: Operation,
    work: (operationId: string) => Promise<ResultTable>,
  ): Promise<ResultTable> {
    try {
      operation.result = await work(operation.id);
      operation.state = 'Completed';
      return operation.result;
    } catch (caught) {
      const error = caught instanceof IngestionError ? toKustoError(caught) : (caught as Error);
      operation.state = 'Failed';
      operation.status = error instanceof KustoError ? `${error.code}: ${error.message}` : error.message;
      operation.shouldRetry = error instanceof KustoError ? !error.permanent : true;
      throw error;
    } finally {
      operation.updatedAtMs = Date.now();
    }
  }
}

/** Runs the work of a command that may say `async` there, before its table. */
export function runOrStart(
  context: CommandContext,
  input: { readonly kind: string; readonly isAsync: boolean },
  work: (operationId: string) => Promise<ResultTable>,
): Promise<ResultTable> {
  const { operations, database } = context;
  const named = { kind: input.kind, database };
  return input.isAsync ? Promise.resolve(operations.start(named, work)) : operations.run(named, work);
}

function readIds(text: CommandText): string[] | undefined {
  if (text.isAtEnd) return undefined;
  const isList = text.takeSymbol('(');
  const ids: string[] = [];
  do {
    ids.push(text.name('an operation id').toLowerCase());
    text.takeSymbol(',');
  } while (isList && !text.takeSymbol(')'));
  return ids;
}

function toIso(ms: number): string {
  return new Date(ms).toISOString();
}
