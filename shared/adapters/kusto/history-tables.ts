import type { ObjectOutcome, RunSummary } from '../../domain/run-summary.ts';
import { uuidOf } from '../../domain/source-id.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { Ingestion } from '../../ports/ingestion.ts';
import type { EndedShard, Recorder } from '../../ports/recorder.ts';

export interface HistoryTablesOptions {
  /** Id of the app: schedules give the runs of two apps one id. */
  readonly appId: string;
  readonly database: string;
  readonly ingestion: () => Promise<Ingestion>;
}

/** Tables as infra/history-tables.kql makes them. */
const RUNS = 'LoaderRuns';
const OBJECTS = 'LoaderObjects';

/**
 * Writes runs and the fates of their objects into tables of a cluster, for questions in KQL. Each shard and each run is one
 * message with an id that follows from it, so that what is told twice is posted once.
 */
export function createHistoryTables({ appId, database, ingestion }: HistoryTablesOptions): Recorder {
  async function post(table: string, id: string, rows: readonly object[]): Promise<void> {
    if (rows.length === 0) return;
    const result = await (await ingestion()).postRows({
      sourceId: uuidOf([appId, table, id]),
      body: rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
      database,
      table,
      format: 'json',
      mapping: null,
      ignoreFirstRecord: false,
      tags: [],
    });
    // Ambiguous: a twin has posted it, or it may be in.
    if (result.result === 'refused') throw new LoaderError('queueRefused', result.message);
  }

  return {
    name: 'history tables',
    shardEnded: (shard) =>
      post(
        OBJECTS,
        `${shard.runId}/${shard.shard}`,
        shard.outcomes.map((outcome) => ({ ...objectRow(shard, outcome), AppId: appId })),
      ),
    runEnded: (summary, { bucket }) =>
      post(RUNS, summary.runId, [{ ...runRow(summary, bucket), AppId: appId }]),
  };
}

function runRow(summary: RunSummary, bucket: string) {
  const { objects, plan, rows, throttling } = summary;
  return {
    RunId: summary.runId,
    Load: summary.load,
    Bucket: bucket,
    Trigger: summary.trigger,
    State: summary.state,
    StartedAt: summary.startedAt,
    EndedAt: summary.endedAt,
    Problem: summary.problem?.code ?? null,
    Listed: plan.listed,
    Selected: plan.selected,
    Ingested: objects.ingested,
    Failed: objects.failed,
    Unknown: objects.unknown,
    Objects: objects,
    BytesIngested: summary.bytesIngested,
    Failures: Object.fromEntries(Object.entries(summary.failures).map(([code, { count }]) => [code, count])),
    RowsTagged: rows.tagged,
    RowsExpected: rows.expected,
    Slowdowns: throttling?.slowdowns ?? 0,
    Epochs: summary.epochs,
    Tag: summary.tag,
  };
}

function objectRow({ runId, load, bucket }: EndedShard, outcome: ObjectOutcome) {
  return {
    RunId: runId,
    Load: load,
    Bucket: bucket,
    Key: outcome.key,
    Version: outcome.version,
    SizeBytes: outcome.sizeBytes,
    State: outcome.state,
    Code: outcome.code,
    Message: outcome.message,
    SourceId: outcome.sourceId,
    Attempts: outcome.attempts,
    PostedAt: outcome.postedAt,
    SettledAt: outcome.settledAt,
    Rows: outcome.rows ?? null,
    RepostedUnproven: outcome.repostedUnproven,
  };
}
